// The colours of the maps, their legend, and the chips, each of which adds its pictures to those that do not fade.
const named = (name) => Bokeh.documents[0].get_model_by_name(name)
const maps = () => ["map", "map1"].map(named).filter(Boolean)

const colours = {
  on: new Map(),  // code -> its chip, which is pressed
  isOwn: false,  // whether the selection is changed by a chip
  turn: 0,

  // Begin, once the map is there.
  begin() {
    this.overlays = maps().map((map) => new Overlay(map))
    points().selected.properties.indices.change.connect(() => this.selected())
    const kind = named("legend").tags[0]
    if (kind) this.choose(kind)
  },

  // Colour by a kind.
  async choose(kind) {
    const turn = ++this.turn
    this.explain("<p>Computing the colours …</p>")
    const answer = await answered(`colours/${encodeURIComponent(kind)}`)
    if (turn != this.turn) return
    if (answer.text) return this.explain(answer.text)
    if (this.on.size) selection.rows = []
    const {codes, palette, legend, marks} = answer
    for (const map of maps()) {
      const {transform} = map.renderers[0].glyph.fill_color
      transform.setv({palette, high: palette.length - 0.5}, {sync: false})
    }
    points().setv({data: {...points().data, code: Int32Array.from(codes)}}, {sync: false})
    this.explain(legend)
    this.overlays.forEach((overlay, at) => overlay.name(marks[at] ?? {x: [], y: [], name: []}))
  },

  explain(text) { named("legend").setv({text}, {sync: false}) },

  // Add the pictures of a chip to those that are selected, or remove them.
  filter(chip, code) {
    if (!this.on.delete(code)) this.on.set(code, chip)
    chip.classList.toggle("on", this.on.has(code))
    this.isOwn = true
    selection.rows = Array.from(points().data.code).flatMap((value, row) => this.on.has(value) ? [row] : [])
    this.isOwn = false
  },

  // Another selection than that of the chips: none of them is pressed.
  selected() {
    for (const overlay of this.overlays) overlay.soon()
    if (this.isOwn) return
    for (const chip of this.on.values()) chip.classList.remove("on")
    this.on.clear()
  },
}
