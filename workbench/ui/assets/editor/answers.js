// What Python answered, written beside the layers: shapes, costs, faults with their repairs, totals.

Object.assign(Editor.prototype, {
  annotate() {
    const report = this.report;
    if (!report || report.rows.length !== this.places.length) return;
    if (this.reveal(report)) return;
    this.places.forEach((place, i) => {
      const node = this.nodes.get(place.layer.uid);
      if (node) this.tell(node, place.layer, report.rows[i]);
    });
    this.note(this.loose, report.problems, null);
    this.edges(report);
    this.sums(report.totals);
    this.host.dataset.parameters = report.totals.parameters;
    this.host.dataset.ok = report.ok;
  },

  /** Unfold the groups around a fault; true when that has drawn everything anew. */
  reveal(report) {
    let opened = false;
    this.places.forEach((place, i) => {
      if (!report.rows[i].problems.some((p) => p.severity === "error")) return;
      for (let around = place.parent; around; around = around.parent) opened = this.folded.delete(around.layer.uid) || opened;
    });
    if (opened) this.render();
    return opened;
  },

  tell(node, layer, row) {
    node.classList.toggle("error", row.problems.some((p) => p.severity === "error"));
    node.classList.toggle("warning", row.problems.length > 0 && row.problems.every((p) => p.severity === "warning"));
    const shape = node.querySelector(".shape");
    shape.textContent = row.shape ?? "—";
    shape.title = row.shape ? words(row.shape) : "Known once the layers before it work";
    const sees = node.querySelector(".sees");
    sees.textContent = !row.shape ? "—" : row.sees === null ? "all" : `${number(row.sees)} px`;
    sees.title = !row.shape ? "" : row.sees === null ? "A value depends on the whole image" : `A value depends on ${row.sees} × ${row.sees} pixels of the image`;
    const memory = node.querySelector(".bytes");
    memory.textContent = row.shape ? bytes(row.bytes) : "—";
    memory.title = row.shape ? `For each ${this.sample()} of a batch, while training` : "";
    const times = row.times > 1 ? ` in all ${row.times} repetitions` : "";
    const box = node.querySelector(".params");
    box.firstChild.textContent = !row.shape ? "—" : row.parameters ? number(row.parameters) : "0";
    box.classList.toggle("zero", !row.parameters);
    box.lastChild.style.setProperty("--w", `${(100 * row.share).toFixed(1)}%`);
    box.title = row.parameters
      ? `${number(row.parameters)} parameters${times}, ${(100 * row.share).toFixed(1)} % of the model · ${number(row.mult_adds)} multiply-adds per ${this.sample()}`
      : "Nothing to learn in this layer";
    for (const [name, input] of node.inputs) {
      const wrong = row.problems.some((p) => p.field === name);
      input.classList.toggle("wrong", wrong);
      input.setAttribute("aria-invalid", wrong);
      if (wrong && input.field.advanced) { this.opened.add(layer.uid); this.values(node, layer); }
    }
    this.note(node.notes, row.problems, layer.uid);
  },

  note(box, problems, uid) {
    const sign = JSON.stringify([problems, uid]);
    if (box.sign === sign) return; // the same buttons stay, and the focus on them
    box.sign = sign;
    box.replaceChildren(...problems.map((p) => {
      const line = make("div", { class: `note ${p.severity}`, role: p.severity === "error" ? "alert" : "note" },
        make("span", { class: "sign", text: p.severity === "error" ? "!" : "i", "aria-hidden": "true" }),
        make("span", { class: "say", text: `${sentence(p.rule)}, but ${p.fact}.${p.repair ? ` ${p.repair}` : ""}` }));
      if (p.fix) line.append(make("button", { class: "fix", text: p.fix.label, onclick: () => this.mend(uid, p.fix) }));
      return line;
    }));
  },

  /** What one sample is called. */
  sample() { return { text: "text", table: "row", series: "window" }[this.report.reads] ?? "image"; },

  edges(report) {
    const { complete, output } = report.totals;
    const [first, second] = report.inputs;
    const input = (text) => [make("span", { text: "Input" }), make("b", { text, title: words(text) })];
    if (this.paired) {
      const reading = make("button", { class: "into", text: "+ add", "aria-label": `Add a layer to the ${report.names[0][0].toLowerCase()}`, onclick: (e) => this.open(e.currentTarget, { list: this.layers, index: this.layers.length, depth: 0 }) });
      const handed = report.memory ? [make("span", { text: "· hands on" }), make("b", { text: report.memory, title: words(report.memory) })] : [];
      const [[one, reads], [two, writes]] = report.names;
      this.entry.replaceChildren(make("strong", { text: one }), make("span", { text: reads }), ...input(first), ...handed, reading);
      this.between.replaceChildren(make("strong", { text: two }), make("span", { text: writes }), ...(second ? input(second) : [make("span", { text: "· the data set has no second text" })]));
    } else this.entry.replaceChildren(...input(first));
    const { text, met } = report.goal;
    this.exit.replaceChildren(make("span", { text: "Output" }), make("b", { text: complete ? output : "—", title: complete ? words(output) : null }),
      make("span", { class: met ? "good" : "soft", text: met ? `✓ ${text}` : `needs ${text}` }));
  },

  sums(t) {
    const fact = (value, name, title) => make("span", { title }, make("b", { text: value }), make("span", { text: ` ${name}` }));
    const least = t.complete ? "" : "≥ ";
    this.totals.replaceChildren(
      fact(number(t.layers), t.layers === 1 ? "layer" : "layers", "Rows of the table, those in groups included"),
      fact(`${least}${number(t.parameters)}`, "parameters", "Numbers that training adjusts"),
      fact(`${least}${compact(t.mult_adds)}`, "mult-adds", `Multiplications and additions for one ${this.sample()}`),
      fact(`${least}${bytes(4 * t.parameters)}`, "weights", "Size of the weights as 32-bit numbers"),
      fact(`${least}${bytes(t.bytes)}`, `per ${this.sample()}`, `What one ${this.sample()} of a batch leaves behind in all layers while training`));
  },
});
