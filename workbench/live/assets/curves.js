// The curves: a grid of charts that share one x range, one crosshair and one set of options.

import { choices, clock, el, group, percent, say, short, show, toggle } from "./dom.js";
import { MARKS } from "./marks.js";
import { Plot } from "./plot.js";
import { AXES, lowerBound, nearest } from "./series.js";
import { percentTick } from "./ticks.js";
import { recall, remember } from "./address.js";
import { View, notice } from "./view.js";
import { ACTIVE, waiting } from "./words.js";

const train = (c) => c.train;
const validation = (c) => c.validation;
const extra = (i) => (c) => c.extra[i];
const pair = (name) => [{ key: `train/${name}`, label: "train", colour: train }, { key: `val/${name}`, label: "validation", colour: validation }];
const megabytes = (mb) => (mb >= 1000 ? `${(mb / 1000).toFixed(2)} GB` : `${Math.round(mb)} MB`);

const share = (y) => (Number.isFinite(y) ? percent(y) : short(y));
const lone = (name, colour) => [{ key: `val/${name}`, label: "", colour }];

const PANELS = [
  { id: "loss", title: "Loss", lines: pair("loss"), log: true, big: true },
  { id: "accuracy", title: "Accuracy", lines: pair("accuracy"), big: true, format: (y) => (Number.isFinite(y) ? percent(y) : short(y)), tick: percentTick },
  { id: "mae", title: "Mean error", unit: "in its own unit", lines: pair("mae"), big: true },
  { id: "rmse", title: "RMSE", unit: "in its own unit", lines: lone("rmse", validation) },
  { id: "r2", title: "R²", unit: "1 is perfect", lines: lone("r2", validation) },
  { id: "ece", title: "Calibration error", unit: "confidence minus accuracy", lines: lone("ece", validation), format: share, tick: percentTick, floor: 0 },
  { id: "perplexity", title: "Perplexity", unit: "lower is better; 1 is perfect", lines: lone("perplexity", validation), log: true },
  { id: "bits", title: "Bits per character", unit: "lower is better", lines: lone("bits_per_character", validation) },
  { id: "bleu", title: "Translation", unit: "0 to 100", lines: [{ key: "val/bleu", label: "BLEU", colour: validation }, { key: "val/chrf", label: "chrF", colour: extra(1) }], floor: 0, format: (y) => short(y, 3) },
  { id: "exact_match", title: "Exact match", unit: "share of texts", lines: lone("exact_match", validation), format: share, tick: percentTick, floor: 0 },
  {
    id: "f1", title: "F1", format: share, tick: percentTick,
    lines: [{ key: "val/precision", label: "precision", colour: extra(0) }, { key: "val/recall", label: "recall", colour: extra(1) }, { key: "val/f1", label: "F1", colour: validation }],
  },
  {
    id: "areas", title: "Areas under curves", format: (y) => short(y, 3),
    lines: [{ key: "val/auroc", label: "AUROC", colour: validation }, { key: "val/pr_auc", label: "PR-AUC", colour: extra(1) }],
  },
  { id: "top5", title: "In the top 5", unit: "share of samples", lines: lone("top5", validation), format: share, tick: percentTick },
  { id: "scaled_mae", title: "Mean absolute error", unit: "scaled", lines: pair("scaled_mae"), log: true },
  { id: "scaled_mse", title: "Mean squared error", unit: "scaled", lines: lone("scaled_mse", validation), log: true },
  { id: "mase", title: "MASE", unit: "below 1 beats a season before", lines: lone("mase", validation) },
  { id: "coverage", title: "In the band", unit: "share of the values", lines: lone("coverage", validation), format: share, tick: percentTick },
  {
    id: "overlap", title: "Overlap", unit: "of masks, mean over classes", format: share, tick: percentTick,
    lines: [{ key: "val/iou", label: "IoU", colour: validation }, { key: "val/dice", label: "Dice", colour: extra(1) }],
  },
  { id: "discriminator", title: "Discriminator's loss", unit: "0.69: it cannot tell", lines: pair("discriminator_loss") },
  { id: "told_apart", title: "Told apart", unit: "50 %: it cannot", lines: pair("told_apart"), format: share, tick: percentTick },
  { id: "distance", title: "Distance to true pictures", unit: "1: as their mean", lines: lone("distance", validation), log: true },
  { id: "reconstruction", title: "Reconstruction", unit: "a part of the loss", lines: pair("reconstruction"), log: true },
  { id: "kl", title: "Distance of codes", unit: "nats per pixel, a part of the loss", lines: pair("kl") },
  { id: "explained", title: "Explained", unit: "of the variance about the mean picture", lines: lone("explained", validation), format: share, tick: percentTick },
  { id: "mse", title: "Mean squared error", unit: "of pixels from 0 to 1", lines: lone("mse", validation), log: true },
  { id: "psnr", title: "Signal to noise", unit: "dB, at the peak", lines: lone("psnr", validation), format: (y) => short(y, 3) },
  { id: "lr", title: "Learning rate", lines: [{ key: "lr", label: "", colour: extra(0) }], log: true, floor: 0 },
  { id: "grad_norm", title: "Gradient norm", lines: [{ key: "grad_norm", label: "", colour: extra(1) }], log: true },
  { id: "throughput", title: "Throughput", unit: "samples / s", lines: [{ key: "throughput/samples_per_s", label: "", colour: extra(2) }], format: (y) => short(y, 3), floor: 0 },
  {
    id: "system", title: "Load", unit: "of the machine", floor: 0, format: (y) => `${short(y, 3)} %`, tick: (y) => `${short(y)} %`,
    lines: [{ key: "system/cpu_percent", label: "CPU", colour: extra(1) }, { key: "system/gpu_percent", label: "GPU", colour: extra(3) }],
  },
  {
    id: "memory", title: "Memory", floor: 0, format: megabytes, tick: megabytes,
    lines: [{ key: "system/memory_mb", label: "process", colour: extra(1) }, { key: "system/gpu_memory_mb", label: "GPU", colour: extra(3) }],
  },
  { id: "telemetry", title: "Looking inside", unit: "of the time", lines: [{ key: "telemetry/share", label: "", colour: extra(0) }], format: (y) => percent(y), tick: percentTick, floor: 0 },
];
const GENERATOR = [{ key: "train/loss", label: "train", colour: train }, { key: "val/generator_loss", label: "validation", colour: validation }];
const OF_TASK = { // what a task's numbers are where others' have another sense; its val/loss is drawn under its own name
  generation: { loss: { title: "Generator's loss", lines: GENERATOR }, discriminator: { big: true }, accuracy: { title: "Told apart" } },
  reconstruction: { mae: { unit: "of pixels" } },
};
const KNOWN = new Set([...PANELS.flatMap((panel) => panel.lines.map((line) => line.key)), "val/generator_loss"]);
const TOKENS = new Set(["language_model", "translation"]); // every token is judged
const AXIS_WORDS = { step: "steps", epoch: "epochs", time: "time" };

