// The layer editor: a dense table of layers, edited in place. The browser holds the stack and its history;
// Python answers each edit with shapes, parameters and problems. An answer is shown only if it belongs to the
// newest edit (`seq`), and the stack itself is taken over only when Python changed it (`rev`).

const TYPING_MS = 150;
const MANY_ROWS = 24; // deeper stacks open with their groups folded

class Editor {
  constructor(host, data) {
    this.host = host;
    this.nonce = Math.random().toString(36).slice(2);
    this.seq = 0;
    this.tree = new Tree(data.menu);
    this.past = [];
    this.future = [];
    this.opened = new Set(); // rows whose rare settings are shown
    this.folded = new Set();
    this.marked = new Set(); // rows chosen together with the selected one
    this.nodes = new Map();
    this.data = data;
    this.build();
  }
  get layers() { return this.tree.layers; }
  get decoder() { return this.tree.decoder; }
  /** Whether there are two stacks: of a translator, or of a model that was one. */
  get paired() { return Boolean(this.data.report.paired || this.decoder.length); }
  /** The stack whose last layer gives the scores. */
  get scoring() { return this.paired ? this.decoder : this.layers; }

  // ------------------------------------------------------------ from Python

  update(data) {
    this.data = data;
    this.tree.menu = data.menu;
    const first = this.rev === undefined;
    if (data.rev !== this.rev) {
      if (!first) this.remember();
      clearTimeout(this.timer);
      this.rev = data.rev;
      this.tree.take(data.model);
      const all = this.tree.all();
      this.folded = new Set(all.length > MANY_ROWS ? all.filter((p) => !p.depth && this.tree.isGroup(p.layer)).map((p) => p.layer.uid) : []);
      this.marked.clear();
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
      this.report = data.report; // same stacks, but the data set or the classes changed
      this.render();
    }
  }

  settled() {
    this.acked = this.seq;
    clearTimeout(this.slow);
    this.host.classList.remove("pending");
    this.host.dataset.seq = this.seq;
    this.host.dataset.acked = this.acked;
  }

  // ------------------------------------------------------------ history

