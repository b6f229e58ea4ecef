// The selection, which the map, the thumbnails, the grid and the tags change, and what is done with it.
const part = (id) => document.getElementById(id)
// Say what was done, for as long as it takes to read, or until it is clicked.
let forgetting
function tell(text) {
  const told = part("told")
  told.textContent = text
  told.hidden = !text
  told.onclick = () => tell("")
  clearTimeout(forgetting)
  forgetting = setTimeout(tell, 15_000, "")
}

// Save a file under a name.
function download(content, name) {
  const link = document.createElement("a")
  link.href = URL.createObjectURL(content)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)  // by then the browser has read it
}

class Selection {
  get rows() { return points().selected.indices }
  set rows(rows) { points().selected.indices = Array.from(rows).sort((one, other) => one - other) }

  // Add one picture, or remove it.
  toggle(row) {
    const rows = new Set(this.rows)
    if (!rows.delete(row)) rows.add(row)
    this.rows = rows
  }

  draw() {
    const count = this.rows.length
    part("count").textContent = `${count.toLocaleString("en")} selected`
    for (const button of document.querySelectorAll("#selection button, #tags .change")) button.disabled = !count
  }

  // Post the selected rows; undefined, and a line that says why, if the server does not take them.
  async post(address) {
    tell("…")
    try {
      const answer = await fetch(address, {method: "POST", body: Int32Array.from(this.rows)})
      if (answer.ok) return answer
      const reasons = {403: "reload the page", 507: "the disk is full"}
      tell(`That failed: ${reasons[answer.status] ?? answer.statusText}.`)
    } catch (error) {
      tell("That failed: the server does not answer.")
    }
  }

  async save() {
    const answer = await this.post("vectors")
    if (!answer) return
    const file = "selection.npz"
    download(await answer.blob(), file)
    tell(`${this.rows.length.toLocaleString("en")} vectors saved as ${file}`)
  }

  async copy() {
    const answer = await this.post("copies")
    if (answer) tell((await answer.json()).text)
  }
}
const selection = new Selection()

// A click on a thumbnail shows it; with shift it is added to the selection, or removed.
const press = (event, row) => event.shiftKey ? selection.toggle(row) : pick(row)
// So does a click on a point.
const tap = ({source, event}) => {
  const [row] = source.inspected.indices
  if (event.modifiers.shift) selection.toggle(row)
  else if (selection.rows.length == 1 && selection.rows[0] == row) pick(row)
  else selection.rows = [row]
}
