// What a model of a table says: predicted against true numbers, what it is off by, and sample rows.

import { canvasOf, el, group, percent, real, say, short, show, toggle } from "./dom.js";
import { bars } from "./texts.js";
import { Scrub } from "./scrub.js";
import { niceTicks, tickText } from "./ticks.js";
import { View, notice } from "./view.js";
import { waiting } from "./words.js";

const TALL = 300; // CSS pixels of the plots
const MARGIN = { left: 56, right: 12, top: 10, bottom: 34 };
const MARKS = [
  ["mae", "Mean error", "Mean of the absolute error, in the target's unit"],
  ["rmse", "RMSE", "Root of the mean squared error, in the target's unit: large errors count more"],
  ["r2", "R²", "1 is perfect; 0 is as good as always telling the mean"],
];

export class Rows extends View {
  constructor(...given) {
    super(...given);
    this.notice = notice();
    this.numbers = new Numbers(this);
    this.samples = new Samples(this);
    this.host.append(this.notice.node, el("div", { class: "wbl-panels" }, this.numbers.card, this.samples.card));
  }

  render() {
    if (!this.watching) {
      this.watching = true;
      this.want("panel:numbers");
      this.want("panel:samples");
    }
    const parts = [this.numbers, this.samples];
    const panels = parts.map((part) => part.draw());
    parts.forEach((part, i) => show(part.card, Boolean(panels[i])));
    const step = Math.max(...panels.map((panel) => panel?.step ?? -1));
    if (step >= 0) { this.notice.hide(); this.host.dataset.step = step; return; }
    this.notice.say(waiting(this.feed, "the first validation", "What the model says of the validation rows is shown after each validation."));
  }

  hide() {
    super.hide();
    this.watching = false;
    for (const part of [this.numbers, this.samples]) part?.scrub.play(false);
  }

  stop() {
    for (const part of [this.numbers, this.samples]) part.scrub.stop();
    super.stop();
  }
}

/** Predicted against true numbers, and how the errors are spread. */
class Numbers {
  constructor(view) {
    this.view = view;
    this.scrub = new Scrub(view, () => view.dirty());
    this.scrub.attach("panel:numbers");
    this.marks = el("dl", { class: "wbl-numbers" });
    this.cloud = canvasOf("wbl-plain-plot", "Predicted against true values of the validation rows");
    this.spread = canvasOf("wbl-plain-plot", "How far predictions are off");
    this.count = el("small");
    this.reading = el("p", { class: "wbl-reading", role: "status" });
    const figure = (head, paper) => el("figure", {}, el("figcaption", {}, head), paper.canvas);
    this.card = el("section", { class: "wbl-card wbl-pad wbl-told-numbers" }, el("header", {}, el("h4", {}, "Numbers", this.count)), this.marks,
      el("div", { class: "wbl-two" }, figure("Predicted against true: on the line it is right", this.cloud), figure("Predicted minus true", this.spread)), this.reading, this.scrub.node);
  }

  draw() {
    const panel = this.scrub.picture();
    this.scrub.draw(panel);
    if (!panel) return panel;
    const { points = [], edges = [], counts = [], unit = "", target = "", metrics = {} } = panel.data;
    const sign = `${panel.step} ${this.card.clientWidth} ${this.view.colours.text} ${this.view.colours.back}`;
    if (this.sign === sign) return panel;
    this.sign = sign;
    say(this.count, `${target || "the target"}${unit ? `, in ${unit}` : ""}; ${group(points.length)} validation rows`);
    this.marks.replaceChildren(...MARKS.filter(([key]) => key in metrics).map(([key, name, help]) =>
      el("div", { title: help, "data-metric": key }, el("dt", {}, name), el("dd", {}, short(real(metrics[key]))))));
    const pairs = points.map(([a, b]) => [real(a), real(b)]).filter(([a, b]) => Number.isFinite(a) && Number.isFinite(b));
    this.drawCloud(pairs, target || "true");
    this.drawSpread(edges.map(real), counts);
    const high = counts.reduce((sum, n, i) => sum + (edges[i] >= 0 ? n : 0), 0);
    const all = counts.reduce((sum, n) => sum + n, 0);
    say(this.reading, all ? `${percent(high / all, 0)} of the predictions are too high, ${percent(1 - high / all, 0)} too low.` : "");
    return panel;
  }

