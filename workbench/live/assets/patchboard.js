// Attention over an image that was cut into patches: heat over the probe image, every head small, one large.
// What looks is the class token, or a patch that was pointed out.

import { canvasOf, el, say, short, show } from "./dom.js";
import { Heads } from "./heads.js";
import { valueAt } from "./mosaic.js";
import { recall, remember } from "./address.js";

const TALL = 420; // CSS pixels of the large image
const NARROW = 780; // as in live.css
const [COOL, HOT] = [[255, 74, 0], [255, 221, 51]]; // of little and of much attention
const STRONGEST = 0.82; // opacity of the most
const DIMMED = 0.5; // of the image's light: heat has to be seen on white too
const EVEN = 2; // times an even share: a head that looks everywhere alike is pale

/** What of a layer's map is the class token, and which grids of patches look and are looked at. */
function sightOf(picture, patches) {
  const before = picture.of[1] - patches.rows * patches.columns;
  return { before, ...patches };
}

/** Labels for the sides of the same map drawn as a matrix. */
export function patchSides(picture, patches) {
  const { before, rows, columns, query_rows: high, query_columns: wide } = sightOf(picture, patches);
  const side = (r, c) => [...Array.from({ length: before }, () => "‹class›"), ...Array.from({ length: r * c }, (_, i) => `row ${Math.floor(i / c) + 1}, column ${(i % c) + 1}`)];
  const [query, key] = [side(high, wide), side(rows, columns)];
  return { query: { labels: query, n: query.length, named: true }, key: { labels: key, n: key.length, named: true } };
}

/** The weights (rows × columns) with which `query` looks: a place among the patches that look, or null for the
 * class token; where there is none, for all patches together. */
function weightsOf(picture, tile, patches, query) {
  const { before, rows, columns, query_rows: high, query_columns: wide } = sightOf(picture, patches);
  const lines = picture.of[0] === 1 ? [0] : query !== null ? [before + query] : before ? [0] : Array.from({ length: high * wide }, (_, i) => i);
  const found = new Float32Array(rows * columns);
  for (const line of lines) for (let i = 0; i < found.length; i++) found[i] += valueAt(picture, tile, line * picture.w + before + i) / lines.length;
  return found;
}

const mixed = (share) => COOL.map((c, k) => c + (HOT[k] - c) * share);
const topOf = (weights) => Math.max(EVEN / weights.length, ...weights);

/** All heads of a layer as heat, one below the other at a pixel per patch; painted anew for another picture or query. */
class Heat {
  constructor() {
    this.canvas = document.createElement("canvas");
  }

  load(picture, patches, query) {
    const sign = `${query}`;
    if (this.picture === picture && this.sign === sign) return this.canvas;
    this.picture = picture;
    this.sign = sign;
    const { rows, columns } = patches;
    this.canvas.width = columns;
    this.canvas.height = rows * picture.n;
    const image = new ImageData(columns, rows * picture.n);
    this.weights = [];
    for (let tile = 0, p = 0; tile < picture.n; tile++) {
      const weights = weightsOf(picture, tile, patches, query);
      const top = topOf(weights);
      this.weights.push(weights);
      for (const weight of weights) {
        const share = Math.min(1, weight / top);
        image.data.set(mixed(share), p);
        image.data[p + 3] = 255 * STRONGEST * share;
        p += 4;
      }
    }
    this.canvas.getContext("2d").putImageData(image, 0, 0);
    return this.canvas;
  }
}

class PatchHeads extends Heads {
  /** Each head's heat over the image. */
  row(ctx, { picture }, row, ratio) {
    const heat = (this.heats[row] ??= new Heat()).load(picture, this.patches, this.query);
    const side = this.cell * ratio;
    const { rows } = this.patches;
    for (let head = 0; head < picture.n; head++) this.over(ctx, heat, head * rows, ...this.corner(row, head, ratio), side);
  }

  over(ctx, heat, at, x, y, side) {
    const { rows, columns } = this.patches;
    const [h, w] = [this.image.height, this.image.width];
    const scale = side / Math.max(h, w);
    const [left, top] = [x + (side - w * scale) / 2, y + (side - h * scale) / 2];
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(this.image, left, top, w * scale, h * scale);
    ctx.drawImage(heat, 0, at, columns, rows, left, top, w * scale, h * scale);
  }
}

