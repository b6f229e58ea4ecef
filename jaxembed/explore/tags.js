// Tags: each is a chip that selects its pictures; + and − give it to the selection, and take it away.
class Tags {
  constructor() { this.rows = new Map() }

  // Others may have changed the file.
  async load() {
    const answer = await fetch("tags").catch(() => null)
    if (answer?.ok) this.show(await answer.json())
  }

  async change(change, tag) {
    const answer = await selection.post(`tags/${change}?tag=${encodeURIComponent(tag)}`)
    if (answer) this.show(await answer.json())
    return this.rows.has(tag)
  }

  show({text, tags}) {
    if (text) tell(text)
    this.rows = new Map(tags)
    const chips = [...this.rows].map(([tag, rows]) => this.chip(tag, rows))
    part("tags").replaceChildren(...(chips.length ? chips : ["No tags yet: select pictures, then name a tag."]))
    selection.draw()
  }

  chip(tag, rows) {
    const chip = document.createElement("span")
    chip.className = "tag"
    chip.append(
      this.button(`${tag} ${rows.length.toLocaleString("en")}`, "Select these pictures", () => this.select(rows)),
      this.button("+", `Tag the selection: ${tag}`, () => this.change("add", tag)),
      this.button("−", `Remove from the selection: ${tag}`, () => this.change("remove", tag)),
    )
    for (const button of [...chip.children].slice(1)) button.classList.add("change")
    return chip
  }

  button(text, title, click) {
    return Object.assign(document.createElement("button"), {textContent: text, title, onclick: click})
  }

  // The same tag again selects none.
  select(rows) {
    const now = selection.rows
    selection.rows = now.length == rows.length && rows.every((row, at) => row == now[at]) ? [] : rows
  }
}
const tags = new Tags()
