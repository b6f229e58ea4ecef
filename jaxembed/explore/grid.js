// All pictures in a grid, in an order of the server's; only those in view are in the page.
const TILE = 136, CAPTION = 16, GAP = 6

class Grid {
  constructor(view) {
    this.view = view
    this.field = view.firstElementChild
    this.all = this.rows = []
    this.cells = new Map()  // position -> figure
    view.addEventListener("scroll", () => this.draw())
    view.addEventListener("click", (event) => this.click(event))
    new ResizeObserver(() => this.draw()).observe(view)
  }

  // Sort by an order of the server's: a kind, or likeness/<row>.
  async sort(order) {
    tell(order == "outliers" ? "Comparing all pictures …" : "Sorting …")
    const answer = await fetch(`order/${order}`).catch(() => null)
    if (!answer?.ok) return tell("The pictures cannot be sorted: reload the page, or start the server again.")
    tell("")
    this.all = new Int32Array(await answer.arrayBuffer())
    this.view.scrollTop = 0
    this.fill()
    return true
  }

  // Show all pictures, or only those that are selected.
  fill() {
    const selected = new Set(selection.rows)
    this.rows = part("only").checked ? this.all.filter((row) => selected.has(row)) : this.all
    for (const at of [...this.cells.keys()]) this.drop(at)
    this.draw()
  }

  draw() {
    const {clientWidth: width, clientHeight: height, scrollTop: top} = this.view
    if (!width) return
    const columns = Math.max(1, Math.floor(width / (TILE + GAP))), pitch = width / columns
    const line = pitch + CAPTION, first = Math.max(0, Math.floor(top / line) - 1) * columns
    const last = Math.min(this.rows.length, (Math.ceil((top + height) / line) + 1) * columns)
    this.field.style.height = `${Math.ceil(this.rows.length / columns) * line}px`
    for (const at of [...this.cells.keys()]) if (at < first || at >= last) this.drop(at)
    for (let at = first; at < last; at++) {
      if (!this.cells.has(at)) this.add(at)
      const size = {width: pitch - GAP, height: line - GAP, left: (at % columns) * pitch, top: Math.floor(at / columns) * line}
      for (const [side, pixels] of Object.entries(size)) this.cells.get(at).style[side] = `${pixels}px`
    }
    this.mark()
  }

  add(at) {
    const row = this.rows[at], name = points().data.name?.[row] ?? ""
    const cell = document.createElement("figure"), check = document.createElement("button")
    Object.assign(check, {className: "check", title: "Select; with shift, all from the last one that was selected"})
    const picture = Object.assign(new Image(), {src: `image/${row}`, alt: ""})
    const caption = document.createElement("figcaption")
    caption.textContent = name.split("/").at(-1)  // the end of a path is what matters
    cell.title = name
    cell.dataset.at = at
    cell.append(picture, caption, check)
    this.cells.set(at, cell)
    this.field.append(cell)
  }

  drop(at) {
    const cell = this.cells.get(at)
    cell.querySelector("img").removeAttribute("src")  // what is not in view need not be loaded
    cell.remove()
    this.cells.delete(at)
  }

  // Mark those that are selected.
  mark() {
    const selected = new Set(selection.rows)
    for (const [at, cell] of this.cells) cell.classList.toggle("on", selected.has(this.rows[at]))
  }

  click(event) {
    const cell = event.target.closest("figure")
    if (!cell) return
    const at = +cell.dataset.at, row = this.rows[at]
    if (!event.target.matches(".check")) return press(event, row)
    if (event.shiftKey && this.last != null) this.selectBetween(at, this.last)
    else selection.toggle(row)
    this.last = at
  }

  selectBetween(one, other) {
    const between = this.rows.slice(Math.min(one, other), Math.max(one, other) + 1)
    selection.rows = new Set([...selection.rows, ...between])
  }
}