export class PatchBoard {
  /** dirty(): to be drawn anew; onpick(layer): another layer was chosen. */
  constructor(dirty, onpick) {
    this.dirty = dirty;
    this.head = Math.max(0, Number.parseInt(recall("head", "1"), 10) - 1 || 0);
    const asked = Number.parseInt(recall("patch"), 10);
    this.query = asked > 0 ? asked - 1 : null;
    this.at = null;
    this.over = null;
    this.heads = new PatchHeads(
      (row, head) => { this.pick(head); onpick(this.rows[row].layer); },
      (row, head) => { this.over = row === null ? null : [row, head]; dirty(); });
    this.heads.heats = [];
    this.heads.canvas.setAttribute("aria-label", "Attention of all heads over the image: a row per layer, a column per head. Arrow keys choose one.");
    this.paper = canvasOf("wbl-patchmap", "The chosen head over the image. Click a patch, or walk with the arrow keys, to see where it looks; Escape goes back.");
    this.canvas = this.paper.canvas;
    this.canvas.tabIndex = 0;
    this.canvas.addEventListener("pointermove", (event) => { this.at = this.hit(event); dirty(); });
    this.canvas.addEventListener("pointerleave", () => { this.at = null; dirty(); });
    this.canvas.addEventListener("click", (event) => this.chosen(this.hit(event)));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.whole = el("button", { type: "button", class: "wbl-button", onclick: () => this.look(null) }, "Class token");
    this.title = el("strong");
    this.facts = el("span", { class: "wbl-facts" });
    this.reading = el("p", { class: "wbl-reading", role: "status" });
    this.ramp = el("i", { style: `background:linear-gradient(90deg,${[0, 0.25, 0.5, 0.75, 1].map((share) => `rgb(${mixed(share).map((c) => Math.round(c * share))})`).join(",")})` });
    this.most = el("span");
    this.sheet = el("div", { class: "wbl-sheet" }, this.heads.canvas);
    this.room = el("div", { class: "wbl-map-room" }, this.canvas);
    this.figure = el("figure", { class: "wbl-one-head" },
      el("figcaption", {}, el("span", {}, this.title, this.facts), el("span", { class: "wbl-gap" }), el("div", { class: "wbl-ramp" }, el("span", {}, "0"), this.ramp, this.most), this.whole), this.reading, this.room);
    this.node = el("div", { class: "wbl-board wbl-patchboard" }, this.sheet, this.figure);
  }

  pick(head) {
    this.head = head;
    remember({ head: head ? head + 1 : null });
    this.dirty();
  }

  /** Which patch looks: its number, or null for the class token. */
  look(query) {
    this.query = query;
    remember({ patch: query === null ? null : query + 1 });
    this.dirty();
  }

  chosen(at) {
    if (!at) return;
    const { query_rows: high, query_columns: wide, rows, columns } = this.patches;
    const place = Math.floor((at.row * high) / rows) * wide + Math.floor((at.column * wide) / columns);
    this.look(place === this.query ? null : place);
  }

  key(event) {
    if (!this.patches) return;
    const { query_rows: high, query_columns: wide } = this.patches;
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!move && event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation(); // Streamlit listens for single keys
    if (!move || this.query === null) { this.look(move ? 0 : null); return; }
    const within = (i, n) => Math.max(0, Math.min(n - 1, i));
    this.look(within(Math.floor(this.query / wide) + move[0], high) * wide + within((this.query % wide) + move[1], wide));
  }

  hit(event) {
    if (!this.patches || !this.side) return null;
    const box = this.canvas.getBoundingClientRect();
    const { rows, columns } = this.patches;
    const [row, column] = [Math.floor(((event.clientY - box.top) / box.height) * rows), Math.floor(((event.clientX - box.left) / box.width) * columns)];
    return row >= 0 && column >= 0 && row < rows && column < columns ? { row, column } : null;
  }

