// The bar above the map: Map or Grid, the order of the grid, and the selection.
const bar = {
  row: null,  // of the picture that is shown
  grid: null,
  hidden: [],  // of the map, while the grid covers it

  // Begin, once the map and the names of its pictures are there.
  begin() {
    this.grid = new Grid(part("everything"))
    points().selected.properties.indices.change.connect(() => this.selected())
    part("views").addEventListener("click", ({target}) => target.value && this.view(target.value))
    part("orders").addEventListener("click", ({target}) => target.value && this.sort(target.value))
    part("only").addEventListener("change", () => this.grid.fill())
    part("selection").addEventListener("click", ({target}) => this.press(target.value))
    part("tagging")?.addEventListener("submit", (event) => this.tag(event))
    selection.draw()
    if (part("tagging")) {
      tags.load()
      addEventListener("focus", () => tags.load())
    }
  },

  async view(name) {
    document.body.classList.toggle("grid", name == "grid")
    this.mark("views", name)
    this.cover(name == "grid")
    if (name == "grid" && !this.grid.all.length) await this.sort("name")
  },

  // What is not seen is not drawn: without a GPU, 100,000 points take seconds.
  cover(isCovered) {
    const renderers = maps().flatMap((map) => map.renderers)
    const changed = isCovered ? renderers.filter(({visible}) => visible) : this.hidden
    for (const renderer of changed) renderer.setv({visible: !isCovered}, {sync: false})
    this.hidden = isCovered ? [...this.hidden, ...changed] : []
  },

  async sort(kind) {
    if (await this.grid.sort(kind == "likeness" ? `likeness/${this.row}` : kind)) this.mark("orders", kind)
  },

  mark(id, value) {
    for (const button of part(id).querySelectorAll("button")) button.classList.toggle("on", button.value == value)
  },

  // Note which picture of the map is shown, if one is.
  shows(row) {
    this.row = row
    document.querySelector("#orders [value=likeness]").disabled = row == null
  },

  selected() {
    selection.draw()
    if (part("only").checked) this.grid.fill()
    else this.grid.mark()
  },

  press(value) {
    if (value == "clear") selection.rows = []
    if (value == "vectors") selection.save()
    if (value == "copies") selection.copy()
  },

  async tag(event) {
    event.preventDefault()
    const [field] = event.target
    const tag = field.value.trim()
    if (!tag || !selection.rows.length) return tell(tag ? "Select pictures first." : "Name the tag first.")
    if (await tags.change("add", tag)) field.value = ""
  },
}
