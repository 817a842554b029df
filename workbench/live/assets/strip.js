// A small chart of numbers at whole steps: lines, a band, a line where the past ends, and a reading under the
// pointer or the arrow keys. Drawn as it is told; it keeps nothing but where it is read.

import { canvasOf } from "./dom.js";
import { niceTicks, tickText } from "./ticks.js";
import { pathOf } from "./plot.js";

const PAD = { left: 50, right: 10, top: 8, bottom: 20 };

export class Strip {
  constructor(label) {
    this.paper = canvasOf("wbl-plot wbl-strip-plot", label);
    this.node = this.paper.canvas;
    this.node.tabIndex = 0;
    this.at = null;
    this.rest = "Point at a chart, or use the arrow keys, to read its values.";
    const move = (step) => {
      if (!this.told || step === this.at) return;
      this.at = step;
      this.draw(this.told);
      this.onread?.(step === null ? this.rest : this.told.read(step));
    };
    this.node.addEventListener("pointermove", (event) => {
      if (!this.scale) return;
      const { lo, hi, width } = this.scale;
      const share = (event.clientX - this.node.getBoundingClientRect().left - PAD.left) / width;
      move(Math.max(lo, Math.min(hi, Math.round(lo + share * (hi - lo)))));
    });
    this.node.addEventListener("pointerleave", () => move(null));
    this.node.addEventListener("blur", () => move(null));
    this.node.addEventListener("keydown", (event) => {
      if (!this.told) return;
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return;
      event.preventDefault();
      const { lo, hi } = this.told;
      move(Math.max(lo, Math.min(hi, (this.at ?? lo - by) + by)));
    });
  }

  /** told: {lines: [{x, y, colour, width, dots}], band, split, lo, hi, floor, height, ticks: [[x, text]], colours, read}. */
  draw(told) {
    const first = this.told === undefined;
    this.told = told;
    const width = this.node.parentElement?.clientWidth ?? 0;
    if (width < 80) return;
    this.paper.fit(width, told.height);
    const ratio = window.devicePixelRatio || 1;
    const { ctx } = this.paper;
    const { colours, lo, hi } = told;
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.clearRect(0, 0, this.node.width, this.node.height);
    const box = { left: PAD.left * ratio, top: PAD.top * ratio, right: (width - PAD.right) * ratio, bottom: (told.height - PAD.bottom) * ratio };
    this.scale = { lo, hi, width: width - PAD.left - PAD.right };
    const values = [...told.lines.flatMap((line) => line.y), ...(told.band ? [...told.band.low, ...told.band.high] : [])].filter(Number.isFinite);
    let [least, most] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
    if (told.floor !== undefined) least = Math.min(least, told.floor);
    const room = 0.06 * (most - least || Math.abs(most) || 1);
    [least, most] = [told.floor === least ? least : least - room, most + room];
    const X = (x) => box.left + ((x - lo) / (hi - lo || 1)) * (box.right - box.left);
    const Y = (y) => box.bottom - ((y - least) / (most - least)) * (box.bottom - box.top);
    this.axes(ctx, box, X, Y, least, most, ratio);
    if (told.band) {
      const { x, low, high, colour } = told.band;
      ctx.beginPath();
      low.forEach((y, i) => (i ? ctx.lineTo(X(x + i), Y(y)) : ctx.moveTo(X(x), Y(y))));
      for (let i = high.length - 1; i >= 0; i--) ctx.lineTo(X(x + i), Y(high[i]));
      ctx.closePath();
      ctx.fillStyle = colour;
      ctx.globalAlpha = 0.2;
      ctx.fill();
      ctx.globalAlpha = 1;
    }
    for (const line of told.lines) {
      const at = line.y.map((_, i) => line.x + i);
      ctx.lineJoin = "round";
      ctx.strokeStyle = ctx.fillStyle = line.colour;
      ctx.lineWidth = line.width * ratio;
      ctx.stroke(pathOf(at, line.y, 0, at.length, X, Y, box, false, []));
      if (line.dots) for (let i = 0; i < at.length; i++) {
        ctx.beginPath();
        ctx.arc(X(at[i]), Y(line.y[i]), 2.6 * ratio, 0, 7);
        ctx.fill();
      }
    }
    if (this.at !== null) this.cross(ctx, X, Y, box, ratio);
    if (first) this.onread?.(this.rest);
  }

  axes(ctx, box, X, Y, least, most, ratio) {
    const { colours, ticks, split } = this.told;
    ctx.font = `${11 * ratio}px ${colours.font}`;
    ctx.lineWidth = ratio;
    ctx.strokeStyle = colours.line;
    ctx.fillStyle = colours.text;
    ctx.textBaseline = "middle";
    ctx.textAlign = "right";
    const levels = niceTicks(least, most, 4);
    for (const y of levels) {
      const py = Math.round(Y(y)) + 0.5;
      ctx.globalAlpha = 0.7;
      ctx.beginPath();
      ctx.moveTo(box.left, py);
      ctx.lineTo(box.right, py);
      ctx.stroke();
      ctx.globalAlpha = 0.62;
      ctx.fillText(tickText(y, levels), box.left - 6 * ratio, py);
    }
    ctx.textBaseline = "alphabetic";
    for (const [x, text] of ticks) {
      const half = ctx.measureText(text).width / 2;
      ctx.textAlign = "center";
      ctx.fillText(text, Math.max(half, Math.min(X(x), box.right + PAD.right * ratio - half)), box.bottom + 15 * ratio);
    }
    if (split !== undefined) {
      const px = Math.round(X(split)) + 0.5;
      ctx.strokeStyle = colours.muted;
      ctx.setLineDash([3 * ratio, 3 * ratio]);
      ctx.beginPath();
      ctx.moveTo(px, box.top);
      ctx.lineTo(px, box.bottom);
      ctx.stroke();
      ctx.setLineDash([]);
    }
    ctx.globalAlpha = 1;
  }

  cross(ctx, X, Y, box, ratio) {
    const px = Math.round(X(this.at)) + 0.5;
    ctx.strokeStyle = this.told.colours.muted;
    ctx.lineWidth = ratio;
    ctx.beginPath();
    ctx.moveTo(px, box.top);
    ctx.lineTo(px, box.bottom);
    ctx.stroke();
    for (const line of this.told.lines) {
      const y = line.y[this.at - line.x];
      if (y === undefined) continue;
      ctx.fillStyle = line.colour;
      ctx.beginPath();
      ctx.arc(X(this.at), Y(y), 3.4 * ratio, 0, 7);
      ctx.fill();
    }
  }
}