export class Curves extends View {
  constructor(...given) {
    super(...given);
    const number = (text, fallback) => (text !== "" && Number.isFinite(Number(text)) ? Number(text) : fallback);
    const [lo, hi] = [number(recall("from"), null), number(recall("to"), null)];
    this.axis = recall("x") in AXES ? recall("x") : "step";
    this.log = recall("log") === "1";
    this.weight = Math.min(0.99, Math.max(0, number(recall("smooth"), 0)));
    this.span = lo !== null && hi !== null && lo < hi ? [lo, hi] : null; // the zoom; null follows the run
    this.at = null; // the crosshair's x
    this.plots = new Map();
    this.build();
    this.timer = setInterval(() => this.refine(), 2000);
  }

  build() {
    this.axes = choices("Horizontal axis", [["step", "Step"], ["epoch", "Epoch"], ["time", "Time"]], (axis) => {
      this.axis = axis;
      this.span = null;
      this.at = null;
      remember({ x: axis === "step" ? null : axis, from: null, to: null });
      this.changed();
    });
    this.logs = toggle("Log scale", this.log, (on) => { this.log = on; remember({ log: on ? 1 : null }); this.dirty(); }, "Loss, learning rate and gradient norm on a logarithmic axis; values of 0 and below have no place there");
    this.slider = el("input", { type: "range", min: 0, max: 0.99, step: 0.01, value: this.weight, "aria-label": "Smoothing", oninput: () => {
      this.weight = Number(this.slider.value);
      remember({ smooth: this.weight || null });
      this.dirty();
    } });
    this.amount = el("output");
    this.reset = el("button", { type: "button", class: "wbl-button", hidden: true, onclick: () => this.zoom(null) }, "Show all");
    this.where = el("span", { class: "wbl-where", role: "status" });
    const bar = el("div", { class: "wbl-toolbar" }, this.axes.node,
      el("label", { class: "wbl-slider", title: "Exponential moving average, drawn over the true values" }, el("span", {}, "Smoothing"), this.slider, this.amount),
      this.logs.node, el("span", { class: "wbl-gap" }), this.where, this.reset);
    this.bar = bar;
    this.grid = el("div", { class: "wbl-grid" });
    this.notice = notice();
    this.legend = el("p", { class: "wbl-hint wbl-signs", hidden: true });
    this.hint = el("p", { class: "wbl-hint" }, "Drag across a chart to zoom, double-click to show all. With a chart in focus: arrow keys read values, + and − zoom, 0 shows all.");
    this.host.append(bar, this.notice.node, this.grid, this.legend, this.hint);
  }