  /** rows: [{layer, name, title, picture}], pictures may still be missing; probe: the panel; index: of its images. */
  draw(rows, layer, colours, probe, index) {
    this.rows = rows;
    this.patches = probe.data.patches;
    if (this.query !== null && this.query >= this.patches.query_rows * this.patches.query_columns) this.query = null;
    this.colours = colours;
    const image = this.load(probe.arrays.images, index);
    const at = Math.max(0, rows.findIndex((row) => row.layer === layer));
    const { picture, title } = rows[at];
    const head = Math.min(this.head, (picture?.n ?? 1) - 1);
    const isNarrow = this.node.clientWidth <= NARROW;
    Object.assign(this.heads, { patches: this.patches, query: this.query, image });
    this.heads.draw(rows, [at, head], this.over, this.sheet.clientWidth, colours, isNarrow);
    Object.assign(this.node.dataset, { layer: rows[at].layer, head, query: this.query ?? "class" });
    if (!picture) return;
    const heat = this.heads.heats[at];
    const weights = heat.weights[head];
    this.large(image, heat.canvas, head, Math.min(this.room.clientWidth, TALL));
    const has = sightOf(picture, this.patches).before > 0;
    say(this.title, `${title}, head ${head + 1}`);
    say(this.facts, ` of ${picture.n}`);
    say(this.whole, has ? "Class token" : "All patches");
    this.whole.setAttribute("aria-pressed", String(this.query === null));
    show(this.ramp.parentNode, true);
    say(this.most, short(topOf(weights), 2));
    say(this.reading, this.words(weights, has));
  }

  load(images, index) {
    if (this.images === images && this.index === index) return this.image;
    Object.assign(this, { images, index });
    const [, h, w, c = 1] = images.shape;
    this.image = document.createElement("canvas");
    Object.assign(this.image, { width: w, height: h });
    const pixels = new ImageData(w, h);
    const source = images.data.subarray(index * h * w * c, (index + 1) * h * w * c);
    for (let p = 0; p < h * w; p++) {
      for (let k = 0; k < 3; k++) pixels.data[4 * p + k] = DIMMED * source[c === 3 ? 3 * p + k : p];
      pixels.data[4 * p + 3] = 255;
    }
    this.image.getContext("2d").putImageData(pixels, 0, 0);
    this.heads.heats = []; // another picture's tiles come with another image
    return this.image;
  }

  large(image, heat, head, room) {
    const { rows, columns, query_rows: high, query_columns: wide } = this.patches;
    const scale = room / Math.max(image.width, image.height);
    const [w, h] = [image.width * scale, image.height * scale];
    this.paper.fit(w, h);
    this.side = room;
    const ctx = this.paper.ctx;
    const [W, H] = [this.canvas.width, this.canvas.height];
    ctx.clearRect(0, 0, W, H);
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(image, 0, 0, W, H);
    ctx.drawImage(heat, 0, head * rows, columns, rows, 0, 0, W, H);
    const ratio = window.devicePixelRatio || 1;
    const frame = (row, column, down, across, colour, thick) => {
      ctx.strokeStyle = colour;
      ctx.lineWidth = thick * ratio;
      ctx.strokeRect((column * W) / across + ctx.lineWidth / 2, (row * H) / down + ctx.lineWidth / 2, W / across - ctx.lineWidth, H / down - ctx.lineWidth);
    };
    if (this.at) frame(this.at.row, this.at.column, rows, columns, "#ffffff", 1.5);
    if (this.query !== null) frame(Math.floor(this.query / wide), this.query % wide, high, wide, "#35a7ff", 3);
  }

  /** Who looks where, in words: at what is pointed at, else at the place it looks at most. */
  words(weights, has) {
    const { columns, query_columns: wide } = this.patches;
    const who = this.query !== null ? `The patch in row ${Math.floor(this.query / wide) + 1}, column ${(this.query % wide) + 1}` : has ? "The class token" : "All patches together";
    const most = weights.indexOf(Math.max(...weights));
    const place = this.at ? this.at.row * columns + this.at.column : most;
    const times = weights[place] * weights.length;
    const told = `row ${Math.floor(place / columns) + 1}, column ${(place % columns) + 1}: ${short(weights[place], 3)}, ${short(times, 2)} times an even share`;
    return `${who} ${this.query === null && !has ? "look" : "looks"} ${this.at ? "at" : "most at"} ${told}`;
  }
}
