// One page of the table of runs. The server finds, sorts and pages; rows are kept by run id, so that an update
// every two seconds moves neither the choice nor the scroll. Texts are always set through textContent.

const WIDTHS = { took: 88, created: 86, model: 120 }; // CSS pixels; a metric takes 92
const NAME = 190, STATE = 96, PROGRESS = 118, BOX = 18, GAP = 14, PAD = 28;

class Table {
  constructor(host) {
    this.host = host;
    this.rows = new Map();
    this.chosen = new Set();
    this.all = make("input", { type: "checkbox", "aria-label": "Choose all on this page", onchange: () => this.chooseAll() });
    this.head = make("div", { class: "head", role: "row" });
    this.body = make("div", { class: "body", role: "rowgroup" });
    for (const [key, value] of [["role", "grid"], ["aria-label", "Runs"], ["aria-multiselectable", "true"]]) host.setAttribute(key, value);
    host.replaceChildren(make("div", { role: "rowgroup", style: "display: contents" }, this.head), this.body);
    // Streamlit listens for single keys on the document; keys pressed here must not reach it.
    host.addEventListener("keydown", (e) => { this.key(e); e.stopPropagation(); });
    new ResizeObserver(() => this.fit()).observe(host);
  }

  update(data) {
    const paged = this.data && data.rows[0]?.id !== this.data.rows[0]?.id;
    this.data = data;
    const shape = JSON.stringify(data.columns);
    if (shape !== this.shape) { // other columns: rows are made anew
      this.shape = shape;
      this.rows.clear();
      this.body.replaceChildren();
    }
    const here = new Set(data.rows.map((run) => run.id));
    for (const [id, row] of this.rows) if (!here.has(id)) { row.remove(); this.rows.delete(id); }
    data.gone.forEach((id) => this.chosen.delete(id));
    const cleared = this.cleared !== undefined && this.cleared !== data.cleared && this.chosen.size > 0;
    this.cleared = data.cleared;
    if (cleared) this.chosen.clear();
    this.heads();
    this.draw();
    this.fit();
    if (paged && this.body.scrollTop) this.body.scrollTop = 0;
    if (data.gone.length || cleared) this.tell();
  }

  heads() {
    const sortable = [["name", "Run", "Name, data set and tags", "name"], ["state", "State", "What the run is doing now", ""],
      ["progress", "Progress", "Share of the planned updates that is done", "progress"],
      ...this.data.columns.map((c) => [c.key, c.title, c.help, c.sort])];
    const sign = JSON.stringify([sortable, this.data.sort, this.data.down]);
    if (sign === this.sign) return;
    this.sign = sign;
    this.head.replaceChildren(make("span", { role: "columnheader" }, this.all), ...sortable.map(([key, title, help, sort]) => {
      const head = make(sort ? "button" : "span", { class: "h", title: help, text: title, role: "columnheader", "data-column": key });
      if (!sort) return head;
      const active = sort === this.data.sort;
      head.addEventListener("click", () => this.order(sort));
      head.classList.toggle("down", active && this.data.down);
      head.classList.toggle("up", active && !this.data.down);
      if (active) head.setAttribute("aria-sort", this.data.down ? "descending" : "ascending");
      return head;
    }));
  }

  draw() {
    this.data.rows.forEach((run, index) => {
      let row = this.rows.get(run.id);
      if (!row) { row = this.row(run); this.rows.set(run.id, row); }
      if (this.body.children[index] !== row) this.body.insertBefore(row, this.body.children[index] ?? null);
      this.fill(row, run);
    });
    const marked = this.data.rows.filter((run) => this.chosen.has(run.id)).length;
    this.all.checked = marked > 0 && marked === this.data.rows.length;
    this.all.indeterminate = marked > 0 && !this.all.checked;
    this.host.dataset.runs = this.data.rows.length;
    this.host.dataset.chosen = this.chosen.size;
  }

  /** Leave out columns that have no room: the last first, then the progress bar. */
  fit() {
    const room = this.host.clientWidth;
    if (!room || !this.data) return;
    const widths = this.data.columns.map((c) => WIDTHS[c.key] ?? 92);
    let fixed = PAD + BOX + NAME + STATE + 2 * GAP;
    let shown = 0;
    while (shown < widths.length && fixed + widths[shown] + GAP <= room) fixed += widths[shown++] + GAP;
    const bar = fixed + PROGRESS + GAP <= room;
    const columns = [`${BOX}px`, `minmax(${Math.min(NAME, room / 3)}px, 2.4fr)`, `${STATE}px`,
      ...(bar ? [`minmax(${PROGRESS}px, 1.3fr)`] : []), ...widths.slice(0, shown).map((w) => `${w}px`)];
    this.host.style.setProperty("--columns", columns.join(" "));
    for (const line of [this.head, ...this.rows.values()]) {
      [...line.children].forEach((cell, i) => { cell.hidden = (i === 3 && !bar) || i > 3 + shown; });
    }
  }

