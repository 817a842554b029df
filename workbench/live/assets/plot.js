// One chart on a canvas: axes, lines, crosshair. Per pixel column the drawn line covers lowest to
// highest, so a spike of one step is seen at any width; NaN and infinities are marked where they are.

import { canvasOf, clock, el, group, say, short } from "./dom.js";
import { STRIP, Tip, drawRow, marksOf, sentences } from "./marks.js";
import { lowerBound, nearest, smooth, upperBound } from "./series.js";
import { logTicks, niceTicks, tickText, timeTicks } from "./ticks.js";

const PAD = { left: 54, right: 12, top: 8, bottom: 22 }; // CSS pixels around the plot

export class Plot {
  /** panel: {id, title, unit, lines: [{key, label, colour}], log, format, height}; host: the curves view. */
  constructor(panel, host) {
    this.panel = panel;
    this.host = host;
    this.paper = canvasOf("wbl-plot", panel.title);
    this.canvas = this.paper.canvas;
    this.canvas.tabIndex = 0;
    this.legend = el("div", { class: "wbl-legend" });
    this.entries = panel.lines.map((line) => {
      const value = el("b");
      const entry = el("span", { class: "wbl-entry", "data-key": line.key }, el("i", { style: `--c:${line.colour(host.colours)}` }), line.label ? el("em", {}, line.label) : null, value);
      this.legend.append(entry);
      return { entry, value };
    });
    this.node = el("section", { class: "wbl-card", "data-panel": panel.id },
      el("header", {}, el("h4", {}, panel.title, panel.unit ? el("small", {}, panel.unit) : null), this.legend), this.canvas);
    this.cache = new Map();
    this.top = PAD.top + (panel.big ? STRIP : 0); // the large charts carry the row of marks
    this.marks = [];
    if (panel.big) this.node.append((this.tip = new Tip()).node);
    this.listen();
  }

  format(value) {
    return this.panel.format ? this.panel.format(value) : short(value);
  }

  // ---------------------------------------------------------------- input

