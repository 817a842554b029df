// Many runs' curves of one metric in one chart: a canvas that is given everything by the page. Zoom and what is
// hidden live here, so that a new answer of the page moves neither; a zoom asks the page for the finer range.

import { canvasOf, clock, el, group, percent, perFrame, say, short, show } from "./dom.js";
import { drawMarks, pathOf } from "./plot.js";
import { logTicks, niceTicks, percentTick, tickText, timeTicks } from "./ticks.js";
import { lowerBound, nearest, smooth, upperBound } from "./series.js";
import { palette } from "./theme.js";

const PAD = { left: 58, right: 14, top: 10, bottom: 40 }; // CSS pixels around the plot
const HEIGHT = 430;
const REACH = 18; // CSS pixels within which a line counts as pointed at

const unpack = (text) => new Float64Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);

class Compare {
  constructor(host) {
    this.host = host;
    this.hidden = new Set();
    this.span = null; // the zoom; null shows all
    this.at = null; // the pointer, in CSS pixels of the canvas
    this.focus = null; // the run that is pointed at
    this.paper = canvasOf("wbc-plot", "Curves of the compared runs");
    this.canvas = this.paper.canvas;
    this.canvas.tabIndex = 0;
    this.layer = document.createElement("canvas"); // the picture without what follows the pointer
    this.edition = 0; // grows with every answer of the page
    this.tip = el("div", { class: "wbc-tip", hidden: true });
    this.where = el("span", { class: "wbc-where", role: "status" });
    this.reset = el("button", { type: "button", class: "wbc-reset", hidden: true, onclick: () => this.zoom(null) }, "Show all");
    this.list = el("div", { class: "wbc-list", role: "group", "aria-label": "Runs; a click hides one" });
    this.dirty = perFrame(() => this.draw());
    host.replaceChildren(el("div", { class: "wbc-head" }, this.where, this.reset), el("div", { class: "wbc-box" }, this.canvas, this.tip), this.list);
    this.listen();
    new ResizeObserver(() => this.dirty()).observe(host);
    new MutationObserver(() => this.dirty()).observe(document.documentElement, { attributes: true });
  }

  listen() {
    const canvas = this.canvas;
    const place = (e) => { const box = canvas.getBoundingClientRect(); return [e.clientX - box.left, e.clientY - box.top]; };
    canvas.addEventListener("pointermove", (e) => { this.at = place(e); if (this.grip) this.grip.to = this.toX(this.at[0]); this.dirty(); });
    canvas.addEventListener("pointerleave", () => { this.at = null; this.dirty(); });
    canvas.addEventListener("pointerdown", (e) => {
      if (e.button !== 0 || !this.scale) return;
      canvas.setPointerCapture(e.pointerId);
      const x = this.toX(place(e)[0]);
      this.grip = { from: x, to: x, px: e.clientX };
    });
    canvas.addEventListener("pointerup", (e) => {
      const grip = this.grip;
      this.grip = null;
      if (grip && Math.abs(e.clientX - grip.px) > 5) this.zoom([Math.min(grip.from, grip.to), Math.max(grip.from, grip.to)]);
      else this.dirty();
    });
    canvas.addEventListener("pointercancel", () => { this.grip = null; this.dirty(); });
    canvas.addEventListener("dblclick", () => this.zoom(null));
    this.host.addEventListener("keydown", (e) => {
      e.stopPropagation(); // Streamlit listens for single keys
      if (e.target !== canvas || !this.scale) return;
      const [lo, hi] = [this.scale.lo, this.scale.hi];
      const middle = (lo + hi) / 2;
      const half = { "+": (hi - lo) / 4, "=": (hi - lo) / 4, "-": hi - lo }[e.key];
      const by = { ArrowLeft: -0.2, ArrowRight: 0.2 }[e.key];
      if (e.key === "0" || e.key === "Escape") this.zoom(null);
      else if (half) this.zoom([middle - half, middle + half]);
      else if (by && this.span) this.zoom([lo + by * (hi - lo), hi + by * (hi - lo)]);
      else return;
      e.preventDefault();
    });
  }

