// What is drawn over the dots of a map, by what is in view: names that do not overlap, and pictures where few are.
const FEW = 150, LEAST = 28, MOST = 96

class Overlay {
  constructor(map) {
    this.map = map
    this.dots = map.renderers[0]
    this.marks = named(`${map.name}-marks`)
    this.pictures = named(`${map.name}-pictures`)
    this.names = {...this.marks.data}
    this.size = this.dots.glyph.size
    this.images = new Map()  // row -> its thumbnail, once it is loaded
    this.turn = 0
    for (const range of [map.x_range, map.y_range]) range.change.connect(() => this.soon())
    for (const side of ["inner_width", "inner_height"]) map.properties[side].change.connect(() => this.soon())
    this.draw()
  }

  // Take the names of other categories.
  name(names) {
    this.names = names
    this.draw()
  }

  soon() {
    clearTimeout(this.waiting)
    this.waiting = setTimeout(() => this.draw(), 120)
  }

  draw() {
    const {x_range: x, y_range: y, inner_width: width, inner_height: height} = this.map
    if (!width) return
    this.view = {x, y, width, height, across: width / (x.end - x.start), down: height / (y.end - y.start)}
    this.write(this.marks, this.apart())
    this.show()
  }

  isSeen(x, y) {
    const {view} = this
    return x >= view.x.start && x <= view.x.end && y >= view.y.start && y <= view.y.end
  }

  // The names in view, the largest category first, without those that would overlap an earlier one.
  apart() {
    const kept = {x: [], y: [], name: []}, boxes = []
    this.names.name.forEach((name, at) => {
      const x = this.names.x[at], y = this.names.y[at]
      if (!this.isSeen(x, y)) return
      const box = {x: x * this.view.across, y: y * this.view.down, width: 8 * name.length + 10}
      const overlaps = (other) => Math.abs(box.x - other.x) < (box.width + other.width) / 2 && Math.abs(box.y - other.y) < 24
      if (boxes.some(overlaps)) return
      boxes.push(box)
      kept.x.push(x), kept.y.push(y), kept.name.push(name)
    })
    return kept
  }

  // Draw thumbnails, if there are pictures and few of them are in view; those that are not selected fade.
  async show() {
    const turn = ++this.turn
    const rows = this.pictures ? this.seen() : []
    const {width, height} = this.view
    const side = Math.max(LEAST, Math.min(MOST, 0.8 * Math.sqrt(width * height / (rows.length || 1))))
    const loaded = (await Promise.all(rows.map((row) => this.image(row)))).filter(Boolean)
    if (turn != this.turn || !this.pictures) return
    const {data} = points(), {x, y} = this.dots.glyph
    const selected = new Set(selection.rows)
    const scaled = loaded.map(({image}) => side / Math.max(image.naturalWidth, image.naturalHeight))
    this.write(this.pictures, {
      x: loaded.map(({row}) => data[x.field][row]),
      y: loaded.map(({row}) => data[y.field][row]),
      url: loaded.map(({image}) => image.src),
      w: loaded.map(({image}, at) => image.naturalWidth * scaled[at]),
      h: loaded.map(({image}, at) => image.naturalHeight * scaled[at]),
      alpha: loaded.map(({row}) => !selected.size || selected.has(row) ? 1 : 0.15),
    })
    // A dot is as large as its thumbnail: it frames it in its colour, and a click hits it.
    const size = loaded.length ? {value: side + 6} : this.size
    const marker = {value: loaded.length ? "square" : "circle"}
    for (const glyph of [this.dots.glyph, this.dots.nonselection_glyph]) {
      if (glyph.size.value != size.value) glyph.setv({size, marker}, {sync: false})
    }
  }

  // The rows in view; none if they are many.
  seen() {
    const {data} = points(), x = data[this.dots.glyph.x.field], y = data[this.dots.glyph.y.field], rows = []
    for (let row = 0; row < x.length; row++) {
      if (this.isSeen(x[row], y[row]) && rows.push(row) > FEW) return []
    }
    return rows
  }

  async image(row) {
    if (!this.images.has(row)) {
      const image = Object.assign(new Image(), {src: `image/${row}`})
      await image.decode().catch(() => null)  // one that cannot be read remains a dot
      if (image.naturalWidth) this.images.set(row, {row, image})
    }
    return this.images.get(row)
  }

  // Write a source, if it is to change: each change draws the map.
  write(source, data) {
    if (JSON.stringify(source.data) != JSON.stringify(data)) source.setv({data}, {sync: false})
  }
}
