// The layer editor: a dense table of layers, edited in place. The browser holds the stack and its history;
// Python answers each edit with shapes, parameters and problems. An answer is shown only if it belongs to the
// newest edit (`seq`), and the stack itself is taken over only when Python changed it (`rev`).
// Texts are always set through textContent: names and messages are never markup.

const TYPING_MS = 150;

function make(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "text") node.textContent = value;
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children);
  return node;
}
// Drawn here, so that no font must bring the signs. Each is a path on a 16 by 16 field.
const ICONS = {
  up: "M8 13V3M4 7l4-4 4 4", down: "M8 3v10M4 9l4 4 4-4", plus: "M8 3v10M3 8h10", cross: "M4 4l8 8M12 4l-8 8",
  copy: "M6 6h7v7H6zM10 6V3H3v7h3", undo: "M6 3L3 6l3 3M3 6h6a4 4 0 0 1 0 8H6", redo: "M10 3l3 3-3 3M13 6H7a4 4 0 0 0 0 8h3",
  grip: "M6 3v.01M10 3v.01M6 8v.01M10 8v.01M6 13v.01M10 13v.01",
};
function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}
const number = (n) => Number(n).toLocaleString("en-US");
function compact(n) {
  for (const [size, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (n >= size) return `${(n / size).toPrecision(3)} ${unit}`;
  return String(n);
}
let uids = 0;

class Editor {
  constructor(host) {
    this.host = host;
    this.nonce = Math.random().toString(36).slice(2);
    this.seq = 0;
    this.layers = [];
    this.past = [];
    this.future = [];
    this.opened = new Set();
    this.nodes = new Map();
    this.build();
  }

  // ------------------------------------------------------------ from Python

  update(data) {
    this.data = data;
    const first = this.rev === undefined;
    if (data.rev !== this.rev) {
      if (!first) this.remember();
      clearTimeout(this.timer);
      this.rev = data.rev;
      this.layers = data.layers.map((layer) => ({ uid: ++uids, ...layer }));
      this.seq += 1;
      this.report = data.report;
      this.settled();
      this.render();
    } else if (data.echo && data.echo.nonce === this.nonce && data.echo.seq === this.seq) {
      this.report = data.report;
      this.settled();
      this.annotate();
      this.mendWanted();
    } else if (this.acked === this.seq) {
      this.report = data.report; // same stack, but the data set or the classes changed
      this.annotate();
    }
  }

  settled() {
    this.acked = this.seq;
    clearTimeout(this.slow);
    this.host.classList.remove("pending");
    this.host.dataset.seq = this.seq;
    this.host.dataset.acked = this.acked;
  }

  // ------------------------------------------------------------ edits

  plain() {
    return this.layers.map(({ uid, ...layer }) => layer);
  }

  remember(tag) {
    const now = performance.now();
    // Typing in one field is one step of history, however many keys it takes.
    if (!(tag && tag === this.tag && now - this.tagged < 1500)) {
      this.past.push(JSON.stringify(this.layers));
      if (this.past.length > 200) this.past.shift();
    }
    this.tag = tag;
    this.tagged = now;
    this.future = [];
  }

  edit(change, { tag, delay = 0, redraw = true, say } = {}) {
    this.remember(tag);
    change();
    this.changed(delay, redraw, say);
  }

  changed(delay, redraw, say) {
    this.seq += 1;
    this.host.dataset.seq = this.seq;
    clearTimeout(this.slow);
    this.slow = setTimeout(() => this.host.classList.add("pending"), 500);
    if (redraw) this.render();
    this.history();
    if (say) this.live.textContent = say;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), delay);
  }

  flush() {
    clearTimeout(this.timer);
    this.timer = null;
    this.send({ nonce: this.nonce, seq: this.seq, rev: this.rev, layers: this.plain() });
  }

  travel(from, to, say) {
    if (!from.length) return;
    to.push(JSON.stringify(this.layers));
    this.layers = JSON.parse(from.pop());
    this.tag = undefined;
    this.changed(0, true, say);
  }
  undo() { this.travel(this.past, this.future, "Undone"); }
  redo() { this.travel(this.future, this.past, "Done again"); }

  fresh(kind, old = {}) {
    const layer = { uid: ++uids, kind };
    for (const field of this.data.menu.kinds[kind].fields)
      layer[field.name] = field.name in old ? old[field.name] : field.default;
    return layer;
  }
  at(uid) { return this.layers.findIndex((layer) => layer.uid === uid); }

  add(kind, index) {
    const layer = this.fresh(kind);
    this.edit(() => this.layers.splice(index, 0, layer), { say: `${kind} added as layer ${index}` });
    this.select(layer.uid, true);
  }
  swap(uid, kind) {
    const index = this.at(uid);
    const layer = this.fresh(kind, this.layers[index]);
    this.edit(() => this.layers.splice(index, 1, layer), { say: `layer ${index} is now ${kind}` });
    this.select(layer.uid, true);
  }
  remove(uid) {
    const index = this.at(uid);
    if (index < 0) return;
    const { kind } = this.layers[index];
    this.edit(() => this.layers.splice(index, 1), { say: `${kind} removed` });
    const next = this.layers[Math.min(index, this.layers.length - 1)];
    if (next) this.select(next.uid, true);
    else this.addButton.focus();
  }
  duplicate(uid) {
    const index = this.at(uid);
    const copy = { ...this.layers[index], uid: ++uids };
    this.edit(() => this.layers.splice(index + 1, 0, copy), { say: `${copy.kind} duplicated` });
    this.select(copy.uid, true);
  }
  move(uid, to, keepFocus) {
    const from = this.at(uid);
    if (to < 0 || to >= this.layers.length || to === from) return;
    const active = keepFocus && this.root().activeElement;
    this.edit(() => this.layers.splice(to, 0, ...this.layers.splice(from, 1)), {
      say: `${this.layers[from].kind} moved to place ${to}`,
    });
    this.select(uid, !active);
    if (active && active.isConnected) active.focus();
  }
  // A repair was worked out for the stack as Python last saw it. If more has been typed since, wait for
  // the answer to that, and take the repair of the same name from there.
  mend(uid, fix) {
    if (this.acked === this.seq) return this.cure(fix.layers);
    this.wanted = [uid, fix.label];
    return this.flush();
  }
  mendWanted() {
    if (!this.wanted || this.acked !== this.seq) return;
    const [uid, label] = this.wanted;
    this.wanted = null;
    const problems = uid === null ? this.report.problems : this.report.rows[this.at(uid)]?.problems ?? [];
    const found = problems.find((p) => p.fix?.label === label);
    if (found) this.cure(found.fix.layers);
  }
  cure(layers) {
    this.edit(() => { this.layers = layers.map((layer) => ({ uid: ++uids, ...layer })); }, { say: "Repaired" });
    this.list.focus();
  }

  // ------------------------------------------------------------ drawing

  root() { return this.host.getRootNode(); }

  build() {
    this.totals = make("div", { class: "totals" });
    this.undoButton = make("button", { class: "tool", title: "Undo (Ctrl+Z)", "aria-label": "Undo", onclick: () => this.undo() }, icon("undo"));
    this.redoButton = make("button", { class: "tool", title: "Redo (Ctrl+Y)", "aria-label": "Redo", onclick: () => this.redo() }, icon("redo"));
    const keys = "Keys: ↑ ↓ choose a row · Enter edit its fields · Esc back to the row · Alt+↑ ↓ move · Ctrl+D duplicate · Delete remove · Ctrl+Z undo · Ctrl+Y redo";
    const help = make("button", { class: "tool", title: keys, "aria-label": "Keys", text: "?", onclick: () => { this.hint.textContent = keys; } });
    this.list = make("div", { class: "list", role: "list", tabindex: "-1", "aria-label": "Layers, first to last" });
    this.entry = make("div", { class: "edge entry" });
    this.exit = make("div", { class: "edge exit" });
    this.addButton = make("button", { class: "add", onclick: (e) => this.open(e.currentTarget, { index: this.layers.length }) }, icon("plus"), "Add layer");
    this.hint = make("div", { class: "hint", role: "note" });
    this.live = make("div", { class: "unseen", "aria-live": "polite" });
    this.loose = make("div", { class: "notes" });
    const head = make("div", { class: "head", "aria-hidden": "true" },
      make("span"), make("span", { text: "#" }), make("span", { text: "Layer" }), make("span", { text: "Settings" }),
      make("span", { class: "r", text: "Output" }), make("span", { class: "r", text: "Parameters" }), make("span"));
    this.menu = this.buildMenu();
    this.host.replaceChildren(
      make("div", { class: "bar" }, this.totals, make("div", { class: "tools" }, this.undoButton, this.redoButton, help)),
      make("div", { class: "table" }, head, this.entry, this.list, this.loose, this.exit),
      make("div", { class: "foot" }, this.addButton, this.hint), this.live, this.menu);
    // Streamlit listens for single keys (r, c) on the document; keys typed here must not reach it.
    this.host.addEventListener("keydown", (e) => { this.key(e); e.stopPropagation(); });
    this.host.addEventListener("focusin", (e) => this.describe(e.target));
    this.host.addEventListener("focusout", (e) => {
      if (this.timer) this.flush();
      if (!this.host.contains(e.relatedTarget)) this.hint.textContent = "";
    });
    this.grip();
  }

  history() {
    this.undoButton.disabled = !this.past.length;
    this.redoButton.disabled = !this.future.length;
  }

  render() {
    const keep = new Set(this.layers.map((layer) => layer.uid));
    for (const [uid, node] of this.nodes)
      if (!keep.has(uid)) { node.remove(); this.nodes.delete(uid); }
    if (!keep.has(this.selected)) this.selected = this.layers[0]?.uid;
    this.layers.forEach((layer, index) => {
      let node = this.nodes.get(layer.uid);
      if (node && node.dataset.kind !== layer.kind) { node.remove(); node = null; }
      if (!node) { node = this.row(layer); this.nodes.set(layer.uid, node); }
      if (this.list.children[index] !== node) this.list.insertBefore(node, this.list.children[index] ?? null);
      node.index.textContent = index;
      node.setAttribute("tabindex", layer.uid === this.selected ? "0" : "-1");
      node.classList.toggle("selected", layer.uid === this.selected);
      this.values(node, layer);
    });
    this.host.classList.toggle("empty", !this.layers.length);
    this.host.dataset.layers = this.layers.length;
    this.history();
    this.annotate();
  }

  values(node, layer) {
    const active = this.root().activeElement;
    let other = 0;
    const told = [];
    for (const [name, input] of node.inputs) {
      const value = layer[name];
      if (input.type === "checkbox") input.checked = Boolean(value);
      else if (input !== active || Number(input.value) !== value) {
        const text = value === null || value === undefined ? "" : String(value);
        if (input.value !== text && !(input === active && this.tag)) input.value = text;
      }
      if (input.field.advanced && value !== input.field.default) {
        other += 1;
        told.push(typeof value === "boolean" ? (value ? name : `no ${name}`) : `${name} ${value}`);
      }
    }
    if (node.more) {
      const isOpen = this.opened.has(layer.uid);
      node.more.textContent = isOpen ? "less" : other ? told.join(", ") : "more";
      node.more.classList.toggle("told", other > 0 && !isOpen);
      node.more.setAttribute("aria-expanded", isOpen);
      node.classList.toggle("open", isOpen);
    }
  }

  row(layer) {
    const kind = this.data.menu.kinds[layer.kind];
    const uid = layer.uid;
    const basic = make("div", { class: "fields" });
    const rare = make("div", { class: "fields rare" });
    const inputs = new Map();
    for (const field of kind.fields) {
      const input = this.input(uid, field);
      inputs.set(field.name, input);
      const label = make("label", { class: field.type === "bool" ? "field bool" : "field" },
        make("span", { text: field.name }), input);
      (field.advanced ? rare : basic).append(label);
    }
    let more = null;
    if (rare.children.length) {
      more = make("button", { class: "more", title: "Settings that are seldom changed", onclick: () => {
        this.opened.has(uid) ? this.opened.delete(uid) : this.opened.add(uid);
        this.values(node, this.layers[this.at(uid)]);
      } });
      basic.append(more);
    }
    const act = (name, label, run) => make("button", { class: `act ${name}`, title: label, "aria-label": label, tabindex: "-1", onclick: run }, icon(name));
    const node = make("div", { class: "row", role: "listitem", "data-kind": layer.kind, "aria-label": layer.kind },
      make("span", { class: "grip", title: "Drag to another place" }, icon("grip")),
      make("span", { class: "ix" }),
      make("button", { class: "kind", title: kind.help + " Click to exchange it for another kind.", tabindex: "-1",
        onclick: (e) => this.open(e.currentTarget, { uid }) },
        make("i", { class: "dot", style: `--c: var(--wb-group-${kind.group}, #8089a0)` }), make("span", { text: layer.kind })),
      basic, make("span", { class: "shape r" }),
      make("span", { class: "params r" }, make("span"), make("i", { class: "share" })),
      make("span", { class: "acts" },
        act("up", "Move up (Alt+↑)", () => this.move(uid, this.at(uid) - 1)),
        act("down", "Move down (Alt+↓)", () => this.move(uid, this.at(uid) + 1)),
        act("plus", "Add a layer below", (e) => this.open(e.currentTarget, { index: this.at(uid) + 1 })),
        act("copy", "Duplicate (Ctrl+D)", () => this.duplicate(uid)),
        act("cross", "Remove (Delete)", () => this.remove(uid))),
      rare, make("div", { class: "notes" }));
    node.addEventListener("focusin", () => this.select(uid, false));
    node.addEventListener("mousedown", (e) => { if (e.target === node || e.target.classList.contains("r")) this.select(uid, true); });
    Object.assign(node, { uid, inputs, more, index: node.querySelector(".ix"), notes: node.lastChild });
    return node;
  }

  input(uid, field) {
    const label = `${field.name}${field.unit ? `, ${field.unit}` : ""}`;
    let input;
    if (field.type === "bool") {
      input = make("input", { type: "checkbox", "aria-label": label });
      input.addEventListener("change", () => this.set(uid, field, input.checked, 0));
    } else if (field.type === "choice") {
      input = make("select", { "aria-label": label }, ...field.options.map((o) => make("option", { value: o, text: o })));
      input.addEventListener("change", () => this.set(uid, field, input.value, 0));
    } else {
      input = make("input", { type: "number", step: field.type === "int" ? 1 : "any", min: field.lo, max: field.hi,
        placeholder: field.optional ? "auto" : "", "aria-label": label, inputmode: field.type === "int" ? "numeric" : "decimal" });
      input.addEventListener("input", () => {
        const text = input.value.trim();
        const value = text === "" ? (field.optional ? null : "") : Number(text);
        this.set(uid, field, value, TYPING_MS);
      });
    }
    input.dataset.name = field.name;
    input.field = field;
    return input;
  }

  set(uid, field, value, delay) {
    const layer = this.layers[this.at(uid)];
    if (!layer || layer[field.name] === value) return;
    this.edit(() => { layer[field.name] = value; }, { tag: `${uid}.${field.name}`, delay, redraw: false });
    this.values(this.nodes.get(uid), layer);
  }

  annotate() {
    const report = this.report;
    if (!report || report.rows.length !== this.layers.length) return;
    let broken = false;
    this.layers.forEach((layer, index) => {
      const node = this.nodes.get(layer.uid);
      const row = report.rows[index];
      const isFirst = row.problems.some((p) => p.severity === "error") && !broken;
      broken ||= isFirst;
      node.classList.toggle("error", row.problems.some((p) => p.severity === "error"));
      node.classList.toggle("warning", row.problems.length > 0 && row.problems.every((p) => p.severity === "warning"));
      const shape = node.querySelector(".shape");
      shape.textContent = row.shape ?? "—";
      shape.title = row.shape ? this.words(row.shape) : "Known once the layers before it work";
      node.querySelector(".params > span").textContent = !row.shape ? "—" : row.parameters ? number(row.parameters) : "0";
      node.querySelector(".params").classList.toggle("zero", !row.parameters);
      const share = node.querySelector(".share");
      share.style.setProperty("--w", `${(100 * row.share).toFixed(1)}%`);
      share.parentElement.title = row.parameters
        ? `${number(row.parameters)} parameters, ${(100 * row.share).toFixed(1)} % of the model · ${number(row.mult_adds)} multiply-adds per image`
        : "Nothing to learn in this layer";
      for (const [name, input] of node.inputs) {
        const wrong = row.problems.some((p) => p.field === name);
        input.classList.toggle("wrong", wrong);
        input.setAttribute("aria-invalid", wrong);
        if (wrong && input.field.advanced) { this.opened.add(layer.uid); this.values(node, layer); }
      }
      this.note(node.notes, row.problems, layer.uid);
    });
    this.note(this.loose, report.problems, null);
    const t = report.totals;
    this.entry.replaceChildren(make("span", { text: "Input" }), make("b", { text: report.input, title: this.words(report.input) }));
    const fits = t.complete && t.output === String(report.classes);
    this.exit.replaceChildren(make("span", { text: "Output" }), make("b", { text: t.complete ? t.output : "—" }),
      make("span", { class: fits ? "good" : "soft", text: fits ? `✓ one score for each of ${report.classes} classes` : `needs one score for each of ${report.classes} classes` }));
    const fact = (value, name, title) => make("span", { title }, make("b", { text: value }), make("span", { text: ` ${name}` }));
    this.totals.replaceChildren(
      fact(number(t.layers), t.layers === 1 ? "layer" : "layers", "Rows of the table"),
      fact(`${t.complete ? "" : "≥ "}${number(t.parameters)}`, "parameters", "Numbers that training adjusts"),
      fact(`${t.complete ? "" : "≥ "}${compact(t.mult_adds)}`, "mult-adds", "Multiplications and additions to judge one image"),
      fact(`${t.complete ? "" : "≥ "}${compact(4 * t.parameters).replace(/\d$/, "$& ")}B`, "weights", "Size of the weights as 32-bit numbers"));
    this.host.dataset.parameters = t.parameters;
    this.host.dataset.ok = report.ok;
  }

  words(shape) {
    const n = shape.split("×");
    return n.length === 3 ? `${n[0]} channel${n[0] === "1" ? "" : "s"} of ${n[1]} × ${n[2]} pixels` : `${shape} numbers`;
  }

  note(box, problems, uid) {
    box.replaceChildren(...problems.map((p) => {
      const line = make("div", { class: `note ${p.severity}`, role: p.severity === "error" ? "alert" : "note" },
        make("span", { class: "sign", text: p.severity === "error" ? "!" : "i", "aria-hidden": "true" }),
        make("span", { class: "say", text: `${sentence(p.rule)}, but ${p.fact}.${p.repair ? ` ${p.repair}` : ""}` }));
      if (p.fix) line.append(make("button", { class: "fix", text: p.fix.label, onclick: () => this.mend(uid, p.fix) }));
      return line;
    }));
  }

  describe(target) {
    const field = target.field;
    if (!field) return;
    const range = [field.range, field.unit].filter(Boolean).join(" ");
    const normal = field.default === null ? "" : `usually ${typeof field.default === "boolean" ? (field.default ? "on" : "off") : field.default}`;
    this.hint.textContent = [field.help, range, normal].filter(Boolean).join(" · ");
  }

  select(uid, focus) {
    this.selected = uid;
    for (const [id, node] of this.nodes) {
      node.classList.toggle("selected", id === uid);
      node.setAttribute("tabindex", id === uid ? "0" : "-1");
    }
    if (focus) this.nodes.get(uid)?.focus();
  }

  // ------------------------------------------------------------ keyboard

  key(e) {
    const ctrl = e.ctrlKey || e.metaKey;
    const key = e.key.toLowerCase();
    const run = (action) => { e.preventDefault(); action(); };
    if (ctrl && key === "z") return run(() => (e.shiftKey ? this.redo() : this.undo()));
    if (ctrl && key === "y") return run(() => this.redo());
    const row = e.target.closest?.(".row");
    if (!row || this.menu.contains(e.target)) return undefined;
    const index = this.at(row.uid);
    if (e.altKey && e.key === "ArrowUp") return run(() => this.move(row.uid, index - 1, e.target !== row));
    if (e.altKey && e.key === "ArrowDown") return run(() => this.move(row.uid, index + 1, e.target !== row));
    if (ctrl && key === "d") return run(() => this.duplicate(row.uid));
    if (e.target !== row) {
      if (e.key === "Escape" || (e.key === "Enter" && e.target.matches("input"))) return run(() => row.focus());
      return undefined;
    }
    const go = (to) => this.layers[to] && this.select(this.layers[to].uid, true);
    if (e.key === "ArrowUp") return run(() => go(index - 1));
    if (e.key === "ArrowDown") return run(() => go(index + 1));
    if (e.key === "Home") return run(() => go(0));
    if (e.key === "End") return run(() => go(this.layers.length - 1));
    if (e.key === "Delete" || e.key === "Backspace") return run(() => this.remove(row.uid));
    if (e.key === "Enter" || e.key === "F2") return run(() => { const i = row.querySelector("input, select"); i?.focus(); i?.select?.(); });
    if (e.key === "+" || e.key === "Insert") return run(() => this.open(row, { index: index + 1 }));
    return undefined;
  }

  // ------------------------------------------------------------ drag

  grip() {
    this.list.addEventListener("pointerdown", (e) => {
      const grip = e.target.closest(".grip");
      if (!grip || e.button) return;
      e.preventDefault();
      const row = grip.closest(".row");
      const from = this.at(row.uid);
      const scroller = this.scroller();
      let to = from;
      this.select(row.uid, true);
      row.classList.add("dragged");
      grip.setPointerCapture(e.pointerId);
      const follow = (m) => {
        const rows = [...this.list.children];
        to = rows.filter((r) => r !== row && m.clientY > r.getBoundingClientRect().top + r.offsetHeight / 2).length;
        rows.forEach((r) => r.classList.remove("before", "after"));
        const rest = rows.filter((r) => r !== row);
        if (to !== from) (rest[to] ? rest[to].classList.add("before") : rest.at(-1)?.classList.add("after"));
        if (m.clientY < 90) scroller?.scrollBy(0, -16);
        else if (m.clientY > innerHeight - 90) scroller?.scrollBy(0, 16);
      };
      const drop = (m) => {
        grip.removeEventListener("pointermove", follow);
        grip.removeEventListener("pointerup", drop);
        grip.removeEventListener("pointercancel", drop);
        row.classList.remove("dragged");
        [...this.list.children].forEach((r) => r.classList.remove("before", "after"));
        if (m.type === "pointerup") this.move(row.uid, to);
      };
      grip.addEventListener("pointermove", follow);
      grip.addEventListener("pointerup", drop);
      grip.addEventListener("pointercancel", drop);
    });
  }
  scroller() {
    let node = this.root().host ?? this.host;
    while (node && !(node.scrollHeight > node.clientHeight && /auto|scroll/.test(getComputedStyle(node).overflowY))) node = node.parentElement;
    return node;
  }

  // ------------------------------------------------------------ the menu of kinds

  buildMenu() {
    this.search = make("input", { type: "search", placeholder: "Find a layer", "aria-label": "Find a layer", autocomplete: "off" });
    this.choices = make("div", { class: "choices", role: "listbox" });
    this.search.addEventListener("input", () => this.fill());
    const menu = make("div", { class: "menu", popover: "auto" }, this.search, this.choices);
    menu.addEventListener("keydown", (e) => {
      const items = [...this.choices.querySelectorAll("button")];
      const now = items.findIndex((i) => i.classList.contains("now"));
      const show = (i) => { items.forEach((b) => b.classList.remove("now")); items[i]?.classList.add("now"); items[i]?.scrollIntoView({ block: "nearest" }); };
      if (e.key === "ArrowDown") { e.preventDefault(); show(Math.min(items.length - 1, now + 1)); }
      if (e.key === "ArrowUp") { e.preventDefault(); show(Math.max(0, now - 1)); }
      if (e.key === "Enter") { e.preventDefault(); items[Math.max(0, now)]?.click(); }
    });
    return menu;
  }

  open(anchor, goal) {
    this.goal = goal;
    this.search.value = "";
    this.fill();
    this.menu.showPopover();
    const a = anchor.getBoundingClientRect(), m = this.menu.getBoundingClientRect();
    const below = a.bottom + 4 + m.height < innerHeight;
    this.menu.style.left = `${Math.max(8, Math.min(a.left, innerWidth - m.width - 8))}px`;
    this.menu.style.top = `${below ? a.bottom + 4 : Math.max(8, a.top - m.height - 4)}px`;
    this.search.focus();
  }

  fill() {
    const { groups, kinds } = this.data.menu;
    const wanted = this.search.value.trim().toLowerCase();
    const parts = [];
    for (const group of groups) {
      const found = Object.entries(kinds).filter(([kind, k]) => k.group === group.name &&
        (!wanted || `${kind} ${kind.replaceAll("_", " ")} ${k.help} ${group.title}`.toLowerCase().includes(wanted)));
      if (!found.length) continue;
      parts.push(make("div", { class: "group" }, make("i", { class: "dot", style: `--c: var(--wb-group-${group.name}, #8089a0)` }), make("span", { text: group.title })));
      found.sort(([a], [b]) => wanted ? b.startsWith(wanted) - a.startsWith(wanted) : 0);
      for (const [kind, k] of found)
        parts.push(make("button", { role: "option", "data-kind": kind, onclick: () => this.pick(kind) }, make("b", { text: kind }), make("span", { text: k.help })));
    }
    this.choices.replaceChildren(...(parts.length ? parts : [make("div", { class: "none", text: "No layer of that name" })]));
    this.choices.querySelector("button")?.classList.add("now");
  }

  pick(kind) {
    this.menu.hidePopover();
    if (this.goal.uid !== undefined) this.swap(this.goal.uid, kind);
    else this.add(kind, this.goal.index);
  }
}

// `kernel_size must be …` keeps its small letter: it is a name.
const sentence = (text) => (/^\w*_/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1));

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const host = parentElement.querySelector(".wb-editor");
  host.editor ??= new Editor(host);
  host.editor.send = (value) => setStateValue("edit", value);
  host.editor.update(data);
}