  update(data) {
    const first = this.sign === undefined;
    if (this.sign !== data.sign) { // another axis: the old range means nothing on it
      this.span = first ? data.span : null;
      this.whole = null;
      this.sign = data.sign;
    }
    this.options = data;
    const lines = data.lines.map((line) => ({ ...line, x: unpack(line.x), y: unpack(line.y), steps: unpack(line.steps) }));
    const bands = data.bands.map((band) => ({ ...band, x: unpack(band.x), mean: unpack(band.mean), low: unpack(band.low), high: unpack(band.high) }));
    this.shown = { lines, bands, part: data.part };
    if (!data.part) this.whole = this.shown;
    this.cache = new Map();
    this.edition += 1;
    this.legend();
    this.dirty();
    this.host.dataset.runs = lines.length;
    this.host.dataset.bands = bands.length;
  }

  /** The finer range once it has come, and only while it is looked at. */
  get view() {
    const part = this.shown.part;
    const fits = part && this.span && part[0] <= this.span[0] && part[1] >= this.span[1];
    return !part || fits || !this.whole ? this.shown : this.whole;
  }

  legend() {
    const sign = JSON.stringify([this.options.lines.map((line) => [line.run, line.name, line.colour]), this.options.bands.map((band) => [band.name, band.colour])]);
    if (sign === this.named) return;
    this.named = sign;
    this.entries = new Map(this.options.lines.map((line) => {
      const value = el("b");
      const dash = line.dash.length ? `repeating-linear-gradient(90deg, ${line.colour} 0 ${line.dash[0]}px, transparent 0 ${line.dash[0] + line.dash[1]}px)` : line.colour;
      const entry = el("button", { type: "button", title: line.name, "data-run": line.run, "aria-pressed": "true", onclick: () => this.toggle(line.run) },
        el("i", { style: `background:${dash}` }), el("span", {}, line.name), value);
      entry.addEventListener("pointerenter", () => { this.focus = line.run; this.dirty(); });
      entry.addEventListener("pointerleave", () => { this.focus = null; this.dirty(); });
      return [line.run, { entry, value }];
    }));
    const bands = this.options.bands.map((band) => el("div", { class: "wbc-band", title: band.name }, el("i", { style: `--c:${band.colour}` }), el("span", {}, band.name)));
    for (const run of this.hidden) this.entries.get(run)?.entry.setAttribute("aria-pressed", "false");
    this.list.replaceChildren(...bands, ...[...this.entries.values()].map(({ entry }) => entry));
  }

  toggle(run) {
    this.hidden.has(run) ? this.hidden.delete(run) : this.hidden.add(run);
    this.entries.get(run).entry.setAttribute("aria-pressed", String(!this.hidden.has(run)));
    this.dirty();
  }

