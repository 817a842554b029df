// Maps over tokens on canvases: their colours, all tiles of a picture as one image, and text that must fit.

import { DIVERGING, ramp } from "./theme.js";

// From "nothing" to "all of it", close to the page's own colours at the low end.
const LIGHT = ramp([[243, 244, 250], [199, 202, 247], [126, 126, 240], [72, 64, 196], [30, 24, 92]]);
const DARK = ramp([[28, 32, 44], [50, 49, 112], [91, 89, 218], [152, 154, 252], [238, 240, 255]]);

export const tableOf = (picture, colours) => (picture.signed ? DIVERGING : colours.dark ? DARK : LIGHT);

/**
 * What the strongest colour of a head stands for: the highest weight of its median row, so that one row that
 * can only look at itself does not make all others pale; but at least four times an even share, so that a head
 * that looks everywhere alike is. rows, columns: the steps that are text; a picture may have come smaller.
 */
export function topOf(picture, tile, rows, columns) {
  if (picture.signed) return picture.highs[tile];
  picture.tops ??= [];
  return (picture.tops[tile] ??= Math.min(1, Math.max(median(picture, tile, rows, columns), 4 / columns)));
}

function median({ h, w, of, pixels, highs }, tile, rows, columns) {
  const [high, wide] = [Math.ceil((rows * h) / of[0]), Math.ceil((columns * w) / of[1])];
  const most = new Uint8Array(high);
  for (let row = 0; row < high; row++) {
    let at = (tile * h + row) * w;
    for (const end = at + wide; at < end; at++) if (pixels[at] > most[row]) most[row] = pixels[at];
  }
  return (most.sort()[high >> 1] / 255) * highs[tile];
}

/** All tiles of a picture, one below the other at a pixel per value; painted when the picture is another. */
export class Sheet {
  constructor() {
    this.canvas = document.createElement("canvas");
  }

  load(picture, colours, rows, columns) {
    const table = tableOf(picture, colours);
    if (this.picture === picture && this.table === table) return this.canvas;
    this.picture = picture;
    this.table = table;
    const { n, h, w, pixels } = picture;
    this.canvas.width = w;
    this.canvas.height = n * h;
    const image = new ImageData(w, n * h);
    const words = new Uint32Array(image.data.buffer);
    for (let tile = 0, p = 0; tile < n; tile++) {
      const share = picture.signed ? 1 : picture.highs[tile] / topOf(picture, tile, rows, columns);
      const own = share === 1 ? table : table.map((_, level) => table[Math.min(255, Math.round(level * share))]);
      for (const end = p + h * w; p < end; p++) words[p] = own[pixels[p]];
    }
    this.canvas.getContext("2d").putImageData(image, 0, 0);
    return this.canvas;
  }
}

/** The text, cut with an ellipsis where it is wider than `width` device pixels. */
export function cut(ctx, text, width) {
  if (ctx.measureText(text).width <= width) return text;
  let [lo, hi] = [0, text.length];
  while (lo < hi) {
    const mid = (lo + hi + 1) >> 1;
    if (ctx.measureText(`${text.slice(0, mid)}…`).width <= width) lo = mid; else hi = mid - 1;
  }
  return `${text.slice(0, lo)}…`;
}

/** The widest of the texts, at most `most`; looks at 600 of them. */
export const widest = (ctx, texts, most) => texts.slice(0, 600).reduce((w, text) => (w >= most ? w : Math.min(most, Math.max(w, ctx.measureText(text).width))), 0);