  /** A plot's frame: {ctx, x, y} with functions from values to pixels. */
  frame(paper, [x0, x1], [y0, y1], xName, yName) {
    const { colours } = this.view;
    const width = Math.max(220, paper.canvas.parentElement.clientWidth);
    paper.fit(width, TALL);
    const { ctx } = paper;
    const ratio = window.devicePixelRatio || 1;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, width, TALL);
    const [left, right, top, bottom] = [MARGIN.left, width - MARGIN.right, MARGIN.top, TALL - MARGIN.bottom];
    const x = (v) => left + ((v - x0) / (x1 - x0 || 1)) * (right - left);
    const y = (v) => bottom - ((v - y0) / (y1 - y0 || 1)) * (bottom - top);
    ctx.font = `11px ${colours.font}`;
    ctx.fillStyle = colours.muted;
    ctx.strokeStyle = colours.line;
    ctx.lineWidth = 1;
    ctx.strokeRect(left, top, right - left, bottom - top);
    const across = niceTicks(x0, x1, Math.max(2, Math.floor((right - left) / 90)));
    const up = niceTicks(y0, y1, 5);
    ctx.textAlign = "center";
    ctx.textBaseline = "top";
    for (const v of across) ctx.fillText(tickText(v, across), x(v), bottom + 4);
    ctx.textAlign = "right";
    ctx.textBaseline = "middle";
    for (const v of up) ctx.fillText(tickText(v, up), left - 5, y(v));
    ctx.textAlign = "center";
    ctx.textBaseline = "bottom";
    ctx.fillText(xName, (left + right) / 2, TALL - 2);
    ctx.save();
    ctx.translate(10, (top + bottom) / 2);
    ctx.rotate(-Math.PI / 2);
    ctx.textBaseline = "middle";
    ctx.fillText(yName, 0, 0);
    ctx.restore();
    return { ctx, x, y, left, right, top, bottom };
  }

  drawCloud(pairs, name) {
    if (!pairs.length) return;
    const all = pairs.flat();
    const [low, high] = [all.reduce((a, b) => Math.min(a, b)), all.reduce((a, b) => Math.max(a, b))];
    const pad = (high - low) * 0.03 || 1;
    const span = [low - pad, high + pad];
    const { ctx, x, y } = this.frame(this.cloud, span, span, `true ${name}`, "predicted");
    ctx.strokeStyle = this.view.colours.muted;
    ctx.setLineDash([5, 4]);
    ctx.beginPath();
    ctx.moveTo(x(span[0]), y(span[0]));
    ctx.lineTo(x(span[1]), y(span[1]));
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.fillStyle = this.view.colours.validation;
    ctx.globalAlpha = pairs.length > 300 ? 0.45 : 0.7;
    for (const [a, b] of pairs) {
      ctx.beginPath();
      ctx.arc(x(a), y(b), 2.6, 0, 2 * Math.PI);
      ctx.fill();
    }
    ctx.globalAlpha = 1;
  }

  drawSpread(edges, counts) {
    if (edges.length < 2) return;
    const most = counts.reduce((a, b) => Math.max(a, b), 1);
    const { ctx, x, y, top, bottom } = this.frame(this.spread, [edges[0], edges[edges.length - 1]], [0, most], "predicted minus true", "rows");
    ctx.fillStyle = this.view.colours.train;
    counts.forEach((n, i) => ctx.fillRect(x(edges[i]) + 0.5, y(n), Math.max(1, x(edges[i + 1]) - x(edges[i]) - 1), bottom - y(n)));
    ctx.strokeStyle = this.view.colours.muted;
    ctx.setLineDash([5, 4]);
    ctx.beginPath();
    ctx.moveTo(x(0), top);
    ctx.lineTo(x(0), bottom);
    ctx.stroke();
    ctx.setLineDash([]);
  }
}

/** Rows as they were read, with what the model says of each. */
class Samples {
  constructor(view) {
    this.scrub = new Scrub(view, () => view.dirty());
    this.scrub.attach("panel:samples");
    this.only = toggle("Only wrong ones", false, () => { this.shown = null; view.dirty(); });
    this.count = el("small");
    this.body = el("div");
    this.card = el("section", { class: "wbl-card wbl-pad" }, el("header", {}, el("h4", {}, "Sample rows", this.count), this.only.node), this.body, this.scrub.node);
  }

  draw() {
    const panel = this.scrub.picture();
    this.scrub.draw(panel);
    if (!panel || panel === this.shown) return panel;
    this.shown = panel;
    const items = panel.data.items ?? [];
    const numbers = items.some((item) => "error" in item);
    const right = items.filter((item) => item.correct).length;
    show(this.only.node, !numbers);
    say(this.count, !items.length ? "" : numbers ? "half are always the same rows, half those farthest off" : `half are always the same rows, half the surest mistakes; ${right} of ${items.length} right`);
    const kept = numbers || !this.only.input.checked ? items : items.filter((item) => !item.correct);
    this.body.replaceChildren(kept.length ? table(kept, numbers) : el("p", { class: "wbl-hint" }, items.length ? "All of them are right." : "This run keeps no samples."));
    return panel;
  }
}

function table(items, numbers) {
  const heads = ["Row", "True", "Predicted", numbers ? "Off by" : "How sure"];
  const rows = items.map((item) => el("tr", { class: item.correct === false ? "wbl-miss" : "", "data-index": item.index },
    el("td", { class: "wbl-cells" }, item.text ?? ""), el("td", {}, String(item.label)),
    el("td", {}, String(item.prediction), item.correct === false ? el("span", { class: "wbl-verdict wbl-wrong" }, " ✕") : item.correct ? el("span", { class: "wbl-verdict wbl-good" }, " ✓") : null),
    el("td", {}, ...(numbers ? [short(item.error)] : bars(item.probabilities ?? [], item.label)))));
  return el("div", { class: "wbl-table-room", tabindex: 0, role: "region", "aria-label": "Sample rows" },
    el("table", { class: "wbl-table wbl-sample-rows" }, el("thead", {}, el("tr", {}, ...heads.map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, ...rows)));
}