  row(run) {
    const box = make("input", { type: "checkbox", tabindex: "-1", onchange: () => this.toggle(run.id) });
    const link = make("a", { tabindex: "-1", onclick: (e) => {
      if (e.ctrlKey || e.metaKey || e.shiftKey) return; // a new tab is the browser's business
      e.preventDefault();
      this.open(run.id);
    } });
    link.setAttribute("href", `${this.data.base}live?run=${encodeURIComponent(run.id)}`);
    const cell = (name, ...inner) => make("div", { class: `c ${name}`, role: "gridcell" }, ...inner);
    const row = make("div", { class: "row", role: "row", tabindex: "0" }, make("span", { role: "gridcell" }, box),
      cell("name", link, make("span", { class: "sub" }, make("span", { class: "of" }), make("span", { class: "tags" }))),
      cell("state", make("span", { class: "pill" })),
      cell("progress", make("span", { class: "bar" }, make("i")), make("span", { class: "sub" })),
      ...this.data.columns.map((c) => cell(c.key in WIDTHS ? "plain" : "metric", make(c.key in WIDTHS ? "span" : "b"), make("span", { class: "sub" }))));
    row.addEventListener("click", (e) => { if (!e.target.closest("a, input")) this.only(run.id, e); });
    row.addEventListener("dblclick", () => this.open(run.id));
    Object.assign(row, { uid: run.id, box, link });
    row.dataset.run = run.id;
    return row;
  }

  fill(row, run) {
    const at = (selector) => row.querySelector(selector);
    put(row.link, run.name);
    row.link.title = run.note ? `${run.name}\n\n${run.note}` : run.name;
    put(at(".of"), run.archived ? `${run.data} · archived` : run.data);
    const tags = at(".tags");
    if (tags.dataset.tags !== run.tags.join(",")) {
      tags.dataset.tags = run.tags.join(",");
      tags.replaceChildren(...run.tags.map((tag) => make("i", { class: "tag", text: tag })));
    }
    const pill = at(".pill");
    put(pill, run.kind || run.state); // a parked run is paused, a held one queued: the tip says so
    pill.classList.toggle("silent", run.silent);
    pill.dataset.state = run.state;
    pill.title = run.state_help;
    pill.style.setProperty("--c", `var(--wb-state-${run.state}, #8089a0)`);
    const bar = at(".bar");
    bar.style.setProperty("--c", `var(--wb-state-${run.state}, #8089a0)`);
    bar.firstChild.style.width = `${(100 * run.progress).toFixed(1)}%`;
    put(at(".progress .sub"), run.progress_text);
    this.data.columns.forEach((column, i) => {
      const [first, second] = row.children[4 + i].children;
      const [text, below = ""] = run.cells[column.key];
      put(first, text);
      put(second, below);
      if (column.key === "created") first.title = run.created;
      else if (column.key === "model") first.title = text;
    });
    const isChosen = this.chosen.has(run.id);
    row.box.checked = isChosen;
    row.box.setAttribute("aria-label", `Choose ${run.name}`);
    row.classList.toggle("chosen", isChosen);
    row.classList.toggle("away", run.archived);
    row.setAttribute("aria-selected", isChosen);
  }

  toggle(id) { this.chosen.has(id) ? this.chosen.delete(id) : this.chosen.add(id); this.last = id; this.changed(); }
  only(id, e) {
    if (e.ctrlKey || e.metaKey) { this.toggle(id); return; }
    if (e.shiftKey && this.last) { this.span(id); return; }
    const alone = this.chosen.size === 1 && this.chosen.has(id);
    this.chosen = new Set(alone ? [] : [id]);
    this.last = id;
    this.changed();
  }
  /** All rows between the last chosen one and this. */
  span(id) {
    const ids = this.data.rows.map((run) => run.id);
    const [a, b] = [ids.indexOf(this.last), ids.indexOf(id)].sort((x, y) => x - y);
    ids.slice(Math.max(0, a), b + 1).forEach((each) => this.chosen.add(each));
    getSelection()?.removeAllRanges();
    this.changed();
  }
  chooseAll() {
    for (const run of this.data.rows) this.all.checked ? this.chosen.add(run.id) : this.chosen.delete(run.id);
    this.changed();
  }
  changed() { this.draw(); this.tell(); }
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
  if (!host.table) {
    host.table = new Table(host);
    host.show = unlessPressed(host, (newest) => host.table.update(newest));
  }
  host.table.tell = () => setStateValue("chosen", [...host.table.chosen]);
  host.table.open = (id) => setTriggerValue("open", id);
  // A state, not a trigger: of two quick clicks the second counts. The direction is said outright, since Streamlit
  // may hand one click to two runs of the script.
  host.table.order = (key) => {
    const { sort, down, columns } = host.table.data;
    const falls = key !== "name" && !columns.find((column) => column.sort === key)?.rises; // the best ones come first
    setStateValue("sort", [key, key === sort ? !down : falls, Date.now()]);
  };
  host.show(data);
}