  listen() {
    const canvas = this.canvas;
    const at = (event) => this.toX(event.clientX - canvas.getBoundingClientRect().left);
    canvas.addEventListener("pointermove", (event) => { this.host.hover(at(event), this); this.point(event); });
    canvas.addEventListener("pointerleave", () => { this.host.hover(null, this); this.tip?.hide(); });
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.scale) return;
      canvas.setPointerCapture(event.pointerId);
      this.host.drag(at(event), event.clientX);
    });
    canvas.addEventListener("pointerup", (event) => this.host.drop(at(event), event.clientX));
    canvas.addEventListener("pointercancel", () => this.host.drop(null));
    canvas.addEventListener("dblclick", () => this.host.zoom(null));
    canvas.addEventListener("keydown", (event) => { if (this.host.key(event, this)) event.preventDefault(); });
    canvas.addEventListener("blur", () => this.host.hover(null, this));
  }

  /** The mark nearest to an x of the axis, within a few pixels. */
  markAt(x, reach = 7) {
    const s = this.scale;
    if (!s) return null;
    const far = (mark) => (Math.abs(mark.x - x) / (s.hi - s.lo)) * s.width;
    const best = this.marks.reduce((a, b) => (a && far(a) <= far(b) ? a : b), null);
    return best && far(best) <= reach ? best : null;
  }

  /** Tells of the mark that the pointer is on. */
  point(event) {
    if (!this.tip) return;
    const box = this.canvas.getBoundingClientRect();
    const [left, top] = [event.clientX - box.left, event.clientY - box.top];
    const mark = top <= PAD.top + STRIP ? this.markAt(this.toX(left)) : null;
    if (mark) this.tip.show(sentences(mark, this.axis, this.host.began()), left, box.width);
    else this.tip.hide();
  }

  toX(px) {
    const s = this.scale;
    return s ? Math.min(s.hi, Math.max(s.lo, s.lo + ((px - PAD.left) / s.width) * (s.hi - s.lo))) : null;
  }

  /** The steps' x values of the line with most points: what the arrow keys walk along. */
  stops(view) {
    let best = [];
    for (const { key } of this.panel.lines) {
      const x = this.host.feed.series.get(key)?.between(view.axis, view.lo).x;
      if (x && x.length > best.length) best = x;
    }
    return best;
  }

  // ---------------------------------------------------------------- drawing

  /** view: {axis, lo, hi, log, weight, hover, drag}. */
  draw(view) {
    const width = this.node.clientWidth - 2;
    if (width < 60) return;
    this.paper.fit(width, this.panel.height);
    const ratio = window.devicePixelRatio || 1;
    const ctx = this.paper.ctx;
    const colours = this.host.colours;
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const lines = this.panel.lines.map((line) => this.prepare(line, view));
    const log = view.log && this.panel.log;
    const range = this.range(lines, view, log);
    this.scale = { lo: view.lo, hi: view.hi, width: width - PAD.left - PAD.right };
    const box = { left: PAD.left * ratio, top: this.top * ratio, right: (width - PAD.right) * ratio, bottom: (this.panel.height - PAD.bottom) * ratio };
    const X = (x) => box.left + ((x - view.lo) / (view.hi - view.lo)) * (box.right - box.left);
    const level = log ? Math.log10 : (y) => y;
    const Y = (y) => box.bottom - ((level(y) - range.lo) / (range.hi - range.lo)) * (box.bottom - box.top);
    this.axes(ctx, box, X, Y, view, range, log, ratio, colours);
    this.axis = view.axis;
    this.marks = marksOf(this.host.feed.events, view.axis, this.host.began(), view.lo, view.hi, X, ratio);
    drawRow(ctx, this.marks, X, box, ratio, colours, Boolean(this.panel.big));
    this.node.dataset.marks = this.marks.map(({ kind, x }) => `${kind}:${Math.round(x * 100) / 100}`).join(" ");
    ctx.save();
    ctx.beginPath();
    ctx.rect(box.left, 0, box.right - box.left, box.bottom + 1);
    ctx.clip();
    for (const line of lines) if (line) this.line(ctx, line, X, Y, box, view, log, ratio, colours);
    ctx.restore();
    if (view.drag) {
      const [a, b] = [X(view.drag[0]), X(view.drag[1])];
      ctx.fillStyle = colours.accent;
      ctx.globalAlpha = 0.14;
      ctx.fillRect(Math.min(a, b), box.top, Math.abs(b - a), box.bottom - box.top);
      ctx.globalAlpha = 1;
    }
    this.cross(ctx, lines, X, Y, box, view, log, ratio, colours);
  }

  prepare(line, view) {
    const series = this.host.feed.series.get(line.key);
    if (!series?.n) return null;
    const data = series.between(view.axis, view.lo);
    const from = Math.max(0, lowerBound(data.x, view.lo) - 1);
    const to = Math.min(data.x.length, upperBound(data.x, view.hi) + 1);
    let even = null;
    // One point a validation is no noise to be smoothed away, and the learning rate has none.
    if (view.weight > 0 && data.y.length > 2 && line.key !== "lr" && !line.key.startsWith("val/")) {
      const name = `${series.version}:${view.weight}:${data.y.length}`;
      const known = this.cache.get(line.key);
      even = known?.name === name ? known.even : smooth(data.y, data.steps, view.weight);
      this.cache.set(line.key, { name, even });
    }
    return { ...data, from, to, even, colour: line.colour(this.host.colours), line };
  }

  range(lines, view, log) {
    let lo = Infinity;
    let hi = -Infinity;
    for (const line of lines) {
      if (!line) continue;
      for (let i = line.from; i < line.to; i++) {
        const y = line.y[i];
        if (!Number.isFinite(y) || (log && y <= 0) || line.x[i] < view.lo || line.x[i] > view.hi) continue;
        if (y < lo) lo = y;
        if (y > hi) hi = y;
      }
    }
    if (lo > hi) [lo, hi] = log ? [0.1, 1] : [0, 1];
    const floor = log ? undefined : this.panel.floor;
    if (floor !== undefined) lo = Math.min(lo, floor);
    if (log) [lo, hi] = [Math.log10(lo), Math.log10(hi)];
    const pad = hi > lo ? 0.06 * (hi - lo) : Math.abs(hi) * 0.05 || 0.5;
    return { lo: floor === lo ? lo : lo - pad, hi: hi + pad };
  }

  axes(ctx, box, X, Y, view, range, log, ratio, colours) {
    ctx.font = `${11 * ratio}px ${colours.font}`;
    ctx.lineWidth = ratio;
    ctx.strokeStyle = colours.line;
    ctx.fillStyle = colours.text;
    const crisp = (p) => Math.round(p) + 0.5;
    ctx.textBaseline = "middle";
    ctx.textAlign = "right";
    const ticks = log ? logTicks(range.lo, range.hi) : niceTicks(range.lo, range.hi, this.panel.height < 150 ? 3 : 6);
    for (const y of ticks) {
      const py = crisp(Y(y));
      ctx.globalAlpha = 0.7;
      ctx.beginPath();
      ctx.moveTo(box.left, py);
      ctx.lineTo(box.right, py);
      ctx.stroke();
      ctx.globalAlpha = 0.62;
      ctx.fillText(this.panel.tick ? this.panel.tick(y, ticks) : log ? short(y, 3) : tickText(y, ticks), box.left - 7 * ratio, py);
    }
    ctx.textAlign = "center";
    ctx.textBaseline = "alphabetic";
    const count = Math.max(2, Math.round((box.right - box.left) / ratio / 90));
    for (const x of view.axis === "time" ? timeTicks(view.lo, view.hi, count) : niceTicks(view.lo, view.hi, count)) {
      const px = X(x);
      ctx.globalAlpha = 0.62;
      const text = view.axis === "time" ? clock(x) : view.axis === "step" ? group(x) : short(x);
      const half = ctx.measureText(text).width / 2;
      ctx.fillText(text, Math.min(px, box.right + PAD.right * ratio - half - 1), box.bottom + 15 * ratio);
    }
    ctx.globalAlpha = 1;
  }

  line(ctx, line, X, Y, box, view, log, ratio, colours) {
    const marks = [];
    const raw = pathOf(line.x, line.y, line.from, line.to, X, Y, box, log, marks);
    ctx.lineJoin = "round";
    ctx.strokeStyle = line.colour;
    ctx.lineWidth = 1.5 * ratio;
    ctx.globalAlpha = line.even ? 0.28 : 1;
    ctx.stroke(raw);
    if (line.to - line.from < (box.right - box.left) / ratio / 10) {
      ctx.fillStyle = line.colour;
      for (let i = line.from; i < line.to; i++) {
        if (!Number.isFinite(line.y[i]) || (log && line.y[i] <= 0)) continue;
        ctx.beginPath();
        ctx.arc(X(line.x[i]), Y(line.y[i]), 2.4 * ratio, 0, 7);
        ctx.fill();
      }
    }
    if (line.even) {
      ctx.globalAlpha = 1;
      ctx.lineWidth = 2 * ratio;
      ctx.stroke(pathOf(line.x, line.even, line.from, line.to, X, Y, box, log, []));
    }
    ctx.globalAlpha = 1;
    drawMarks(ctx, marks, box, ratio, colours);
  }

  cross(ctx, lines, X, Y, box, view, log, ratio, colours) {
    const at = view.hover;
    let px = null;
    lines.forEach((line, index) => {
      const { entry, value } = this.entries[index];
      entry.hidden = !line;
      if (!line) return;
      const i = at === null ? line.x.length - 1 : nearest(line.x, at);
      const y = line.y[i];
      say(value, this.format(y));
      value.classList.toggle("wbl-bad", !Number.isFinite(y));
      if (at === null || line.x[i] < view.lo || line.x[i] > view.hi) return;
      px ??= X(line.x[i]);
      if (!Number.isFinite(y) || (log && y <= 0)) return;
      ctx.fillStyle = line.colour;
      ctx.strokeStyle = colours.back;
      ctx.lineWidth = 1.5 * ratio;
      ctx.beginPath();
      ctx.arc(X(line.x[i]), Y(y), 4 * ratio, 0, 7);
      ctx.fill();
      ctx.stroke();
    });
    if (at === null) return;
    px = Math.round(px ?? X(at)) + 0.5;
    ctx.globalCompositeOperation = "destination-over";
    ctx.strokeStyle = colours.muted;
    ctx.lineWidth = ratio;
    ctx.beginPath();
    ctx.moveTo(px, box.top);
    ctx.lineTo(px, box.bottom);
    ctx.stroke();
    ctx.globalCompositeOperation = "source-over";
  }

  /** One sentence of what the chart shows, for those who do not see it. */
  describe(axisWord) {
    const parts = this.panel.lines.flatMap(({ key, label }) => {
      const series = this.host.feed.series.get(key);
      return series?.n ? [`${label || "value"} ${this.format(series.last)}`] : [];
    });
    const text = parts.length ? `${this.panel.title} over ${axisWord}: ${parts.join(", ")} now. Arrow keys read values, plus and minus zoom, 0 shows all.` : `${this.panel.title}: no values yet`;
    if (this.canvas.getAttribute("aria-label") !== text) this.canvas.setAttribute("aria-label", text);
  }
}

