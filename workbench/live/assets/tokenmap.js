// One map over tokens, large: tokens along its sides, the value at the pointer; or lines from token to token.

import { canvasOf } from "./dom.js";
import { valueAt } from "./mosaic.js";
import { Sheet, cut, topOf, widest } from "./sheet.js";

// CSS pixels
const LARGEST = 34; // a cell's side
const WIDEST = 60; // a column of states
const LETTERS = [8.5, 11.5]; // size of labels, the smallest and the largest
const GUTTER = 108; // of labels at most
const WRITTEN = 30; // a cell's side from which on its value is written into it
const LINES = 170; // between the two columns of tokens, at least
const PITCH = 28; // between tokens of the columns, where they have room

export class TokenMap {
  /** onhover(at): {row, column} (of lines one of the two is null), or null. */
  constructor(label, onhover) {
    this.paper = canvasOf("wbl-tokenmap", label);
    this.canvas = this.paper.canvas;
    this.canvas.tabIndex = 0;
    this.sheet = new Sheet();
    this.canvas.addEventListener("pointermove", (event) => onhover(this.hit(event)));
    this.canvas.addEventListener("pointerleave", () => onhover(null));
    this.canvas.addEventListener("blur", () => onhover(null));
    this.canvas.addEventListener("keydown", (event) => {
      const next = this.walk(event.key);
      if (next === undefined) return;
      event.preventDefault();
      event.stopPropagation(); // Streamlit listens for single keys
      this.at = next; // the next key may come before the next frame
      onhover(next);
    });
  }

  walk(key) {
    if (!this.shown) return undefined;
    if (key === "Escape") return null;
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[key];
    if (!move) return undefined;
    const { rows, columns, lines } = this.shown;
    const within = (i, n) => Math.max(0, Math.min(n - 1, i));
    const row = this.at?.row ?? null;
    if (lines) return { row: row === null ? 0 : within(row + move[0], rows.n), column: null };
    if (row === null) return { row: 0, column: 0 };
    return { row: within(row + move[0], rows.n), column: within((this.at.column ?? 0) + move[1], columns.n) };
  }

  hit(event) {
    if (!this.place) return null;
    const box = this.canvas.getBoundingClientRect();
    return this.place(event.clientX - box.left, event.clientY - box.top);
  }

  /** shown: {picture, tile, rows, columns, lines}; rows and columns as of `sideOf`; at: what is pointed at. */
  draw(shown, at, width, height, colours) {
    this.shown = shown;
    this.at = at && (at.row ?? 0) < shown.rows.n && (at.column ?? 0) < shown.columns.n ? at : null;
    this.ratio = window.devicePixelRatio || 1;
    this.colours = colours;
    this.font();
    if (shown.lines) this.lines(width); else this.map(width, height);
  }

  /** Letters for labels that stand `size` CSS pixels apart; answers their height. */
  font(size = LETTERS[1], weight = 400) {
    const height = Math.max(LETTERS[0], Math.min(LETTERS[1], size));
    this.paper.ctx.font = `${weight} ${height * this.ratio}px ${this.colours.font}`;
    return height;
  }

  value(row, column) {
    const { picture, tile } = this.shown;
    return valueAt(picture, tile, row * picture.w + column);
  }

  begin(width, height) {
    this.paper.fit(width, height);
    const ctx = this.paper.ctx;
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.globalAlpha = 1;
    ctx.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.font();
    return ctx;
  }

  // ---------------------------------------------------------------- the map

