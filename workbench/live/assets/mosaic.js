// Many small pictures on one canvas: nearest-neighbour, whole device pixels, hover and choice of one.

import { canvasOf, short } from "./dom.js";
import { DIVERGING, GREY, VIRIDIS } from "./theme.js";

// CSS pixels
const GAP = 3; // between tiles
const HEIGHT = 470; // of all tiles together, where they can be read at that
const LARGEST = 128; // a tile's side

/** RGBA pixels of tile i of a tiles frame. */
export function paint(picture, i, grey = false) {
  const { h, w, c, pixels, signed } = picture;
  const image = new ImageData(w, h);
  const size = h * w * c;
  const source = pixels.subarray(i * size, (i + 1) * size);
  if (c === 3) {
    for (let p = 0, q = 0; p < source.length; p += 3, q += 4) {
      image.data[q] = source[p];
      image.data[q + 1] = source[p + 1];
      image.data[q + 2] = source[p + 2];
      image.data[q + 3] = 255;
    }
    return image;
  }
  const words = new Uint32Array(image.data.buffer);
  const table = grey ? GREY : signed ? DIVERGING : VIRIDIS;
  for (let p = 0; p < source.length; p++) words[p] = table[source[p]];
  return image;
}

/** The true value at a pixel, exact to 1/255 of the tile's range. */
export const valueAt = (picture, i, p) => picture.lows[i] + (picture.pixels[i * picture.h * picture.w + p] / 255) * (picture.highs[i] - picture.lows[i]);

export class Mosaic {
  /** onhover(tile, row, column) or onhover(null); onpick(tile). */
  constructor(label, onhover, onpick) {
    this.paper = canvasOf("wbl-mosaic", label);
    this.canvas = this.paper.canvas;
    this.canvas.tabIndex = 0;
    this.sheet = document.createElement("canvas"); // all tiles at one pixel per value
    this.chosen = 0;
    this.over = null;
    this.canvas.addEventListener("pointermove", (event) => {
      const hit = this.hit(event);
      this.over = hit;
      onhover(hit);
    });
    this.canvas.addEventListener("pointerleave", () => { this.over = null; onhover(null); });
    this.canvas.addEventListener("click", (event) => { const hit = this.hit(event); if (hit) onpick(hit.tile); });
    this.canvas.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns }[event.key];
      if (move === undefined || !this.picture) return;
      event.preventDefault();
      onpick(Math.max(0, Math.min(this.picture.n - 1, this.chosen + move)));
    });
  }

  hit(event) {
    if (!this.picture || !this.cell) return null;
    const box = this.canvas.getBoundingClientRect();
    const ratio = this.canvas.width / box.width;
    const [x, y] = [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio];
    const [column, row] = [Math.floor(x / this.cell.w), Math.floor(y / this.cell.h)];
    const tile = row * this.columns + column;
    const [c, r] = [Math.floor((x - column * this.cell.w) / this.zoom), Math.floor((y - row * this.cell.h) / this.zoom)];
    if (column >= this.columns || tile >= this.picture.n || c >= this.picture.w || r >= this.picture.h || c < 0 || r < 0) return null;
    return { tile, row: r, column: c };
  }

  /** Lay out and draw within `width` CSS pixels. */
  draw(picture, width, colours) {
    const ratio = window.devicePixelRatio || 1;
    const { n, h, w } = picture;
    if (picture !== this.picture) this.load(picture);
    const gap = Math.round(GAP * ratio);
    this.columns = fit(n, width * ratio, gap, HEIGHT * ratio, LARGEST * ratio);
    const side = Math.min(LARGEST * ratio, (width * ratio - gap * (this.columns - 1)) / this.columns);
    this.zoom = Math.max(1, Math.floor(side / Math.max(h, w)));
    this.cell = { w: w * this.zoom + gap, h: h * this.zoom + gap };
    if (this.columns * this.cell.w - gap > width * ratio) this.columns = Math.max(1, Math.floor((width * ratio + gap) / this.cell.w));
    const rows = Math.ceil(n / this.columns);
    this.paper.fit((this.columns * this.cell.w - gap) / ratio, (rows * this.cell.h - gap) / ratio);
    const ctx = this.paper.ctx;
    ctx.imageSmoothingEnabled = false;
    ctx.clearRect(0, 0, this.canvas.width, this.canvas.height);
    for (let i = 0; i < n; i++) {
      const [x, y] = [(i % this.columns) * this.cell.w, Math.floor(i / this.columns) * this.cell.h];
      ctx.drawImage(this.sheet, 0, i * h, w, h, x, y, w * this.zoom, h * this.zoom);
    }
    this.frame(ctx, this.chosen, colours.accent, 2 * ratio);
    if (this.over && this.over.tile !== this.chosen) this.frame(ctx, this.over.tile, colours.text, 1.5 * ratio);
  }

  load(picture) {
    this.picture = picture;
    const { n, h, w } = picture;
    this.sheet.width = w;
    this.sheet.height = h * n;
    const ctx = this.sheet.getContext("2d");
    for (let i = 0; i < n; i++) ctx.putImageData(paint(picture, i), 0, i * h);
  }

  frame(ctx, i, colour, width) {
    if (i >= this.picture.n) return;
    const { w, h } = this.picture;
    const [x, y] = [(i % this.columns) * this.cell.w, Math.floor(i / this.columns) * this.cell.h];
    ctx.strokeStyle = colour;
    ctx.lineWidth = width;
    ctx.strokeRect(x + width / 2, y + width / 2, w * this.zoom - width, h * this.zoom - width);
  }
}

/** The fewest columns whose tiles, as large as the width allows, stay within the height. */
function fit(n, width, gap, height, largest) {
  for (let columns = 1; columns < n; columns++) {
    const side = Math.min(largest, (width - gap * (columns - 1)) / columns);
    const rows = Math.ceil(n / columns);
    const ragged = n % columns && columns > 4 && n % (columns + 1) === 0; // one more column fills all rows
    if (side * columns >= width * 0.9 - gap * columns && rows * (side + gap) <= height && !ragged) return columns;
    if (side < 14 * (window.devicePixelRatio || 1)) return columns;
  }
  return n;
}

/** One tile, large, with its numbers written into it where they fit. */
export function magnify(paper, picture, i, side, colours, at) {
  const ratio = window.devicePixelRatio || 1;
  const { h, w, c } = picture;
  const zoom = Math.max(1, Math.floor((side * ratio) / Math.max(h, w)));
  paper.fit((w * zoom) / ratio, (h * zoom) / ratio);
  const small = document.createElement("canvas");
  small.width = w;
  small.height = h;
  small.getContext("2d").putImageData(paint(picture, i), 0, 0);
  const ctx = paper.ctx;
  ctx.imageSmoothingEnabled = false;
  ctx.drawImage(small, 0, 0, w * zoom, h * zoom);
  if (c === 1 && zoom / ratio >= 34) {
    ctx.font = `${11 * ratio}px ${colours.font}`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    for (let p = 0; p < h * w; p++) {
      const level = picture.pixels[i * h * w + p];
      ctx.fillStyle = (picture.signed ? Math.abs(level - 127.5) < 75 : level > 150) ? "#10141d" : "#ffffff";
      ctx.fillText(short(valueAt(picture, i, p), 2), ((p % w) + 0.5) * zoom, (Math.floor(p / w) + 0.5) * zoom);
    }
  }
  if (at) {
    ctx.strokeStyle = colours.accent;
    ctx.lineWidth = 2 * ratio;
    ctx.strokeRect(at.column * zoom, at.row * zoom, zoom, zoom);
  }
}
