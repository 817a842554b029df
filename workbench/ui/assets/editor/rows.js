// Drawing: the frame, a row per layer, a line per list of a group, and what Python says of each.

Object.assign(Editor.prototype, {
  root() { return this.host.getRootNode(); },

  build() {
    this.totals = make("div", { class: "totals" });
    const tool = (name, label, run, text) => make("button", { class: "tool", title: label, "aria-label": label.split(" (")[0], onclick: run }, text ?? icon(name));
    this.undoButton = tool("undo", "Undo (Ctrl+Z)", () => this.undo());
    this.redoButton = tool("redo", "Redo (Ctrl+Y)", () => this.redo());
    const keys = "Keys: ↑ ↓ choose a row (with Shift: several) · Enter edit its fields · Esc back to the row · Alt+↑ ↓ move · ← → fold · Ctrl+D duplicate · Ctrl+C X V copy, cut, paste, between designs too · Ctrl+G into a residual · Delete remove · Ctrl+Z undo · Ctrl+Y redo";
    const help = tool("", "Keys", () => { this.hint.textContent = keys; }, "?");
    help.title = keys;
    this.list = make("div", { class: "list", role: "list", tabindex: "-1", "aria-label": "Layers, first to last" });
    this.entry = make("div", { class: "edge entry" });
    this.exit = make("div", { class: "edge exit" });
    this.addButton = make("button", { class: "add", onclick: (e) => this.open(e.currentTarget, { list: this.scoring, index: this.scoring.length, depth: 0 }) }, icon("plus"), make("span", { text: "Add layer" }));
    this.between = make("div", { class: "edge between" });
    this.tie = make("input", { type: "checkbox", "data-name": "tie_embeddings" });
    this.tie.addEventListener("change", () => this.edit(() => { this.tree.tied = this.tie.checked; }, { redraw: false }));
    this.tieBox = make("label", { class: "tie" }, this.tie, make("span", { text: "Tie embeddings" }));
    this.bulk = make("div", { class: "bulk", hidden: true });
    this.hint = make("div", { class: "hint", role: "note" });
    this.live = make("div", { class: "unseen", "aria-live": "polite" });
    this.loose = make("div", { class: "notes" });
    const title = (text, told) => make("span", { class: "r", text, title: told });
    const head = make("div", { class: "head", "aria-hidden": "true" },
      make("span"), make("span", { text: "#" }), make("span", { text: "Layer" }), make("span", { text: "Settings" }),
      title("Output", "Of images: channels × height × width. Of texts: steps × features. One number: the length of a vector"),
      title("Sees", "Receptive field: side of the patch of the input image that one value depends on, in pixels"),
      title("Memory", "What one image or text leaves behind in this layer while training, as 32-bit numbers"),
      title("Parameters", "Numbers that training adjusts; the bar is the share of the model"), make("span"));
    head.children[5].classList.add("sees");
    head.children[6].classList.add("bytes");
    this.menu = this.buildMenu();
    this.host.replaceChildren(
      make("div", { class: "bar" }, this.totals, make("div", { class: "tools" }, this.tieBox, this.undoButton, this.redoButton, help)),
      make("div", { class: "table" }, head, this.entry, this.list, this.loose, this.exit),
      make("div", { class: "foot" }, this.addButton, this.bulk, this.hint), this.live, this.menu);
    // Streamlit listens for single keys (r, c) on the document; keys typed here must not reach it.
    this.host.addEventListener("keydown", (e) => { this.key(e); e.stopPropagation(); });
    this.host.addEventListener("focusin", (e) => this.describe(e.target));
    this.host.addEventListener("focusout", (e) => {
      if (this.timer) this.flush();
      if (!this.host.contains(e.relatedTarget)) this.hint.textContent = "";
    });
    this.grip();
  },

  /** Places whose groups are all unfolded. */
  visible() {
    const shut = (place) => place && (this.folded.has(place.layer.uid) || shut(place.parent));
    return this.places.filter((place) => !shut(place.parent));
  },

  render() {
    this.places = this.tree.all();
    const keep = new Set(this.places.map((place) => place.layer.uid));
    for (const [uid, node] of this.nodes) if (!keep.has(uid)) { node.remove(); this.nodes.delete(uid); }
    for (const uid of this.marked) if (!keep.has(uid)) this.marked.delete(uid);
    if (!keep.has(this.selected)) this.selected = this.places[0]?.layer.uid;
    const wanted = [];
    const lines = (layers, depth, path) => layers.forEach((layer, index) => {
      wanted.push(this.drawn(layer, depth, [...path, index]));
      if (!this.tree.isGroup(layer) || this.folded.has(layer.uid)) return;
      for (const slot of this.tree.lists(layer)) {
        const line = this.slotLine(layer, slot, depth + 1);
        if (line) wanted.push(line);
        lines(slot.list, depth + 1, [...path, index, ...slot.at]);
      }
      if (layer.kind === "parallel") wanted.push(this.branchLine(layer, depth + 1));
    });
    lines(this.layers, 0, []);
    if (this.paired) {
      this.between.target = { list: this.decoder, index: 0, depth: 0 };
      wanted.push(this.between);
      lines(this.decoder, 0, ["decoder"]);
    }
    wanted.forEach((node, i) => { if (this.list.children[i] !== node) this.list.insertBefore(node, this.list.children[i] ?? null); });
    while (this.list.children.length > wanted.length) this.list.lastChild.remove();
    this.host.classList.toggle("empty", !this.places.length);
    this.host.classList.toggle("text", this.data.report.reads === "text");
    this.addButton.lastChild.textContent = this.paired ? `Add to the ${this.data.report.names[1][0].toLowerCase()}` : "Add layer";
    this.tieBox.hidden = !this.data.tie && !this.tree.tied;
    this.tieBox.title = this.data.tie;
    this.tie.checked = this.tree.tied;
    this.host.dataset.layers = this.places.length;
    this.history();
    this.annotate();
    this.bar();
  },

  drawn(layer, depth, path) {
    let node = this.nodes.get(layer.uid);
    if (node && node.dataset.kind !== layer.kind) { node.remove(); node = null; }
    if (!node) { node = this.row(layer); this.nodes.set(layer.uid, node); }
    node.index.textContent = path.filter((part) => !["layers", "branches", "decoder"].includes(part)).map((part) => (part === "shortcut" ? "s" : part)).join(".");
    node.style.setProperty("--depth", depth);
    node.classList.toggle("nested", depth > 0);
    node.setAttribute("aria-level", depth + 1);
    if (node.fold) {
      const shut = this.folded.has(layer.uid);
      node.fold.setAttribute("aria-expanded", !shut);
      node.fold.title = shut ? "Unfold (→)" : "Fold (←)";
    }
    node.setAttribute("tabindex", layer.uid === this.selected ? "0" : "-1");
    node.classList.toggle("selected", layer.uid === this.selected);
    node.classList.toggle("marked", this.marked.size > 1 && this.marked.has(layer.uid));
    this.values(node, layer);
    return node;
  },

  /** The line above a list of a group; the layers of a residual or a repeat need none unless there are none. */
  slotLine(layer, slot, depth) {
    if (slot.name === "layers" && slot.list.length) return null;
    const title = slot.name === "branches" ? `Branch ${slot.at[1] + 1}` : slot.name === "shortcut" ? "Shortcut" : "Layers";
    const told = slot.list.length ? "" : slot.name === "shortcut" ? "automatic: nothing, or the projection that fits" : slot.name === "branches" ? "empty: passes its input on" : "none yet";
    const line = make("div", { class: "slot", style: `--depth: ${depth}` }, make("b", { text: title }), make("span", { text: told }),
      make("button", { class: "into", text: "+ add", "aria-label": `Add a layer to ${title.toLowerCase()}`, onclick: (e) => this.open(e.currentTarget, { list: slot.list, index: slot.list.length, depth }) }));
    if (slot.name === "branches" && layer.branches.length > 1)
      line.append(make("button", { class: "into", text: "remove", "aria-label": `Remove ${title.toLowerCase()}`, onclick: () => this.branch(layer.uid, slot.at[1]) }));
    line.target = { list: slot.list, index: 0, depth };
    return line;
  },
  branchLine(layer, depth) {
    return make("div", { class: "slot", style: `--depth: ${depth}` }, make("button", { class: "into", text: "+ branch", onclick: () => this.branch(layer.uid) }));
  },

  values(node, layer) {
    const active = this.root().activeElement;
    let other = 0;
    const told = [];
    for (const [name, input] of node.inputs) {
      const value = layer[name];
      if (input.type === "checkbox") input.checked = Boolean(value);
      else if (input !== active || (input.type === "text" ? input.value : Number(input.value)) !== value) {
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
  },

  row(layer) {
    const kind = this.data.menu.kinds[layer.kind];
    const uid = layer.uid;
    const basic = make("div", { class: "fields" });
    const rare = make("div", { class: "fields rare" });
    const inputs = new Map();
    for (const field of kind.fields) {
      const input = this.input(uid, field);
      inputs.set(field.name, input);
      const label = make("label", { class: field.type === "bool" ? "field bool" : "field" }, make("span", { text: field.name }), input);
      (field.advanced ? rare : basic).append(label);
    }
    let more = null;
    if (rare.children.length) {
      more = make("button", { class: "more", title: "Settings that are seldom changed", onclick: () => {
        this.opened.has(uid) ? this.opened.delete(uid) : this.opened.add(uid);
        this.values(node, this.place(uid).layer);
      } });
      basic.append(more);
    }
    const act = (name, label, run) => make("button", { class: `act ${name}`, title: label, "aria-label": label, tabindex: "-1", onclick: run }, icon(name));
    const fold = kind.slots ? make("button", { class: "fold", "aria-label": "Fold or unfold", tabindex: "-1", onclick: () => this.toggle(uid) }, icon("fold")) : null;
    const node = make("div", { class: kind.slots ? "row holds" : "row", role: "listitem", "data-kind": layer.kind, "aria-label": layer.kind },
      make("span", { class: "grip", title: "Drag to another place" }, icon("grip")),
      make("span", { class: "ix" }),
      make("span", { class: "name" }, ...(fold ? [fold] : []),
        make("button", { class: "kind", title: kind.help + " Click to exchange it for another kind.", tabindex: "-1", onclick: (e) => this.open(e.currentTarget, { uid }) },
          make("i", { class: "dot", style: `--c: var(--wb-group-${kind.group}, #8089a0)` }), make("span", { text: layer.kind }))),
      basic, make("span", { class: "shape r" }), make("span", { class: "sees r" }), make("span", { class: "bytes r" }),
      make("span", { class: "params r" }, make("span"), make("i", { class: "share" })),
      make("span", { class: "acts" },
        act("up", "Move up (Alt+↑)", () => this.move(uid, -1)),
        act("down", "Move down (Alt+↓)", () => this.move(uid, 1)),
        act("plus", "Add a layer below", (e) => { const { list, index, depth } = this.place(uid); this.open(e.currentTarget, { list, index: index + 1, depth }); }),
        kind.slots ? act("out", "Take its layers out of the group", () => this.unwrap(uid)) : act("copy", "Duplicate (Ctrl+D)", () => this.duplicate(uid)),
        act("cross", "Remove (Delete)", () => this.remove(uid))),
      rare, make("div", { class: "notes" }));
    node.addEventListener("focusin", () => this.select(uid, false));
    node.addEventListener("mousedown", (e) => {
      const plain = e.target === node || e.target.classList.contains("r") || e.target.classList.contains("ix");
      if (plain && (e.shiftKey || e.ctrlKey || e.metaKey)) { e.preventDefault(); this.choose(uid, e.shiftKey); }
      else if (plain) { this.mark([]); this.select(uid, true); }
    });
    Object.assign(node, { uid, inputs, more, fold, index: node.querySelector(".ix"), notes: node.lastChild });
    return node;
  },

  toggle(uid, shut = !this.folded.has(uid)) {
    shut ? this.folded.add(uid) : this.folded.delete(uid);
    this.render();
    this.select(uid, true);
  },

  input(uid, field) {
    const label = `${field.name}${field.unit ? `, ${field.unit}` : ""}`;
    let input;
    if (field.type === "bool") {
      input = make("input", { type: "checkbox", "aria-label": label });
      input.addEventListener("change", () => this.set(uid, field, input.checked, 0));
    } else if (field.type === "choice") {
      input = make("select", { "aria-label": label }, ...field.options.map((o) => make("option", { value: o, text: o })));
      input.addEventListener("change", () => this.set(uid, field, input.value, 0));
    } else if (field.type === "text") {
      input = make("input", { type: "text", "aria-label": label, spellcheck: "false", autocomplete: "off", placeholder: field.name === "source" ? "a folder or a name" : "" });
      input.addEventListener("input", () => this.set(uid, field, input.value, TYPING_MS));
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
  },

  set(uid, field, value, delay) {
    const layer = this.place(uid)?.layer;
    if (!layer || layer[field.name] === value) return;
    this.edit(() => { layer[field.name] = value; }, { tag: `${uid}.${field.name}`, delay, redraw: false });
    this.values(this.nodes.get(uid), layer);
  },

  describe(target) {
    const field = target.field;
    if (!field) return;
    const range = [field.range, field.unit].filter(Boolean).join(" ");
    const normal = field.default === null ? "" : `usually ${typeof field.default === "boolean" ? (field.default ? "on" : "off") : field.default}`;
    this.hint.textContent = [field.help, range, normal].filter(Boolean).join(" · ");
  },

  // ------------------------------------------------------------ choosing

  select(uid, focus) {
    this.selected = uid;
    if (!this.marked.has(uid)) this.mark([]);
    for (const [id, node] of this.nodes) {
      node.classList.toggle("selected", id === uid);
      node.setAttribute("tabindex", id === uid ? "0" : "-1");
    }
    if (focus) this.nodes.get(uid)?.focus();
  },
  mark(uids) {
    this.marked = new Set(uids);
    for (const [id, node] of this.nodes) node.classList.toggle("marked", this.marked.size > 1 && this.marked.has(id));
    this.bar();
  },
  /** Ctrl adds or takes away one row, Shift all rows up to it. */
  choose(uid, all) {
    const marked = new Set(this.marked.size ? this.marked : [this.selected]);
    if (all) {
      const shown = this.visible().map((place) => place.layer.uid);
      const [a, b] = [shown.indexOf(this.anchor ?? this.selected), shown.indexOf(uid)].sort((x, y) => x - y);
      shown.slice(a, b + 1).forEach((id) => marked.add(id));
    } else if (marked.has(uid)) marked.delete(uid);
    else marked.add(uid);
    this.mark([...marked]);
    if (marked.has(uid)) this.select(uid, true);
  },
  bar() {
    const n = this.marked.size;
    this.bulk.hidden = n < 2;
    if (n < 2) return;
    const act = (text, run) => make("button", { class: "fix", text, onclick: run });
    const uid = [...this.marked][0];
    this.bulk.replaceChildren(make("b", { text: `${n} layers chosen` }),
      act("Into a residual", () => this.wrap(uid, "residual")), act("Into a repeat", () => this.wrap(uid, "repeat")),
      act("Into a branch", () => this.wrap(uid, "parallel")), act("Duplicate", () => this.duplicate(uid)),
      act("Copy", () => this.copy(uid)), act("Remove", () => this.remove(uid)));
  },
});
