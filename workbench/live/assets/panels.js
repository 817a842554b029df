// What a validation says: the confusion matrix, and predictions on sample images.

import { canvasOf, choices, el, group, percent, say, show, toggle } from "./dom.js";
import { drawPixels } from "./tiles.js";
import { Scrub } from "./scrub.js";
import { recall, remember } from "./address.js";
import { View, notice } from "./view.js";
import { waiting } from "./words.js";

const TABLE_LIMIT = 30; // classes; beyond, cells are too small to read and are painted on a canvas

export class Predictions extends View {
  constructor(...given) {
    super(...given);
    this.onlyWrong = false;
    this.mode = recall("confusion") === "share" ? "share" : "count";
    this.notice = notice();
    this.modes = choices("Cell values", [["count", "Counts"], ["share", "Share of row"]], (mode) => {
      this.mode = mode;
      remember({ confusion: mode === "share" ? mode : null });
      this.drawn = null;
      this.dirty();
    });
    this.matrix = el("div", { class: "wbl-matrix" });
    this.reading = el("p", { class: "wbl-hint", role: "status" });
    this.classes = el("ul", { class: "wbl-classes", "aria-label": "Share found, by class" });
    this.confusionScrub = new Scrub(this, () => this.dirty());
    this.confusionHead = el("header", {}, el("h4", {}, "Confusion matrix", el("small", {}, "rows: true class, columns: prediction")), this.modes.node);
    this.confusionCard = el("section", { class: "wbl-card wbl-pad" }, this.confusionHead,
      el("div", { class: "wbl-confusion" }, el("div", {}, this.matrix, this.reading), this.classes), this.confusionScrub.node);
    this.wrong = toggle("Only wrong ones", false, (on) => { this.onlyWrong = on; this.shown = null; this.dirty(); });
    this.count = el("small");
    this.cards = el("div", { class: "wbl-samples" });
    this.samplesScrub = new Scrub(this, () => this.dirty());
    this.samplesCard = el("section", { class: "wbl-card wbl-pad" },
      el("header", {}, el("h4", {}, "Sample predictions", this.count), this.wrong.node), this.cards, this.samplesScrub.node);
    this.host.append(this.notice.node, el("div", { class: "wbl-panels" }, this.confusionCard, this.samplesCard));
    this.confusionScrub.attach("panel:confusion");
    this.samplesScrub.attach("panel:samples");
  }

  render() {
    if (!this.watching) {
      this.watching = true;
      this.want("panel:confusion");
      this.want("panel:samples");
    }
    const confusion = this.confusionScrub.picture();
    const samples = this.samplesScrub.picture();
    show(this.confusionCard, Boolean(confusion));
    show(this.samplesCard, Boolean(samples));
    if (confusion || samples) this.notice.hide();
    else this.notice.say(waiting(this.feed, "the first validation", "The matrix and the predictions are drawn after each validation."));
    this.confusionScrub.draw(confusion);
    this.samplesScrub.draw(samples);
    this.modes.choose(this.mode);
    if (confusion && confusion !== this.drawn) this.drawMatrix(confusion);
    if (samples && samples !== this.shown) this.drawSamples(samples);
    const step = Math.max(confusion?.step ?? -1, samples?.step ?? -1);
    if (step >= 0) this.host.dataset.step = step;
  }

  hide() {
    super.hide();
    this.watching = false;
    this.confusionScrub?.play(false);
    this.samplesScrub?.play(false);
  }

  // ---------------------------------------------------------------- confusion

  drawMatrix(panel) {
    this.drawn = panel;
    const { classes, matrix } = panel.data;
    const totals = matrix.map((row) => row.reduce((a, b) => a + b, 0));
    const hits = matrix.reduce((sum, row, i) => sum + row[i], 0);
    const all = totals.reduce((a, b) => a + b, 0);
    this.resting = all ? `${group(hits)} of ${group(all)} right: ${percent(hits / all)}` : "";
    say(this.reading, this.resting);
    const tell = (i, j) => say(this.reading, `${classes[i]} taken for ${classes[j]}: ${group(matrix[i][j])} of ${group(totals[i])} (${percent(totals[i] ? matrix[i][j] / totals[i] : 0)})${i === j ? ", right" : ""}`);
    this.drawClasses(classes, matrix, totals);
    if (classes.length > TABLE_LIMIT) this.drawDense(classes, matrix, totals, tell);
    else this.drawTable(classes, matrix, totals, tell);
  }

  /** The classes that are found least, and what each is taken for. */
  drawClasses(classes, matrix, totals) {
    const found = classes.map((name, i) => {
      const wrong = matrix[i].map((n, j) => (j === i ? -1 : n));
      const worst = wrong.indexOf(Math.max(...wrong));
      return { name: String(name), share: totals[i] ? matrix[i][i] / totals[i] : NaN, rival: wrong[worst] > 0 ? `${classes[worst]} (${group(wrong[worst])})` : "" };
    });
    found.sort((a, b) => (Number.isNaN(a.share) ? 2 : a.share) - (Number.isNaN(b.share) ? 2 : b.share));
    this.classes.replaceChildren(...found.slice(0, 12).map(({ name, share, rival }) =>
      el("li", {}, el("span", { title: name }, name), el("i", {}, el("b", { style: `width:${100 * (share || 0)}%` })), el("em", {}, percent(share, 0)),
        el("small", {}, rival ? `taken for ${rival}` : ""))));
  }

