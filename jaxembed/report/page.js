// What the page does: tables that are sorted and say where they go on, anchors below the bar, plots in the page's colours.

const dark = matchMedia("(prefers-color-scheme: dark)")

function measure() {
  const root = document.documentElement
  root.style.setProperty("--bar", `${document.querySelector("nav").offsetHeight}px`)
  root.style.setProperty("--scrollbar", `${innerWidth - root.clientWidth}px`)
  for (const wide of document.querySelectorAll(".wide")) mark(wide)
}

function mark(wide) {
  wide.classList.toggle("overflows", wide.scrollWidth > wide.clientWidth + 1)
  wide.classList.toggle("goes-on", wide.scrollLeft + wide.clientWidth < wide.scrollWidth - 1)
}

function sort(head) {
  const falls = head.getAttribute("aria-sort") != "descending", column = head.cellIndex
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort")
  head.setAttribute("aria-sort", falls ? "descending" : "ascending")
  // What has no value stays at the end.
  const key = (row) => {
    const text = row.cells[column].textContent.trim(), number = parseFloat(text)
    return text == "–" ? null : isNaN(number) || !column ? text : number
  }
  const compare = (a, b) => (typeof a == "number" && typeof b == "number" ? a - b : `${a}`.localeCompare(`${b}`))
  for (const body of head.closest("table").tBodies) {
    const rows = [...body.rows].filter((row) => !row.classList.contains("group")).map((row) => [key(row), row])
    rows.sort(([a], [b]) => (a === null) - (b === null) || (falls ? compare(b, a) : compare(a, b)))
    body.append(...rows.map(([, row]) => row))
  }
}

// Plots are painted, and so have no part in the page's style.
function paint() {
  const style = getComputedStyle(document.documentElement)
  const [ink, faint, line, paper] = ["ink", "faint", "line", "paper"].map((name) => style.getPropertyValue(`--${name}`).trim())
  const colours = {
    axis_label_text_color: ink, major_label_text_color: ink, label_text_color: ink, axis_line_color: faint,
    major_tick_line_color: faint, grid_line_color: line, border_fill_color: paper,
  }
  Bokeh.index.roots.flatMap(figures).forEach(clear)
  for (const model of Bokeh.documents.flatMap((document) => [...document.all_models])) {
    for (const [name, colour] of Object.entries(colours)) {
      if (name in model.properties) model[name] = colour
    }
    if (model.type == "Title") model.text_color = ink
    if (!model.tags.includes("ink")) continue
    if (model.type == "Text") model.setv({text_color: {value: ink}, background_fill_color: {value: paper}})
    else model.line_color = {value: ink}
  }
}

function figures(view) {
  return view.model.type == "Figure" ? [view] : [...view.children_views()].flatMap(figures)
}

// Bokeh leaves half of the outermost pixels as they were.
function clear({canvas: {primary: {ctx}}}) {
  ctx.save()
  ctx.resetTransform()
  ctx.clearRect(0, 0, ctx.canvas.width, ctx.canvas.height)
  ctx.restore()
}

addEventListener("DOMContentLoaded", () => {
  for (const wide of document.querySelectorAll(".wide")) wide.addEventListener("scroll", () => mark(wide))
  for (const head of document.querySelectorAll(".sortable thead th")) {
    head.tabIndex = 0
    head.addEventListener("click", () => sort(head))
    head.addEventListener("keydown", (event) => event.key == "Enter" && sort(head))
  }
})
addEventListener("load", () => {
  measure()
  // Layouts are built after the page.
  const layouts = document.querySelectorAll(".layout").length
  const ready = () => Bokeh.documents.length == layouts && Bokeh.documents.every((each) => each.is_idle)
  const wait = () => (ready() ? paint() : setTimeout(wait, 50))
  wait()
  dark.addEventListener("change", paint)
})
addEventListener("resize", measure)
