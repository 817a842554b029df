// Classes as colours: masks of pictures, and the one list of colours for them.

import { magnified } from "./dom.js";

const VOID = 255; // a pixel that counts nowhere
const STRENGTH = 0.6; // of a colour that lies over a picture

/** The colours of classes, in their order; more classes go round. */
export function classColours() {
  const style = getComputedStyle(document.documentElement);
  const found = [];
  for (let k = 0; k < 64; k++) {
    const colour = style.getPropertyValue(`--wb-class-${k}`).trim();
    if (!colour) break;
    found.push(colour);
  }
  return found.length ? found : ["#8089a0", "#2f7ae5", "#e8710a", "#1a9c5b"];
}

const rgb = (hex) => [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));

/** Mask i of a stack (n, h, w) uint8, magnified to about `side` CSS pixels; over: a stack of pictures below it. */
export function drawMask(paper, stack, i, side, colours, over = null) {
  const table = colours.map(rgb);
  const ratio = window.devicePixelRatio || 1;
  const [, h, w] = stack.shape;
  const zoom = Math.max(1, Math.round((side * ratio) / Math.max(h, w)));
  paper.fit((w * zoom) / ratio, (h * zoom) / ratio);
  const image = new ImageData(w, h);
  const below = over && over.shape[1] === h && over.shape[2] === w ? over : null;
  const channels = below?.shape[3] ?? 1;
  for (let p = 0; p < h * w; p++) {
    const k = stack.data[i * h * w + p];
    const striped = ((p % w) + Math.floor(p / w)) % 4 < 2 ? 60 : 200;
    const colour = k === VOID ? [striped, striped, striped] : table[k % table.length];
    for (let c = 0; c < 3; c++) {
      const own = below ? below.data[(i * h * w + p) * channels + (channels === 3 ? c : 0)] : 0;
      const share = below ? (k === 0 ? 0 : STRENGTH) : 1; // the ground stays as it is
      image.data[4 * p + c] = share * colour[c] + (1 - share) * own;
    }
    image.data[4 * p + 3] = 255;
  }
  magnified(paper, image, zoom);
}
