// Every head of every layer as a small map on one canvas: a row per layer, a column per head.

import { canvasOf } from "./dom.js";
import { Sheet } from "./sheet.js";

// CSS pixels
const GAP = 4;
const TOP = 16; // the heads' numbers
const LARGEST = 92; // a map's side
const SMALLEST = 13;
const HEIGHT = 500; // of all together, where they can be told apart at that
const LOW = 300; // the same where there is little room
const EDGE = 2; // around all, for the frame of the chosen one

export class Heads {
  /** onpick(row, head): one was chosen; onhover(row, head) or onhover(null). */
  constructor(onpick, onhover) {
    this.paper = canvasOf("wbl-heads", "Attention of all heads: a row per layer, a column per head. Arrow keys choose one.");
    this.canvas = this.paper.canvas;
    this.canvas.tabIndex = 0;
    this.sheets = [];
    this.canvas.addEventListener("pointermove", (event) => onhover(...(this.hit(event) ?? [null])));
    this.canvas.addEventListener("pointerleave", () => onhover(null));
    this.canvas.addEventListener("click", (event) => { const hit = this.hit(event); if (hit) onpick(...hit); });
    this.canvas.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!move || !this.rows?.length) return;
      event.preventDefault();
      event.stopPropagation();
      const row = Math.max(0, Math.min(this.rows.length - 1, this.chosen[0] + move[0]));
      this.chosen = [row, Math.max(0, Math.min((this.rows[row].picture?.n ?? 1) - 1, this.chosen[1] + move[1]))];
      onpick(...this.chosen);
    });
  }

  hit(event) {
    if (!this.cell) return null;
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left - this.left, event.clientY - box.top - TOP];
    const [row, head] = [Math.floor(y / (this.cell + GAP)), Math.floor(x / (this.cell + GAP))];
    return x >= 0 && y >= 0 && head < (this.rows[row]?.picture?.n ?? 0) ? [row, head] : null;
  }

  /** rows: [{name, picture, query, key}]; chosen, over: [row, head] or null; within `width` CSS pixels. */
  draw(rows, chosen, over, width, colours, isLow) {
    this.rows = rows;
    this.chosen = chosen;
    const ratio = window.devicePixelRatio || 1;
    const columns = Math.max(1, ...rows.map(({ picture }) => picture?.n ?? 0));
    const ctx = this.paper.ctx;
    const font = `${11 * ratio}px ${colours.font}`;
    ctx.font = font;
    const names = rows.map(({ name }) => (/^\d+$/.test(name) ? `layer ${name}` : name));
    this.left = Math.ceil(Math.max(...names.map((name) => ctx.measureText(name).width / ratio)) + 10);
    const fits = (room, count) => Math.floor((room - GAP * (count - 1)) / count);
    const height = isLow ? LOW : HEIGHT;
    const cell = Math.min(LARGEST, fits(width - this.left - EDGE, columns), Math.max(40, fits(height - TOP, rows.length)));
    this.cell = Math.max(SMALLEST, cell);
    const pitch = this.cell + GAP;
    this.paper.fit(this.left + columns * pitch - GAP + EDGE, TOP + rows.length * pitch - GAP + EDGE);
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.clearRect(0, 0, this.canvas.width, this.canvas.height);
    ctx.font = font;
    ctx.fillStyle = colours.text;
    ctx.globalAlpha = 0.66;
    ctx.textAlign = "center";
    ctx.textBaseline = "alphabetic";
    const every = Math.ceil(18 / pitch);
    const word = (head) => (pitch >= 46 ? `head ${head + 1}` : String(head + 1));
    for (let head = 0; head < columns; head += every) ctx.fillText(word(head), (this.left + head * pitch + this.cell / 2) * ratio, (TOP - 5) * ratio);
    ctx.textAlign = "right";
    ctx.textBaseline = "middle";
    names.forEach((name, row) => ctx.fillText(name, (this.left - 7) * ratio, (TOP + row * pitch + this.cell / 2) * ratio));
    ctx.globalAlpha = 1;
    rows.forEach((one, row) => { if (one.picture) this.row(ctx, one, row, ratio, colours); });
    this.frame(ctx, over, colours.text, 1.5, ratio);
    this.frame(ctx, chosen, colours.accent, 2.5, ratio);
  }

  row(ctx, { picture, query, key }, row, ratio, colours) {
    const [high, wide] = [(query.n * picture.h) / picture.of[0], (key.n * picture.w) / picture.of[1]]; // of it is text
    const sheet = (this.sheets[row] ??= new Sheet()).load(picture, colours, query.n, key.n);
    const side = this.cell * ratio;
    // A head over many more steps one way than the other keeps its shape, as far as it can be seen.
    const [w, h] = query.n * 4 < key.n ? [side, Math.max(side / 4, (side * query.n) / key.n)] : [side, side];
    ctx.imageSmoothingEnabled = wide > w || high > h;
    ctx.imageSmoothingQuality = "medium";
    for (let head = 0; head < picture.n; head++) {
      const [x, y] = this.corner(row, head, ratio);
      ctx.drawImage(sheet, 0, head * picture.h, wide, high, x, y + (side - h) / 2, w, h);
    }
  }

  /** Where a head's map begins, in device pixels. */
  corner(row, head, ratio) {
    return [(this.left + head * (this.cell + GAP)) * ratio, (TOP + row * (this.cell + GAP)) * ratio];
  }

  frame(ctx, place, colour, thick, ratio) {
    if (!place || place[0] >= this.rows.length) return;
    const [x, y] = [this.left + place[1] * (this.cell + GAP), TOP + place[0] * (this.cell + GAP)];
    ctx.strokeStyle = colour;
    ctx.lineWidth = thick * ratio;
    ctx.strokeRect((x - 1) * ratio, (y - 1) * ratio, (this.cell + 2) * ratio, (this.cell + 2) * ratio);
  }
}