  map(width, height) {
    const { picture, tile, rows, columns } = this.shown;
    const { ratio, at } = this;
    const side = (labels) => Math.ceil(widest(this.paper.ctx, labels, GUTTER * ratio) / ratio) + 10;
    const square = !picture.signed;
    const left = side(rows.labels);
    let cw = Math.min(square ? LARGEST : WIDEST, (width - left - 2) / columns.n);
    this.font(cw);
    const longest = widest(this.paper.ctx, columns.labels, GUTTER * ratio) / ratio;
    const flat = cw >= longest + (longest < 14 ? 0 : 8); // the labels fit as they are
    const top = flat ? 20 : side(columns.labels);
    this.font();
    let ch = Math.min(square ? LARGEST : 14, Math.max(square ? 0 : 1, (height - top) / rows.n));
    if (square) cw = ch = Math.min(cw, rows.n * 4 < columns.n ? cw : ch); // a single row is not made small by its width
    if (cw * ratio >= 3) cw = Math.floor(cw * ratio) / ratio; // whole device pixels, where that costs little
    if (ch * ratio >= 3) ch = Math.floor(ch * ratio) / ratio;
    const ctx = this.begin(left + cw * columns.n + 2, top + ch * rows.n + 2);
    const [X, Y, W, H] = [left * ratio, top * ratio, cw * columns.n * ratio, ch * rows.n * ratio];
    ctx.imageSmoothingEnabled = cw * ratio < 1 || ch * ratio < 1;
    ctx.drawImage(this.sheet.load(picture, this.colours, rows.n, columns.n), 0, tile * picture.h, columns.n, rows.n, X, Y, W, H);
    if (square && cw >= WRITTEN) this.numbers(ctx, X, Y, cw * ratio, rows, columns);
    this.labels(ctx, rows, "row", ch, (i) => [left - 6, top + (i + 0.5) * ch], "right", left - 10);
    if (flat) this.labels(ctx, columns, "column", cw, (i) => [left + (i + 0.5) * cw, top - 9], "center", cw);
    else this.labels(ctx, columns, "column", cw, (i) => [left + (i + 0.5) * cw, top - 5], "left", top - 8, -Math.PI / 2);
    if (at?.row != null && at?.column != null) this.cross(ctx, X, Y, W, H, cw * ratio, ch * ratio);
    this.place = (x, y) => {
      const [column, row] = [Math.floor((x - left) / cw), Math.floor((y - top) / ch)];
      return column >= 0 && row >= 0 && column < columns.n && row < rows.n ? { row, column } : null;
    };
  }

  /** Labels along one side, as many as can be read; the one pointed at always, in bold. */
  labels(ctx, side, which, size, where, align, room, angle = 0) {
    const { ratio, colours } = this;
    const height = this.font(size);
    const every = Math.max(1, Math.ceil((height - 0.5) / size));
    const chosen = this.at?.[which] ?? null;
    ctx.textBaseline = "middle";
    for (let i = 0; i < side.n; i++) {
      const own = i === chosen;
      const covered = chosen !== null && Math.abs(i - chosen) * size < LETTERS[1];
      if (!own && (i % every || (every > 1 && covered))) continue;
      if (own) this.font(LETTERS[1], 700); else this.font(size);
      ctx.fillStyle = own ? colours.accent : colours.text;
      ctx.globalAlpha = own ? 1 : 0.78;
      const [x, y] = where(i);
      ctx.save();
      ctx.translate(x * ratio, y * ratio);
      ctx.rotate(angle);
      ctx.textAlign = align;
      ctx.fillText(cut(ctx, side.labels[i], room * ratio), 0, 0);
      ctx.restore();
    }
    ctx.globalAlpha = 1;
    this.font();
  }

  numbers(ctx, X, Y, cell, rows, columns) {
    const top = topOf(this.shown.picture, this.shown.tile, rows.n, columns.n);
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    for (let row = 0; row < rows.n; row++) for (let column = 0; column < columns.n; column++) {
      const value = this.value(row, column);
      if (value < 0.005) continue;
      ctx.fillStyle = (this.colours.dark ? value / top < 0.59 : value / top > 0.41) ? "#ffffff" : "#151827";
      ctx.fillText(value >= 0.995 ? "1" : value.toFixed(2).replace(/^0/, ""), X + (column + 0.5) * cell, Y + (row + 0.5) * cell);
    }
  }

