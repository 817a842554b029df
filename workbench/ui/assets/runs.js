// The table of runs. Rows are kept by run id, so that an update every two seconds moves neither the choice, nor
// the scroll, nor the order a person has sorted by. Texts are always set through textContent.

const COLUMNS = [
  ["name", "Run", "Name and data set"], ["state", "State", "What the run is doing now"],
  ["progress", "Progress", "Share of the planned updates that is done"],
  ["best_accuracy", "Accuracy", "On the validation images: best, and newest below"],
  ["best_loss", "Loss", "On the validation images: lowest, and newest below"],
  ["took_s", "Took", "Time from start to end, or until now"], ["created", "Started", "When it was put in the queue"],
];

function make(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "text") node.textContent = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}
const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };

class Table {
  constructor(host) {
    this.host = host;
    this.rows = new Map();
    this.chosen = new Set();
    this.sort = { key: "created", down: true };
    this.all = make("input", { type: "checkbox", "aria-label": "Choose all", onchange: () => this.chooseAll() });
    this.heads = COLUMNS.map(([key, title, help]) =>
      make("button", { class: `h ${key}`, title: help, text: title, onclick: () => this.order(key) }));
    this.body = make("div", { class: "body", role: "rowgroup" });
    host.replaceChildren(make("div", { class: "head" }, this.all, ...this.heads), this.body);
    // Streamlit listens for single keys on the document; keys pressed here must not reach it.
    host.addEventListener("keydown", (e) => { this.key(e); e.stopPropagation(); });
  }

  update(data) {
    this.data = data.rows;
    this.base = data.base;
    const here = new Set(data.rows.map((run) => run.id));
    for (const [id, row] of this.rows) if (!here.has(id)) { row.remove(); this.rows.delete(id); }
    const gone = [...this.chosen].filter((id) => !here.has(id));
    gone.forEach((id) => this.chosen.delete(id));
    this.draw();
    if (gone.length) this.tell();
  }

  draw() {
    const { key, down } = this.sort;
    const sign = down ? -1 : 1;
    const missing = (v) => v === null || v === undefined;
    const sorted = [...this.data].sort((a, b) => {
      if (missing(a[key]) || missing(b[key])) return missing(a[key]) - missing(b[key]);
      return sign * (typeof a[key] === "string" ? a[key].localeCompare(b[key]) : a[key] - b[key]);
    });
    sorted.forEach((run, index) => {
      let row = this.rows.get(run.id);
      if (!row) { row = this.row(run); this.rows.set(run.id, row); }
      if (this.body.children[index] !== row) this.body.insertBefore(row, this.body.children[index] ?? null);
      this.fill(row, run);
    });
    this.heads.forEach((head, i) => {
      const active = COLUMNS[i][0] === key;
      head.classList.toggle("down", active && down);
      head.classList.toggle("up", active && !down);
    });
    this.all.checked = this.chosen.size > 0 && this.chosen.size === this.data.length;
    this.all.indeterminate = this.chosen.size > 0 && !this.all.checked;
    this.host.dataset.runs = this.data.length;
  }

  row(run) {
    const box = make("input", { type: "checkbox", tabindex: "-1", onchange: () => this.toggle(run.id) });
    const link = make("a", { tabindex: "-1", onclick: (e) => {
      if (e.ctrlKey || e.metaKey || e.shiftKey) return; // a new tab is the browser's business
      e.preventDefault();
      this.open(run.id);
    } });
    link.setAttribute("href", `${this.base}live?run=${encodeURIComponent(run.id)}`);
    const cell = (name, ...inner) => make("div", { class: `c ${name}`, role: "cell" }, ...inner);
    const row = make("div", { class: "row", role: "row", tabindex: "0" }, box,
      cell("name", link, make("span", { class: "sub" })), cell("state", make("span", { class: "pill" })),
      cell("progress", make("span", { class: "bar" }, make("i")), make("span", { class: "sub" })),
      cell("best_accuracy", make("b"), make("span", { class: "sub" })),
      cell("best_loss", make("b"), make("span", { class: "sub" })),
      cell("took_s", make("span")), cell("created", make("span")));
    row.addEventListener("click", (e) => { if (!e.target.closest("a, input")) this.only(run.id); });
    row.addEventListener("dblclick", () => this.open(run.id));
    Object.assign(row, { uid: run.id, box, link });
    row.dataset.run = run.id;
    return row;
  }

  fill(row, run) {
    const at = (selector) => row.querySelector(selector);
    put(row.link, run.name);
    row.link.title = run.name;
    put(at(".name .sub"), run.data);
    const pill = at(".pill");
    put(pill, run.state);
    pill.dataset.state = run.state;
    pill.title = run.state_help;
    pill.style.setProperty("--c", `var(--wb-state-${run.state}, #8089a0)`);
    const bar = at(".bar");
    bar.style.setProperty("--c", `var(--wb-state-${run.state}, #8089a0)`);
    bar.firstChild.style.width = `${(100 * run.progress).toFixed(1)}%`;
    put(at(".progress .sub"), run.progress_text);
    for (const name of ["best_accuracy", "best_loss"]) {
      put(at(`.${name} b`), run[`${name}_text`]);
      put(at(`.${name} .sub`), run[`${name}_last`]);
    }
    put(at(".took_s span"), run.took);
    put(at(".created span"), run.created_text);
    at(".created span").title = run.created_full;
    const isChosen = this.chosen.has(run.id);
    row.box.checked = isChosen;
    row.box.setAttribute("aria-label", `Choose ${run.name}`);
    row.classList.toggle("chosen", isChosen);
    row.setAttribute("aria-selected", isChosen);
  }

  order(key) {
    const same = this.sort.key === key;
    this.sort = { key, down: same ? !this.sort.down : !["name", "state", "best_loss"].includes(key) };
    this.draw();
  }
  toggle(id) { this.chosen.has(id) ? this.chosen.delete(id) : this.chosen.add(id); this.draw(); this.tell(); }
  only(id) {
    const alone = this.chosen.size === 1 && this.chosen.has(id);
    this.chosen = new Set(alone ? [] : [id]);
    this.draw();
    this.tell();
  }
  chooseAll() { this.chosen = new Set(this.all.checked ? this.data.map((run) => run.id) : []); this.draw(); this.tell(); }
  key(e) {
    const row = e.target.closest?.(".row");
    if (!row || e.target !== row) return;
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[e.key];
    if (step) { e.preventDefault(); row[step]?.focus(); }
    if (e.key === " ") { e.preventDefault(); this.toggle(row.uid); }
    if (e.key === "Enter") { e.preventDefault(); this.open(row.uid); }
  }
}

export default function (component) {
  const { data, parentElement, setStateValue, setTriggerValue } = component;
  const host = parentElement.querySelector(".wb-runs");
  host.table ??= new Table(host);
  host.table.tell = () => setStateValue("chosen", [...host.table.chosen]);
  host.table.open = (id) => setTriggerValue("open", id);
  host.table.update(data);
}
