// The waiting runs in their order. Rows are kept by run id, so that an update every two seconds moves neither
// the choice nor the focus. Texts are always set through textContent.

class Queue {
  constructor(host) {
    this.host = host;
    this.rows = new Map();
    this.chosen = new Set();
    this.all = make("input", { type: "checkbox", "aria-label": "Choose all that wait", onchange: () => this.chooseAll() });
    this.count = make("span", { role: "status" });
    this.hold = make("button", { type: "button", title: "They wait until they are released", onclick: () => this.many("hold") }, "Hold");
    this.release = make("button", { type: "button", title: "They start when their turn comes, at the place they kept", onclick: () => this.many("release") }, "Release");
    this.drop = make("button", { type: "button", title: "Take them out of the queue; they can be resumed", onclick: () => this.many("stop") }, "Stop");
    this.list = make("ol", { class: "list", "aria-label": "Waiting runs" });
    host.replaceChildren(make("div", { class: "bar" }, make("label", {}, this.all, this.count), this.hold, this.release, this.drop), this.list);
    // Streamlit listens for single keys on the document; keys pressed here must not reach it.
    host.addEventListener("keydown", (e) => { this.key(e); e.stopPropagation(); });
  }

  update(data) {
    this.data = data;
    const here = new Set(data.rows.map((run) => run.id));
    for (const [id, row] of this.rows) if (!here.has(id)) { row.remove(); this.rows.delete(id); this.chosen.delete(id); }
    data.rows.forEach((run, index) => {
      let row = this.rows.get(run.id);
      if (!row) { row = this.row(run); this.rows.set(run.id, row); }
      if (this.list.children[index] !== row) this.list.insertBefore(row, this.list.children[index] ?? null);
      this.fill(row, run, index);
    });
    if (this.focus) { // the row that was moved keeps its button under the finger
      this.rows.get(this.focus.id)?.querySelector(`[data-act=${this.focus.act}]`)?.focus();
      this.focus = null;
    }
    this.draw();
  }

  row(run) {
    const box = make("input", { type: "checkbox", onchange: () => { box.checked ? this.chosen.add(run.id) : this.chosen.delete(run.id); this.draw(); } });
    const link = make("a", { href: `${this.data.base}live?run=${encodeURIComponent(run.id)}` });
    const act = (name, sign, label, go) => make("button", { type: "button", class: "go", "data-act": name, title: label, onclick: go }, sign);
    const hold = make("button", { type: "button", class: "hold", "data-act": "hold", onclick: () => this.ask({ verb: row.held ? "release" : "hold", ids: [run.id] }) });
    const row = make("li", { "data-run": run.id }, box, make("span", { class: "place" }), make("div", {}, link, make("small")), make("span", { class: "why" }),
      make("div", { class: "acts" }, act("first", "⤒", "To the head of the queue", () => this.move(run.id, "first")),
        act("up", "↑", "One place up", () => this.move(run.id, "up")), act("down", "↓", "One place down", () => this.move(run.id, "down")), hold));
    Object.assign(row, { box, link, hold });
    return row;
  }

  fill(row, run, index) {
    row.held = run.held;
    row.classList.toggle("held", run.held);
    row.dataset.held = run.held;
    put(row.link, run.name);
    put(row.querySelector(".place"), String(index + 1));
    put(row.querySelector("small"), `${run.data} · ${run.since}`);
    const why = row.querySelector(".why");
    put(why, run.why);
    why.title = run.why;
    put(row.hold, run.held ? "Release" : "Hold");
    row.box.setAttribute("aria-label", `Choose ${run.name}`);
    for (const button of row.querySelectorAll("[data-act]")) button.setAttribute("aria-label", `${button.title || button.textContent}: ${run.name}`);
    const last = this.data.rows.length - 1;
    row.querySelector("[data-act=first]").disabled = row.querySelector("[data-act=up]").disabled = index === 0;
    row.querySelector("[data-act=down]").disabled = index === last;
  }

  draw() {
    const n = this.chosen.size;
    const total = this.data.total;
    const more = total > this.data.rows.length ? `, the first ${this.data.rows.length} shown` : "";
    put(this.count, n ? `${n} chosen` : `All ${total}${more}`);
    this.all.checked = n > 0 && n === this.data.rows.length;
    this.all.indeterminate = n > 0 && !this.all.checked;
    const aimed = this.data.rows.filter((run) => !n || this.chosen.has(run.id));
    put(this.hold, n ? "Hold" : "Hold all");
    put(this.release, n ? "Release" : "Release all");
    this.hold.disabled = aimed.every((run) => run.held);
    this.release.disabled = aimed.every((run) => !run.held);
    this.drop.hidden = !n;
    for (const [id, row] of this.rows) { row.box.checked = this.chosen.has(id); row.classList.toggle("chosen", row.box.checked); }
    this.host.dataset.waiting = total;
    this.host.dataset.order = this.data.rows.map((run) => run.id).join(" ");
  }

  chooseAll() {
    this.chosen = new Set(this.all.checked ? this.data.rows.map((run) => run.id) : []);
    this.draw();
  }

  many(verb) {
    this.ask(this.chosen.size ? { verb, ids: [...this.chosen] } : { verb, all: true });
    this.chosen.clear();
    this.draw();
  }

  move(id, where) {
    const ids = this.data.rows.map((run) => run.id);
    const i = ids.indexOf(id);
    const before = where === "first" ? ids[0] : where === "up" ? ids[i - 1] : ids[i + 2] ?? null;
    if (where === "down" && i + 2 >= ids.length && this.data.total > ids.length) return; // what follows is not in the list
    this.focus = { id, act: where };
    this.ask({ verb: "move", id, before });
  }

  key(e) {
    const row = e.target.closest?.("li");
    if (!row || !e.altKey) return;
    const where = { ArrowUp: "up", ArrowDown: "down", Home: "first" }[e.key];
    if (!where) return;
    e.preventDefault();
    const button = row.querySelector(`[data-act=${where}]`);
    if (!button.disabled) this.move(row.dataset.run, where);
  }
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const host = parentElement.querySelector(".wb-queue");
  if (!host.queue) {
    host.queue = new Queue(host);
    host.show = unlessPressed(host, (newest) => host.queue.update(newest));
  }
  host.queue.ask = (request) => setTriggerValue("ask", request);
  host.show(data);
}