/** The line as a path in device pixels: point by point while sparse, else lowest to highest per column. */
export function pathOf(x, y, from, to, X, Y, box, log, marks) {
  const path = new Path2D();
  const dense = to - from > 1.5 * (box.right - box.left);
  let open = false;
  let column = null;
  let first = 0;
  let lo = 0;
  let hi = 0;
  let last = 0;
  const flush = () => {
    if (column === null) return;
    if (open) path.lineTo(column, first); else path.moveTo(column, first);
    if (hi !== lo) { path.lineTo(column, lo); path.lineTo(column, hi); }
    path.lineTo(column, last === first && hi === lo && !open ? last + 0.5 : last);
    open = true;
    column = null;
  };
  for (let i = from; i < to; i++) {
    if (!Number.isFinite(y[i])) {
      flush();
      open = false;
      marks.push([X(x[i]), Number.isNaN(y[i]) ? 0 : y[i]]);
      continue;
    }
    if (log && y[i] <= 0) { flush(); open = false; continue; }
    const px = X(x[i]);
    const py = Y(y[i]);
    if (!dense) {
      if (open) path.lineTo(px, py); else path.moveTo(px, py);
      open = true;
      continue;
    }
    const c = Math.floor(px) + 0.5;
    if (c !== column) {
      flush();
      column = c;
      first = lo = hi = py;
    }
    if (py < lo) lo = py;
    if (py > hi) hi = py;
    last = py;
  }
  flush();
  return path;
}

/** NaN: a red cross at the foot; infinity: a red triangle at the edge it left through. One per column. */
export function drawMarks(ctx, marks, box, ratio, colours) {
  const r = 3.5 * ratio;
  let seen = -Infinity;
  ctx.strokeStyle = ctx.fillStyle = colours.bad;
  ctx.lineWidth = 1.8 * ratio;
  for (const [px, kind] of marks) {
    if (px - seen < 2 * ratio) continue;
    seen = px;
    ctx.beginPath();
    if (kind === 0) {
      const py = box.bottom - r - 1;
      ctx.moveTo(px - r, py - r); ctx.lineTo(px + r, py + r); ctx.moveTo(px + r, py - r); ctx.lineTo(px - r, py + r);
      ctx.stroke();
    } else {
      const [tip, foot] = kind > 0 ? [box.top, box.top + 2 * r] : [box.bottom, box.bottom - 2 * r];
      ctx.moveTo(px, tip); ctx.lineTo(px - r, foot); ctx.lineTo(px + r, foot);
      ctx.fill();
    }
    ctx.globalAlpha = 0.25;
    ctx.fillRect(px - ratio / 2, box.top, ratio, box.bottom - box.top);
    ctx.globalAlpha = 1;
  }
}