  remember(tag) {
    const now = performance.now();
    // Typing in one field is one step of history, however many keys it takes.
    if (!(tag && tag === this.tag && now - this.tagged < 1500)) {
      this.past.push(this.tree.snapshot());
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
    this.send({ nonce: this.nonce, seq: this.seq, rev: this.rev, model: this.tree.whole() });
  }

  travel(from, to, say) {
    if (!from.length) return;
    to.push(this.tree.snapshot());
    this.tree.restore(from.pop());
    this.tag = undefined;
    this.changed(0, true, say);
  }
  undo() { this.travel(this.past, this.future, "Undone"); }
  redo() { this.travel(this.future, this.past, "Done again"); }
  history() {
    this.undoButton.disabled = !this.past.length;
    this.redoButton.disabled = !this.future.length;
  }

  // ------------------------------------------------------------ edits

  place(uid) { return this.places.find((place) => place.layer.uid === uid); }

  /** Whether `layers` may stand in a list that `depth` groups surround; tells why not. */
  fits(layers, depth, gone = 0) {
    const { deepest, most } = this.data.menu;
    let why = "";
    if (layers.some((layer) => depth + this.tree.depth(layer) > deepest)) why = `Groups may stand ${deepest} deep.`;
    else if (this.tree.count(layers) + this.places.length - gone > most) why = `A model has at most ${most} layers.`;
    if (why) { this.hint.textContent = why; this.live.textContent = why; }
    return !why;
  }

  add(kind, list, index, depth) {
    const layer = this.tree.fresh(kind);
    const parts = this.shapeBefore(list, index)?.split("×") ?? [];
    const width = Number(parts.length === 3 ? parts[0] : parts.at(-1));
    if (kind === "residual" && width) // a new block begins as wide as what it gets: no projection needed
      for (const inner of layer.layers)
        for (const name of ["out_channels", "out_features"]) if (name in inner) inner[name] = width;
    if (this.looksBack(list)) for (const one of [layer, ...(layer.layers ?? [])]) if ("causal" in one) one.causal = true;
    if (!this.fits([layer], depth)) return;
    this.edit(() => list.splice(index, 0, layer), { say: `${kind} added` });
    this.select(layer.uid, true);
  }
  /** Whether layers in that list may see earlier tokens only: those of a language model, and of a decoder. */
  looksBack(list) {
    const within = (layers) => layers === list || layers.some((layer) => this.tree.lists(layer).some((slot) => within(slot.list)));
    return this.paired ? within(this.decoder) : this.data.causal;
  }
  /** What the last answer said comes out above that place: "32×26×26". */
  shapeBefore(list, index) {
    const above = this.places.findIndex((place) => place.layer === list[index - 1]);
    const shape = above < 0 ? this.report?.inputs[list === this.decoder ? 1 : 0] : this.report?.rows[above]?.shape;
    return shape?.includes("×") ? shape : undefined;
  }
  swap(uid, kind) {
    const { layer, list, index, depth } = this.place(uid);
    const fresh = this.tree.fresh(kind, this.tree.isGroup(layer) ? this.tree.plain([layer])[0] : layer);
    if (!this.fits([fresh], depth, this.tree.count([layer]))) return;
    this.edit(() => list.splice(index, 1, fresh), { say: `${layer.kind} is now ${kind}` });
    this.select(fresh.uid, true);
  }

  /** The rows that an action on `uid` is about: all that are chosen with it, without those inside others. */
  chosen(uid) {
    if (!this.marked.has(uid) || this.marked.size < 2) return [this.place(uid)].filter(Boolean);
    const inside = (place) => place.parent && (this.marked.has(place.parent.layer.uid) || inside(place.parent));
    return this.places.filter((place) => this.marked.has(place.layer.uid) && !inside(place));
  }

  remove(uid) {
    const gone = this.chosen(uid);
    if (!gone.length) return;
    const shown = this.visible();
    const next = shown.slice(shown.findIndex((p) => p === gone.at(-1)) + 1).find((p) => !gone.some((g) => p.path.join().startsWith(g.path.join())));
    const before = shown[shown.indexOf(gone[0]) - 1];
    this.edit(() => { for (const { list, layer } of gone) list.splice(list.indexOf(layer), 1); },
      { say: gone.length > 1 ? `${gone.length} layers removed` : `${gone[0].layer.kind} removed` });
    const left = next ?? before;
    if (left) this.select(left.layer.uid, true);
    else this.addButton.focus();
  }
  duplicate(uid) {
    const some = this.chosen(uid);
    const { list, index, depth } = some.at(-1);
    const copies = this.tree.grown(this.tree.plain(some.map((place) => place.layer)));
    if (!this.fits(copies, depth)) return;
    this.edit(() => list.splice(index + 1, 0, ...copies), { say: "Duplicated" });
    this.select(copies[0].uid, true);
    if (copies.length > 1) this.mark(copies.map((layer) => layer.uid));
  }
  /** Into a group of their own: residual, repeat or parallel. */
  wrap(uid, kind) {
    const some = this.chosen(uid);
    const { list, index, depth } = some[0];
    const inner = some.map((place) => place.layer);
    const group = this.tree.fresh(kind, { layers: [], branches: [[], []] });
    if (kind === "parallel") group.branches = [inner, []];
    else group.layers = inner;
    if (!this.fits([group], depth, inner.length)) return;
    this.edit(() => {
      for (const place of some.slice(1)) place.list.splice(place.list.indexOf(place.layer), 1);
      list.splice(index, 1, group);
    }, { say: `Put into a ${kind}` });
    this.select(group.uid, true);
  }
  unwrap(uid) {
    const { layer, list, index } = this.place(uid);
    const inner = this.tree.lists(layer).filter(({ name }) => name !== "shortcut").flatMap((slot) => slot.list);
    this.edit(() => list.splice(index, 1, ...inner), { say: `${layer.kind} taken apart` });
    if (inner[0]) this.select(inner[0].uid, true);
  }
  branch(uid, index) {
    const { layer } = this.place(uid);
    this.edit(() => (index === undefined ? layer.branches.push([]) : layer.branches.splice(index, 1)), { say: index === undefined ? "Branch added" : "Branch removed" });
    this.select(uid, true);
  }

  /** One place up or down in its list; at its end, out of the group. */
  move(uid, by, keepFocus) {
    const { list, index, parent, layer } = this.place(uid);
    const active = keepFocus && this.root().activeElement;
    const to = index + by;
    if (to < 0 || to >= list.length) {
      if (!parent) return;
      this.edit(() => { list.splice(index, 1); parent.list.splice(parent.index + (by > 0 ? 1 : 0), 0, layer); }, { say: `${layer.kind} moved out of the group` });
    } else this.edit(() => list.splice(to, 0, ...list.splice(index, 1)), { say: `${layer.kind} moved to place ${to}` });
    this.select(uid, !active);
    if (active && active.isConnected) active.focus();
  }
  /** To any place: `list` and `index` as they are before the move. */
  put(uid, list, index, depth) {
    const from = this.place(uid);
    const inside = (place) => place && (place.layer.uid === uid || inside(place.parent));
    const goal = this.places.find((place) => this.tree.lists(place.layer).some((slot) => slot.list === list));
    if (inside(goal) || !this.fits([from.layer], depth, this.tree.count([from.layer]))) return;
    const to = from.list === list && from.index < index ? index - 1 : index;
    if (from.list === list && from.index === to) return;
    this.edit(() => { from.list.splice(from.index, 1); list.splice(to, 0, from.layer); }, { say: `${from.layer.kind} moved` });
    this.select(uid, true);
  }

  // ------------------------------------------------------------ copies, across designs, tabs and windows

  copy(uid, cut) {
    const text = JSON.stringify(this.tree.plain(this.chosen(uid).map((place) => place.layer)));
    try { localStorage.setItem("workbench-layers", text); } catch { /* private windows have none */ }
    this.clip = text;
    navigator.clipboard?.writeText(text).catch(() => {});
    const say = `${JSON.parse(text).length === 1 ? "Layer" : `${JSON.parse(text).length} layers`} copied: Ctrl+V puts them into any design.`;
    this.hint.textContent = say;
    this.live.textContent = say;
    if (cut) this.remove(uid);
  }
  paste(uid) {
    let text = this.clip;
    try { text = localStorage.getItem("workbench-layers") ?? text; } catch { /* as above */ }
    let layers = [];
    try { layers = JSON.parse(text ?? "[]").filter((layer) => layer?.kind in this.data.menu.kinds); } catch { return; }
    if (!layers.length) return;
    layers = layers.map((layer) => this.tree.fresh(layer.kind, layer));
    const { list, index, depth } = this.place(uid) ?? { list: this.scoring, index: this.scoring.length - 1, depth: 0 };
    if (!this.fits(layers, depth)) return;
    this.edit(() => list.splice(index + 1, 0, ...layers), { say: "Pasted" });
    this.select(layers[0].uid, true);
    if (layers.length > 1) this.mark(layers.map((layer) => layer.uid));
  }

  // ------------------------------------------------------------ repairs

  // A repair was worked out for the stack as Python last saw it. If more has been typed since, wait for
  // the answer to that, and take the repair of the same name from there.
  mend(uid, fix) {
    if (this.acked === this.seq) return this.cure(fix);
    this.wanted = [uid, fix.label];
    return this.flush();
  }
  mendWanted() {
    if (!this.wanted || this.acked !== this.seq) return;
    const [uid, label] = this.wanted;
    this.wanted = null;
    const row = this.places.findIndex((place) => place.layer.uid === uid);
    const problems = uid === null ? this.report.problems : this.report.rows[row]?.problems ?? [];
    const found = problems.find((p) => p.fix?.label === label);
    if (found) this.cure(found.fix);
  }
  cure(fix) {
    this.edit(() => this.tree.apply(fix.edits), { say: "Repaired" });
    this.list.focus();
  }
}