  on(kind, detail) {
    if (kind === "scalars" && detail?.k === "scalars" && detail.snap) this.refine();
    if (kind === "status") for (const plot of this.plots.values()) plot.describe(AXIS_WORDS[this.axis]);
  }

  // ---------------------------------------------------------------- what the charts tell

  hover(x) {
    if (this.grip) this.grip.to = x ?? this.grip.to;
    if (x === this.at) return;
    this.at = x;
    this.dirty();
  }

  drag(x, px) {
    this.grip = { from: x, to: x, px };
  }

  drop(x, px) {
    const grip = this.grip;
    this.grip = null;
    if (grip && x !== null && Math.abs(px - grip.px) > 5) this.zoom([Math.min(grip.from, x), Math.max(grip.from, x)]);
    else this.dirty();
  }

  zoom(span) {
    if (span && !(span[1] - span[0] > 1e-9 * Math.max(1, Math.abs(span[1])))) return;
    this.span = span;
    const text = (x) => (this.axis === "step" ? String(Math.round(x * 100) / 100) : String(Number(x.toPrecision(7))));
    remember({ from: span ? text(span[0]) : null, to: span ? text(span[1]) : null });
    this.changed();
  }

  changed() {
    this.dirty();
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.refine(), 120);
  }

  key(event, plot) {
    const [lo, hi] = this.bounds();
    const stops = plot.stops({ axis: this.axis, lo, hi });
    const last = stops.length - 1;
    if (last < 0) return false;
    const here = this.at === null ? last : nearest(stops, this.at);
    const stride = event.shiftKey ? 10 : 1;
    const go = (i) => {
      let x = stops[Math.max(0, Math.min(last, i))];
      x = Math.max(lo, Math.min(hi, x));
      this.at = x;
      this.dirty();
      return true;
    };
    const scale = (factor) => {
      const middle = this.at ?? (lo + hi) / 2;
      const [from, to] = [middle - (middle - lo) * factor, middle + (hi - middle) * factor];
      const [first, end] = this.extent();
      this.zoom(from <= first && to >= end ? null : [Math.max(first, from), Math.min(end, to)]);
      return true;
    };
    switch (event.key) {
      case "ArrowLeft": return go(here - stride);
      case "ArrowRight": return go(here + stride);
      case "Home": return go(lowerBound(stops, lo));
      case "End": return go(last);
      case "+": case "=": return scale(0.5);
      case "-": case "_": return scale(2);
      case "0": this.zoom(null); return true;
      case "Escape": this.at = null; this.dirty(); return true;
      default: return false;
    }
  }

  // ---------------------------------------------------------------- drawing

  /** From zero to the newest point of any key. */
  extent() {
    let hi = 0;
    for (const series of this.feed.series.values()) if (series.n) hi = Math.max(hi, series.columns[AXES[this.axis]][series.n - 1]);
    return [0, hi || 1];
  }

  /** The zero of the time axis, in Unix seconds. */
  began() {
    return this.feed.status?.started ?? this.feed.status?.created ?? 0;
  }

  /** What the marks that are to be seen mean. */
  signs() {
    const seen = new Set(this.feed.events.map((event) => event.kind).filter((kind) => kind in MARKS));
    const kinds = Object.keys(MARKS).filter((kind) => seen.has(kind));
    const sign = kinds.join();
    show(this.legend, kinds.length > 0);
    if (sign === this.signed) return;
    this.signed = sign;
    this.legend.replaceChildren("Marks: ", ...kinds.map((kind) => el("span", { "data-kind": kind }, el("i", {}, MARKS[kind].sign), MARKS[kind].word)));
  }

  bounds() {
    return this.span ?? this.extent();
  }

  panels() {
    const own = [...this.feed.series.keys()].filter((key) => !KNOWN.has(key)).sort();
    const more = own.map((key) => ({ id: key, title: key, lines: [{ key, label: "", colour: extra(0) }] }));
    const mine = OF_TASK[this.data.task] ?? {};
    return [...PANELS.map((panel) => ({ ...panel, ...mine[panel.id] })), ...more].filter((panel) => panel.lines.some(({ key }) => this.feed.series.get(key)?.n));
  }

  render() {
    const panels = this.panels();
    show(this.bar, panels.length > 0);
    show(this.hint, panels.length > 0);
    if (panels.length) this.notice.hide();
    else this.notice.say(waiting(this.feed, "the first numbers", "Training has begun; they come within a second or two."));
    this.axes.choose(this.axis);
    say(this.amount, this.weight ? this.weight.toFixed(2) : "off");
    show(this.reset, this.span !== null);
    for (const panel of panels) {
      if (this.plots.has(panel.id)) continue;
      const unit = panel.id === "accuracy" && TOKENS.has(this.data.task) ? "of tokens" : panel.unit;
      const plot = new Plot({ height: panel.big ? 250 : 132, ...panel, unit }, this);
      plot.node.classList.toggle("wbl-big", Boolean(panel.big));
      this.plots.set(panel.id, plot);
      this.grid.replaceChildren(...this.panels().map(({ id }) => this.plots.get(id)?.node).filter(Boolean));
      plot.describe(AXIS_WORDS[this.axis]);
    }
    const [lo, hi] = this.bounds();
    const drag = this.grip ? [this.grip.from, this.grip.to] : null;
    const view = { axis: this.axis, lo, hi, log: this.log, weight: this.weight, hover: this.at, drag };
    for (const plot of this.plots.values()) plot.draw(view);
    this.signs();
    this.place(lo, hi);
    const step = this.extentSteps();
    if (step !== undefined) this.host.dataset.step = step;
  }

  extentSteps() {
    let last;
    for (const series of this.feed.series.values()) if (series.n) last = Math.max(last ?? 0, series.columns[0][series.n - 1]);
    return last;
  }

  /** Where the crosshair stands, else what is shown. */
  place(lo, hi) {
    const word = { step: (x) => group(x), epoch: (x) => short(x), time: clock }[this.axis];
    const noun = { step: "step", epoch: "epoch", time: "time" }[this.axis];
    if (this.at !== null) {
      const first = [...this.plots.values()][0];
      const stops = first ? first.stops({ axis: this.axis, lo, hi }) : [];
      const i = nearest(stops, this.at);
      const mark = first?.markAt(this.at, 4); // by keyboard too
      const told = mark ? ` · ${mark.events[0].text}` : "";
      say(this.where, i < 0 ? "" : `${noun} ${word(stops[i])}${told}`);
    } else {
      say(this.where, this.span ? `${noun} ${word(lo)} – ${word(hi)}` : "");
    }
    this.where.classList.toggle("wbl-strong", this.at !== null);
  }

  /** Ask for the exact points of the visible range where ours are thinned. */
  refine() {
    if (this.gone || !this.visible || document.hidden || this.feed.state !== "live") return;
    const [lo, hi] = this.bounds();
    const growing = this.span === null && ACTIVE.has(this.feed.status?.state);
    const px = Math.min(4096, Math.round((this.grid.clientWidth || 800) * (window.devicePixelRatio || 1)));
    for (const series of this.feed.series.values()) {
      if (series.exact || !KNOWN.has(series.key)) continue;
      const fine = series.fine;
      const same = fine && fine.axis === this.axis && fine.lo === lo && fine.px === px;
      // A growing view needs a new answer only when its columns have become clearly wider.
      if (same && (fine.hi === hi || (growing && hi - fine.hi < 0.05 * (hi - lo)))) continue;
      this.feed.send({ op: "range", key: series.key, x: this.axis, lo, hi, px });
    }
  }

  recolour() {
    super.recolour();
    for (const plot of this.plots.values()) plot.entries.forEach(({ entry }, i) => entry.firstChild.style.setProperty("--c", plot.panel.lines[i].colour(this.colours)));
  }

  unhide() {
    super.unhide();
    this.refine();
  }

  stop() {
    clearInterval(this.timer);
    clearTimeout(this.soon);
    super.stop();
  }
}