  cross(ctx, X, Y, W, H, cw, ch) {
    const { at, colours, ratio } = this;
    ctx.strokeStyle = colours.text;
    ctx.globalAlpha = 0.32;
    ctx.lineWidth = ratio;
    ctx.strokeRect(X, Y + at.row * ch, W, Math.max(ch, ratio));
    ctx.strokeRect(X + at.column * cw, Y, Math.max(cw, ratio), H);
    ctx.globalAlpha = 1;
    ctx.strokeStyle = "#f59e0b";
    ctx.lineWidth = 2 * ratio;
    ctx.strokeRect(X + at.column * cw, Y + at.row * ch, Math.max(cw, 2 * ratio), Math.max(ch, 2 * ratio));
  }

  // ---------------------------------------------------------------- lines

  /** Tokens that look on the left, those looked at on the right; the more a line weighs, the stronger. */
  lines(width) {
    const { picture, tile, rows, columns } = this.shown;
    const { ratio, colours, at } = this;
    const most = Math.max(rows.n, columns.n);
    const pitch = most <= 48 ? Math.max(13, Math.min(PITCH, 620 / most)) : Math.max(2, 620 / most);
    const gutter = (labels) => Math.ceil(widest(this.paper.ctx, labels, GUTTER * ratio) / ratio) + 10;
    const [left, right] = [gutter(rows.labels), gutter(columns.labels)];
    const span = Math.max(LINES / 2, Math.min(2.2 * LINES, width - left - right));
    const shift = (side) => ((most - side.n) * pitch) / 2; // the shorter side stands in the middle
    const ctx = this.begin(left + span + right, most * pitch + 4);
    const y = (side, i) => (shift(side) + (i + 0.5) * pitch + 2) * ratio;
    const [x0, x1] = [left * ratio, (left + span) * ratio];
    const high = topOf(picture, tile, rows.n, columns.n);
    const thin = Math.min(1, 14 / most);
    ctx.strokeStyle = ctx.fillStyle = colours.dark ? "#a5a8ff" : colours.accent;
    for (let row = 0; row < rows.n; row++) {
      if (at?.row != null && row !== at.row) continue;
      for (let column = 0; column < columns.n; column++) {
        if (at?.row == null && at?.column != null && column !== at.column) continue;
        const share = Math.min(1, this.value(row, column) / high);
        if (share < 0.03) continue;
        ctx.globalAlpha = at ? share : share * share * thin; // of very many lines only the strong ones are to be seen
        ctx.lineWidth = (at ? 1 + 2.5 * share : 0.5 + 2.2 * share * thin) * ratio;
        ctx.beginPath();
        ctx.moveTo(x0, y(rows, row));
        ctx.bezierCurveTo(x0 + (x1 - x0) * 0.4, y(rows, row), x1 - (x1 - x0) * 0.4, y(columns, column), x1, y(columns, column));
        ctx.stroke();
      }
    }
    this.shades(ctx, rows, columns, y, pitch, left, span, right, high);
    this.labels(ctx, rows, "row", pitch, (i) => [left - 6, y(rows, i) / ratio], "right", left - 10);
    this.labels(ctx, columns, "column", pitch, (i) => [left + span + 6, y(columns, i) / ratio], "left", right - 10);
    this.place = (px, py) => {
      const onLeft = px < left + span / 2;
      const side = onLeft ? rows : columns;
      const i = Math.floor((py - 2 - shift(side)) / pitch);
      return i >= 0 && i < side.n ? { row: onLeft ? i : null, column: onLeft ? null : i } : null;
    };
  }

  /** Behind the tokens of the other side: how much each takes, or gives, of the one pointed at. */
  shades(ctx, rows, columns, y, pitch, left, span, right, high) {
    const { at, ratio } = this;
    if (!at) return;
    const fromLeft = at.row != null;
    const side = fromLeft ? columns : rows;
    for (let i = 0; i < side.n; i++) {
      ctx.globalAlpha = 0.55 * Math.min(1, (fromLeft ? this.value(at.row, i) : this.value(i, at.column)) / high);
      ctx.fillRect((fromLeft ? left + span + 2 : 0) * ratio, y(side, i) - (pitch / 2) * ratio, ((fromLeft ? right : left) - 2) * ratio, pitch * ratio);
    }
    ctx.globalAlpha = 1;
  }
}