  drawTable(classes, matrix, totals, tell) {
    const size = classes.length;
    const names = classes.map(String);
    const cells = `${size}:${names.join("\u0000")}`;
    if (this.cells !== cells) {
      this.cells = cells;
      this.grid = names.map((_, i) => names.map((__, j) => el("td", { class: i === j ? "wbl-right" : "", onpointerenter: () => this.tell?.(i, j) })));
      const head = el("tr", {}, el("td"), ...names.map((name) => el("th", { scope: "col", title: name }, el("span", {}, name))));
      const rows = names.map((name, i) => el("tr", {}, el("th", { scope: "row", title: name }, name), ...this.grid[i]));
      const table = el("table", { "aria-label": "Confusion matrix", onpointerleave: () => say(this.reading, this.resting) }, el("thead", {}, head), el("tbody", {}, ...rows));
      this.matrix.replaceChildren(table);
    }
    this.tell = tell;
    for (let i = 0; i < size; i++) for (let j = 0; j < size; j++) {
      const share = totals[i] ? matrix[i][j] / totals[i] : 0;
      const cell = this.grid[i][j];
      const text = matrix[i][j] === 0 ? "·" : this.mode === "share" ? String(Math.round(100 * share)) : group(matrix[i][j]);
      say(cell, text);
      cell.style.setProperty("--share", `${Math.round(100 * Math.pow(share, 0.6))}%`);
      cell.classList.toggle("wbl-full", share > 0.45);
    }
  }

  drawDense(classes, matrix, totals, tell) {
    this.cells = null;
    const n = classes.length;
    const image = new ImageData(n, n);
    const paper = canvasOf("wbl-mosaic", `Confusion matrix of ${n} classes`);
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) {
      const at = 4 * (i * n + j);
      const share = Math.pow(totals[i] ? matrix[i][j] / totals[i] : 0, 0.6);
      const [r, g, b] = i === j ? [26, 156, 91] : [229, 72, 77];
      image.data.set([r, g, b, 18 + 237 * share], at);
    }
    const small = document.createElement("canvas");
    small.width = small.height = n;
    small.getContext("2d").putImageData(image, 0, 0);
    const side = Math.min(this.matrix.clientWidth || 500, 620);
    const zoom = Math.max(2, Math.floor((side * (window.devicePixelRatio || 1)) / n));
    paper.fit((n * zoom) / (window.devicePixelRatio || 1), (n * zoom) / (window.devicePixelRatio || 1));
    paper.ctx.imageSmoothingEnabled = false;
    paper.ctx.drawImage(small, 0, 0, n * zoom, n * zoom);
    paper.canvas.addEventListener("pointermove", (event) => {
      const box = paper.canvas.getBoundingClientRect();
      const [j, i] = [Math.floor(((event.clientX - box.left) / box.width) * n), Math.floor(((event.clientY - box.top) / box.height) * n)];
      if (matrix[i]?.[j] !== undefined) tell(i, j);
    });
    paper.canvas.addEventListener("pointerleave", () => say(this.reading, this.resting));
    this.matrix.replaceChildren(paper.canvas);
  }

  // ---------------------------------------------------------------- samples

  drawSamples(panel) {
    this.shown = panel;
    const items = panel.data.items ?? [];
    const wrong = items.filter((item) => !item.correct).length;
    say(this.count, items.length ? `half are always the same pictures, half the surest mistakes; ${items.length - wrong} of ${items.length} right` : "");
    const kept = items.map((item, i) => [item, i]).filter(([item]) => !this.onlyWrong || !item.correct);
    this.cards.replaceChildren(...kept.map(([item, i]) => this.card(item, i, panel.arrays.images)));
    if (!kept.length) this.cards.append(el("p", { class: "wbl-hint" }, items.length ? "All of them are right." : "This run keeps no samples."));
  }

  card(item, i, images) {
    const paper = canvasOf("wbl-thumb", `Sample labelled ${item.label}`);
    if (images && i < images.shape[0]) drawPixels(paper, images, i, 64);
    const bars = (item.probabilities ?? []).map(([name, p]) =>
      el("div", { class: `wbl-bar${String(name) === String(item.label) ? " wbl-true" : ""}`, title: `${name}: ${percent(p)}` },
        el("span", {}, String(name)), el("i", {}, el("b", { style: `width:${Math.max(0, Math.min(100, 100 * p))}%` })), el("em", {}, percent(p, 0))));
    const verdict = item.correct
      ? el("span", { class: "wbl-verdict wbl-good" }, "✓ right")
      : el("span", { class: "wbl-verdict wbl-wrong" }, "✕ wrong");
    return el("article", { class: item.correct ? "" : "wbl-miss", "data-index": item.index }, paper.canvas,
      el("div", {}, el("div", { class: "wbl-name" }, el("strong", { title: String(item.label) }, String(item.label)), verdict),
        item.correct ? null : el("div", { class: "wbl-said" }, "taken for ", el("b", {}, String(item.prediction))), ...bars));
  }

  stop() {
    this.confusionScrub.stop();
    this.samplesScrub.stop();
    super.stop();
  }
}
