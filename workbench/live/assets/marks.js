// What happened to the run, marked where it happened on the curves: one shape and one colour a meaning.

import { el, group, short, clock } from "./dom.js";

// In the order of importance: where marks meet, the first is drawn and all are told.
export const MARKS = {
  failed: { sign: "✕", word: "failed", colour: (c) => c.bad, draw: cross },
  lost: { sign: "✕", word: "lost", colour: (c) => c.bad, draw: cross },
  changed: { sign: "◆", word: "changed", colour: (c) => c.accent, draw: diamond, line: true },
  parked: { sign: "P", word: "parked", colour: (c) => c.paused, draw: square },
  paused: { sign: "❚❚", word: "paused", colour: (c) => c.paused, draw: bars },
  resumed: { sign: "▸", word: "resumed", colour: (c) => c.running, draw: triangle },
  best: { sign: "★", word: "best so far", colour: (c) => c.good, draw: star },
};
const ORDER = Object.keys(MARKS);
const SIZE = 5; // CSS pixels from the middle of a mark to its edge
const NEAR = 11; // marks closer than this stand as one
export const STRIP = 16; // height of the row of marks above the curves
const TOLD = 6; // sentences of one place

/** Where an event lies on an axis. */
const place = (event, axis, t0) => (axis === "step" ? event.step : axis === "epoch" ? event.epoch : event.time - t0);

/** [{x, kind, texts}] of the visible range, left to right; close ones as one. X: axis → device pixels. */
export function marksOf(events, axis, t0, lo, hi, X, ratio) {
  const found = [];
  for (const event of events) {
    if (!(event.kind in MARKS)) continue;
    const x = place(event, axis, t0);
    if (x >= lo && x <= hi) found.push({ x, px: X(x), event });
  }
  found.sort((a, b) => a.px - b.px);
  const groups = [];
  for (const { x, px, event } of found) {
    const last = groups[groups.length - 1];
    if (last && px - last.px < NEAR * ratio) last.events.push({ x, event });
    else groups.push({ x, px, events: [{ x, event }] });
  }
  return groups.map(({ events: own }) => {
    const first = own.reduce((a, b) => (ORDER.indexOf(b.event.kind) < ORDER.indexOf(a.event.kind) ? b : a));
    return { x: first.x, kind: first.event.kind, events: own.map(({ event }) => event) };
  });
}

/** The row of marks in the strip above the plot, and a thin line down from each change. */
export function drawRow(ctx, marks, X, box, ratio, colours, withSigns) {
  const y = STRIP * ratio / 2 + ratio;
  for (const { x, kind } of marks) {
    const { colour, draw, line } = MARKS[kind];
    const px = X(x);
    ctx.strokeStyle = ctx.fillStyle = colour(colours);
    if (line) {
      ctx.globalAlpha = 0.55;
      ctx.lineWidth = ratio;
      ctx.setLineDash([3 * ratio, 3 * ratio]);
      ctx.beginPath();
      ctx.moveTo(Math.round(px) + 0.5, withSigns ? y + SIZE * ratio : box.top);
      ctx.lineTo(Math.round(px) + 0.5, box.bottom);
      ctx.stroke();
      ctx.setLineDash([]);
      ctx.globalAlpha = 1;
    }
    if (withSigns) draw(ctx, px, y, SIZE * ratio);
  }
}

/** What is told of a mark, one sentence an event. */
export function sentences(mark, axis, t0) {
  const at = { step: (x) => `step ${group(x)}`, epoch: (x) => `epoch ${short(x)}`, time: clock }[axis];
  const told = mark.events.slice(0, TOLD).map((event) => [MARKS[event.kind].sign, `${at(place(event, axis, t0))}: ${event.text}`]);
  if (mark.events.length > TOLD) told.push(["", `and ${mark.events.length - TOLD} more`]);
  return told;
}

/** The box beside a mark that the pointer is on. */
export class Tip {
  constructor() {
    this.node = el("div", { class: "wbl-tip", role: "tooltip", hidden: true });
  }

  show(lines, left, width) {
    const text = lines.map((line) => line.join(" ")).join("\n");
    if (this.text !== text) {
      this.text = text;
      this.node.replaceChildren(...lines.map(([sign, sentence]) => el("p", {}, el("i", {}, sign), sentence)));
    }
    this.node.hidden = false;
    const own = this.node.offsetWidth;
    this.node.style.left = `${Math.max(4, Math.min(left - own / 2, width - own - 4))}px`;
  }

  hide() {
    this.node.hidden = true;
  }
}

function path(ctx, points) {
  ctx.beginPath();
  points.forEach(([x, y], i) => (i ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
  ctx.closePath();
  ctx.fill();
}
function diamond(ctx, x, y, r) { path(ctx, [[x, y - r], [x + r, y], [x, y + r], [x - r, y]]); }
function triangle(ctx, x, y, r) { path(ctx, [[x - 0.7 * r, y - 0.9 * r], [x + 0.9 * r, y], [x - 0.7 * r, y + 0.9 * r]]); }
function square(ctx, x, y, r) { ctx.fillRect(x - 0.8 * r, y - 0.8 * r, 1.6 * r, 1.6 * r); }
function bars(ctx, x, y, r) { ctx.fillRect(x - 0.8 * r, y - 0.9 * r, 0.55 * r, 1.8 * r); ctx.fillRect(x + 0.25 * r, y - 0.9 * r, 0.55 * r, 1.8 * r); }
function cross(ctx, x, y, r) {
  ctx.lineWidth = 0.45 * r;
  ctx.beginPath();
  ctx.moveTo(x - 0.8 * r, y - 0.8 * r); ctx.lineTo(x + 0.8 * r, y + 0.8 * r);
  ctx.moveTo(x + 0.8 * r, y - 0.8 * r); ctx.lineTo(x - 0.8 * r, y + 0.8 * r);
  ctx.stroke();
}
function star(ctx, x, y, r) {
  path(ctx, Array.from({ length: 10 }, (_, i) => {
    const [turn, reach] = [(i * Math.PI) / 5 - Math.PI / 2, i % 2 ? 0.45 * r : r];
    return [x + reach * Math.cos(turn), y + reach * Math.sin(turn)];
  }));
}
