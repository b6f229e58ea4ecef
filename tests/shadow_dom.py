"""What is inside a page of Bokeh, whose parts are in shadow roots, for scripts of the tests in a browser."""

# Defines `elements`, all of them.
INSIDE = """
function* inside(root) {
  for (const element of root.querySelectorAll("*")) {
    yield element
    if (element.shadowRoot) yield* inside(element.shadowRoot)
  }
}
const elements = [...inside(document)]
"""
