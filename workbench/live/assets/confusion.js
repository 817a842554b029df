// The confusion matrix of a validation, and the classes that are found least; of image and text runs alike.

import { canvasOf, choices, el, group, percent, say } from "./dom.js";
import { recall, remember } from "./address.js";

const TABLE_LIMIT = 30; // classes; beyond, cells are too small to read and are painted on a canvas

export class Confusion {
  /** dirty(): to be drawn anew. */
  constructor(dirty) {
    this.mode = recall("confusion") === "share" ? "share" : "count";
    this.modes = choices("Cell values", [["count", "Counts"], ["share", "Share of row"]], (mode) => {
      this.mode = mode;
      remember({ confusion: mode === "share" ? mode : null });
      this.drawn = null;
      dirty();
    });
    this.matrix = el("div", { class: "wbl-matrix" });
    this.reading = el("p", { class: "wbl-hint", role: "status" });
    this.classes = el("ul", { class: "wbl-classes", "aria-label": "Share found, by class" });
    this.head = el("header", {}, el("h4", {}, "Confusion matrix", el("small", {}, "rows: true class, columns: prediction")), this.modes.node);
    this.node = el("div", { class: "wbl-confusion" }, el("div", {}, this.matrix, this.reading), this.classes);
  }

  /** panel: the newest one, or the one of a step that was asked for. */
  draw(panel) {
    this.modes.choose(this.mode);
    if (panel && panel !== this.drawn) this.drawMatrix(panel);
  }

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
}
