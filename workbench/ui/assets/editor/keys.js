// Keyboard and dragging.

Object.assign(Editor.prototype, {
  key(e) {
    const ctrl = e.ctrlKey || e.metaKey;
    const key = e.key.toLowerCase();
    const run = (action) => { e.preventDefault(); action(); };
    if (ctrl && key === "z") return run(() => (e.shiftKey ? this.redo() : this.undo()));
    if (ctrl && key === "y") return run(() => this.redo());
    if (this.menu.contains(e.target)) return undefined;
    const row = e.target.closest?.(".row");
    if (!row) return ctrl && key === "v" && e.target === this.list ? run(() => this.paste()) : undefined;
    if (e.altKey && e.key === "ArrowUp") return run(() => this.move(row.uid, -1, e.target !== row));
    if (e.altKey && e.key === "ArrowDown") return run(() => this.move(row.uid, 1, e.target !== row));
    if (ctrl && key === "d") return run(() => this.duplicate(row.uid));
    if (e.target !== row) {
      if (e.key === "Escape" || (e.key === "Enter" && e.target.matches("input"))) return run(() => row.focus());
      return undefined;
    }
    return this.rowKey(e, row, ctrl && key, run);
  },

  rowKey(e, row, chord, run) {
    const shown = this.visible().map((place) => place.layer.uid);
    const index = shown.indexOf(row.uid);
    const go = (to) => {
      const uid = shown[to];
      if (uid === undefined) return;
      if (e.shiftKey) { this.anchor ??= row.uid; this.marked = new Set([this.anchor]); return this.choose(uid, true); }
      this.anchor = undefined;
      this.mark([]);
      return this.select(uid, true);
    };
    const { layer, list, index: at, depth, parent } = this.place(row.uid);
    switch (chord) {
      case "c": return run(() => this.copy(row.uid));
      case "x": return run(() => this.copy(row.uid, true));
      case "v": return run(() => this.paste(row.uid));
      case "g": return run(() => this.wrap(row.uid, "residual"));
      case "a": return run(() => this.mark(list.map((one) => one.uid)));
    }
    switch (e.key) {
      case "ArrowUp": return run(() => go(index - 1));
      case "ArrowDown": return run(() => go(index + 1));
      case "Home": return run(() => go(0));
      case "End": return run(() => go(shown.length - 1));
      case "ArrowRight": return row.fold ? run(() => this.toggle(row.uid, false)) : undefined;
      case "ArrowLeft":
        if (row.fold && !this.folded.has(layer.uid)) return run(() => this.toggle(row.uid, true));
        return parent ? run(() => this.select(parent.layer.uid, true)) : undefined;
      case "Escape": return run(() => this.mark([]));
      case "Delete": case "Backspace": return run(() => this.remove(row.uid));
      case "Enter": case "F2": return run(() => { const i = row.querySelector("input, select"); i?.focus(); i?.select?.(); });
      case "+": case "Insert": return run(() => this.open(row, { list, index: at + 1, depth }));
    }
    return undefined;
  },

  // ------------------------------------------------------------ drag

  grip() {
    this.list.addEventListener("pointerdown", (e) => {
      const grip = e.target.closest(".grip");
      if (!grip || e.button) return;
      e.preventDefault();
      const row = grip.closest(".row");
      const scroller = this.scroller();
      let goal = null;
      this.select(row.uid, true);
      row.classList.add("dragged");
      grip.setPointerCapture(e.pointerId);
      const clear = () => [...this.list.children].forEach((line) => line.classList.remove("before", "after"));
      const follow = (m) => {
        clear();
        const lines = [...this.list.children];
        const line = lines.find((l) => m.clientY < l.getBoundingClientRect().bottom) ?? lines.at(-1);
        const box = line.getBoundingClientRect();
        const upper = m.clientY < box.top + box.height / 2;
        goal = line === row ? null : this.target(line, upper);
        if (goal) line.classList.add(upper && !line.target ? "before" : "after");
        if (m.clientY < 90) scroller?.scrollBy(0, -16);
        else if (m.clientY > innerHeight - 90) scroller?.scrollBy(0, 16);
      };
      const drop = (m) => {
        grip.removeEventListener("pointermove", follow);
        grip.removeEventListener("pointerup", drop);
        grip.removeEventListener("pointercancel", drop);
        row.classList.remove("dragged");
        clear();
        if (m.type === "pointerup" && goal) this.put(row.uid, goal.list, goal.index, goal.depth);
      };
      grip.addEventListener("pointermove", follow);
      grip.addEventListener("pointerup", drop);
      grip.addEventListener("pointercancel", drop);
    });
  },

  /** Where a layer dropped on the upper or lower half of a line goes. */
  target(line, upper) {
    if (line.target) return line.target; // the heading of a list: to its top
    const place = line.uid === undefined ? null : this.place(line.uid);
    if (!place) return null;
    const { layer, list, index, depth } = place;
    if (!upper && this.tree.isGroup(layer) && !this.folded.has(layer.uid)) {
      const first = this.tree.lists(layer)[0];
      if (first) return { list: first.list, index: 0, depth: depth + 1 };
    }
    return { list, index: index + (upper ? 0 : 1), depth };
  },

  scroller() {
    let node = this.root().host ?? this.host;
    while (node && !(node.scrollHeight > node.clientHeight && /auto|scroll/.test(getComputedStyle(node).overflowY))) node = node.parentElement;
    return node;
  },
});