  zoom(span) {
    if (span && !(span[1] - span[0] > 1e-9 * Math.max(1, Math.abs(span[1])))) return;
    this.span = span;
    this.dirty();
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.tell(span ? [this.sign, ...span] : [this.sign]), 120);
  }

  toX(px) {
    const s = this.scale;
    return Math.min(s.hi, Math.max(s.lo, s.lo + ((px - PAD.left) / s.width) * (s.hi - s.lo)));
  }

  format(y) { return this.options.percent && Number.isFinite(y) ? percent(y, 2) : short(y); }
  axisText(x) { return this.options.axis === "time" ? clock(x) : this.options.axis === "epoch" ? short(x) : group(x); }

  // ---------------------------------------------------------------- drawing

  even(name, y, steps) {
    const weight = this.options.smoothing;
    if (!weight || y.length < 3) return null;
    if (!this.cache.has(name)) this.cache.set(name, smooth(y, steps, weight));
    return this.cache.get(name);
  }

  bounds(lines) {
    if (this.span) return this.span;
    const ends = lines.filter((line) => line.x.length).flatMap((line) => [line.x[0], line.x[line.x.length - 1]]);
    if (!ends.length) return [0, 1];
    const [lo, hi] = [Math.min(...ends), Math.max(...ends)];
    return hi > lo ? [lo, hi] : [lo - 0.5, hi + 0.5];
  }

  range(columns, lo, hi, log) {
    let [low, high] = [Infinity, -Infinity];
    for (const [x, y] of columns) {
      for (let i = lowerBound(x, lo), end = upperBound(x, hi); i < end; i++) {
        const v = y[i];
        if (!Number.isFinite(v) || (log && v <= 0)) continue;
        if (v < low) low = v;
        if (v > high) high = v;
      }
    }
    if (low > high) [low, high] = log ? [0.1, 1] : [0, 1];
    if (log) [low, high] = [Math.log10(low), Math.log10(high)];
    const pad = high > low ? 0.05 * (high - low) : Math.abs(high) * 0.05 || 0.5;
    return [low - pad, high + pad];
  }

  draw() {
    const width = this.host.clientWidth;
    if (!this.shown || width < 80) return;
    this.paper.fit(width, HEIGHT);
    const ratio = window.devicePixelRatio || 1;
    const ctx = this.paper.ctx;
    const colours = palette(this.host);
    const { log } = this.options;
    const lines = this.view.lines.filter((line) => !this.hidden.has(line.run));
    const bands = this.view.bands.filter((band) => band.runs.some((run) => !this.hidden.has(run)));
    const [lo, hi] = this.bounds(lines.length ? lines : this.view.lines);
    this.scale = { lo, hi, width: width - PAD.left - PAD.right };
    const alone = lines.filter((line) => !line.faint);
    const columns = alone.map((line) => [line.x, line.y]).concat(bands.flatMap((band) => [[band.x, band.low], [band.x, band.high]]));
    const [bottom, top] = this.range(columns, lo, hi, log);
    const box = { left: PAD.left * ratio, top: PAD.top * ratio, right: (width - PAD.right) * ratio, bottom: (HEIGHT - PAD.bottom) * ratio };
    const X = (x) => box.left + ((x - lo) / (hi - lo)) * (box.right - box.left);
    const Y = (y) => box.bottom - (((log ? Math.log10(y) : y) - bottom) / (top - bottom)) * (box.bottom - box.top);
    const near = this.pointed(alone, X, Y, box, ratio);
    const strong = near?.line.run ?? this.focus;
    // Fifty lines take a while to draw: while only the pointer moves, the finished picture is laid down again.
    const sign = [this.edition, this.view === this.shown, lo, hi, width, ratio, strong, colours.text, ...this.hidden].join(" ");
    if (sign !== this.painted) {
      this.painted = sign;
      this.layer.width = this.canvas.width;
      this.layer.height = this.canvas.height;
      this.paint(this.layer.getContext("2d"), { lines, bands, strong, X, Y, box, ratio, colours, frame: [lo, hi, bottom, top] });
    }
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.clearRect(0, 0, this.canvas.width, this.canvas.height);
    ctx.drawImage(this.layer, 0, 0);
    if (this.grip && this.grip.to !== this.grip.from) {
      ctx.fillStyle = colours.accent;
      ctx.globalAlpha = 0.14;
      ctx.fillRect(Math.min(X(this.grip.from), X(this.grip.to)), box.top, Math.abs(X(this.grip.to) - X(this.grip.from)), box.bottom - box.top);
      ctx.globalAlpha = 1;
    }
    this.tell_values(near, X, Y, ctx, ratio, colours);
    show(this.reset, this.span !== null);
    say(this.where, this.span ? `${this.options.axis_title} ${this.axisText(lo)} to ${this.axisText(hi)}` : "");
    this.host.dataset.span = this.span ? this.span.join(" ") : "";
  }

  /** Axes, bands, lines and marks: all that does not follow the pointer. */
  paint(ctx, { lines, bands, strong, X, Y, box, ratio, colours, frame }) {
    const [lo, hi] = frame;
    this.axes(ctx, box, X, Y, frame, ratio, colours);
    ctx.save();
    ctx.beginPath();
    ctx.rect(box.left, 0, box.right - box.left, box.bottom + 1);
    ctx.clip();
    for (const band of bands) this.band(ctx, band, X, Y);
    const marks = [];
    // A band stands for its runs; one of them is drawn while its name is pointed at. What is not finite is always marked.
    for (const line of lines) if (line.faint && line.run !== strong) line.y.forEach((y, i) => { if (!Number.isFinite(y) && line.x[i] >= lo && line.x[i] <= hi) marks.push([X(line.x[i]), Number.isNaN(y) ? 0 : y]); });
    for (const line of lines.filter((each) => !each.faint || each.run === strong).sort((a, b) => (a.run === strong) - (b.run === strong))) this.line(ctx, line, strong, X, Y, box, ratio, [lo, hi], marks);
    for (const band of bands) this.mean(ctx, band, X, Y, box, ratio);
    drawMarks(ctx, marks.sort((a, b) => a[0] - b[0]), box, ratio, colours);
    ctx.restore();
  }

  axes(ctx, box, X, Y, [lo, hi, bottom, top], ratio, colours) {
    const { log, axis, axis_title, title } = this.options;
    ctx.font = `${11 * ratio}px ${colours.font}`;
    ctx.lineWidth = ratio;
    ctx.strokeStyle = colours.line;
    ctx.fillStyle = colours.text;
    ctx.textBaseline = "middle";
    ctx.textAlign = "right";
    const ticks = log ? logTicks(bottom, top) : niceTicks(bottom, top, 7);
    for (const y of ticks) {
      const py = Math.round(Y(y)) + 0.5;
      ctx.globalAlpha = 0.7;
      ctx.beginPath();
      ctx.moveTo(box.left, py);
      ctx.lineTo(box.right, py);
      ctx.stroke();
      ctx.globalAlpha = 0.65;
      ctx.fillText(this.options.percent ? percentTick(y, ticks) : log ? short(y, 3) : tickText(y, ticks), box.left - 7 * ratio, py);
    }
    ctx.textAlign = "center";
    ctx.textBaseline = "alphabetic";
    const count = Math.max(2, Math.round((box.right - box.left) / ratio / 90));
    for (const x of axis === "time" ? timeTicks(lo, hi, count) : niceTicks(lo, hi, count)) {
      const half = ctx.measureText(this.axisText(x)).width / 2;
      ctx.fillText(this.axisText(x), Math.min(X(x), box.right + PAD.right * ratio - half - 1), box.bottom + 15 * ratio);
    }
    ctx.fillText(axis_title, (box.left + box.right) / 2, box.bottom + 33 * ratio);
    ctx.globalAlpha = 1;
    const text = `${title} over ${axis_title}, ${this.options.lines.length} runs. Plus and minus zoom, arrows move, 0 shows all.`;
    if (this.canvas.getAttribute("aria-label") !== text) this.canvas.setAttribute("aria-label", text);
  }

  band(ctx, band, X, Y) {
    const soft = (name) => this.even(`${band.runs[0]}:${name}`, band[name], band.x) ?? band[name];
    const [low, high] = [soft("low"), soft("high")];
    const floor = this.options.log ? 1e-300 : -Infinity;
    ctx.beginPath();
    for (let i = 0; i < band.x.length; i++) ctx.lineTo(X(band.x[i]), Math.max(-1e6, Y(Math.max(floor, high[i]))));
    for (let i = band.x.length - 1; i >= 0; i--) ctx.lineTo(X(band.x[i]), Math.min(1e6, Y(Math.max(floor, low[i]))));
    ctx.closePath();
    ctx.fillStyle = band.colour;
    ctx.globalAlpha = 0.18;
    ctx.fill();
    ctx.globalAlpha = 1;
  }

  mean(ctx, band, X, Y, box, ratio) {
    const y = this.even(`${band.runs[0]}:mean`, band.mean, band.x) ?? band.mean;
    ctx.strokeStyle = band.colour;
    ctx.lineWidth = 2.5 * ratio;
    ctx.lineJoin = "round";
    ctx.stroke(pathOf(band.x, y, 0, band.x.length, X, Y, box, this.options.log, []));
  }

  line(ctx, line, strong, X, Y, box, ratio, [lo, hi], marks) {
    const from = Math.max(0, lowerBound(line.x, lo) - 1);
    const to = Math.min(line.x.length, upperBound(line.x, hi) + 1);
    const even = this.even(line.run, line.y, line.steps);
    const other = strong !== null && strong !== undefined && strong !== line.run;
    ctx.strokeStyle = ctx.fillStyle = line.colour;
    ctx.lineJoin = "round";
    const base = other ? 0.3 : 1;
    ctx.setLineDash(line.dash.map((d) => d * ratio));
    ctx.globalAlpha = base * (even ? 0.22 : 1);
    ctx.lineWidth = (line.run === strong ? 2.6 : 1.6) * ratio;
    ctx.stroke(pathOf(line.x, line.y, from, to, X, Y, box, this.options.log, marks));
    ctx.globalAlpha = base;
    if (even) ctx.stroke(pathOf(line.x, even, from, to, X, Y, box, this.options.log, []));
    ctx.setLineDash([]);
    if (to - from < (box.right - box.left) / ratio / 12) {
      for (let i = from; i < to; i++) {
        if (!Number.isFinite(line.y[i]) || (this.options.log && line.y[i] <= 0)) continue;
        ctx.beginPath();
        ctx.arc(X(line.x[i]), Y(line.y[i]), 2.3 * ratio, 0, 7);
        ctx.fill();
      }
    }
    ctx.globalAlpha = 1;
  }

  /** The line nearest to the pointer, and its point there. */
  pointed(lines, X, Y, box, ratio) {
    if (!this.at || this.grip) return null;
    let best = null;
    const x = this.toX(this.at[0]);
    for (const line of lines) {
      const i = nearest(line.x, x);
      if (i < 0 || !Number.isFinite(line.y[i])) continue;
      const away = Math.hypot(X(line.x[i]) / ratio - this.at[0], Y(line.y[i]) / ratio - this.at[1]);
      const high = Math.abs(Y(line.y[i]) / ratio - this.at[1]);
      const far = Math.min(away, Math.abs(X(line.x[i]) / ratio - this.at[0]) < 30 ? high : away);
      if (!best || far < best.far) best = { line, i, far };
    }
    return best && best.far <= REACH ? best : null;
  }

  /** Values in the list, at the pointer or at the end; the pointed run's beside the pointer. */
  tell_values(near, X, Y, ctx, ratio, colours) {
    const x = this.at ? this.toX(this.at[0]) : null;
    for (const line of this.view.lines) {
      const known = this.entries.get(line.run);
      if (!known) continue;
      const i = x === null ? line.x.length - 1 : nearest(line.x, x);
      say(known.value, i >= 0 ? this.format(line.y[i]) : "–");
      known.entry.classList.toggle("on", near?.line.run === line.run);
    }
    show(this.tip, Boolean(near));
    if (!near) return;
    const { line, i } = near;
    const [px, py] = [X(line.x[i]) / ratio, Y(line.y[i]) / ratio];
    ctx.fillStyle = line.colour;
    ctx.strokeStyle = colours.back;
    ctx.lineWidth = 1.5 * ratio;
    ctx.beginPath();
    ctx.arc(px * ratio, py * ratio, 4.5 * ratio, 0, 7);
    ctx.fill();
    ctx.stroke();
    this.tip.replaceChildren(el("b", {}, line.name), el("span", {}, `${this.format(line.y[i])} at ${this.options.axis_title} ${this.axisText(line.x[i])}`));
    const right = px > this.host.clientWidth / 2;
    this.tip.style.cssText = `top:${Math.max(4, Math.min(HEIGHT - 70, py - 24))}px;${right ? `right:${this.host.clientWidth - px + 14}px` : `left:${px + 14}px`}`;
  }
}

export default function mount({ data, parentElement, setStateValue }) {
  const host = parentElement.querySelector(".wbc") ?? parentElement;
  host.view ??= new Compare(host);
  host.view.tell = (span) => setStateValue("span", span);
  host.view.update(data);
}
