// Where the codes of held-out pictures lie: a point each, coloured by class.

import { canvasOf, el, percent, say, show } from "./dom.js";
import { classColours } from "./masks.js";
import { Scrub } from "./scrub.js";
import { Through, notice } from "./view.js";
import { waiting } from "./words.js";

const TALL = 460; // CSS pixels
const MARGIN = 16;
const RADIUS = 4;
const NEAR = 12; // CSS pixels within which a point is pointed at

export class Latent extends Through {
  constructor(...given) {
    super(...given);
    this.notice = notice();
    this.count = el("small");
    this.legend = el("ul", { class: "wbl-classes", "aria-label": "Colours of the classes" });
    this.paper = canvasOf("wbl-latent", "Map of the codes of held-out pictures");
    this.room = el("div", { class: "wbl-latent-room" }, this.paper.canvas);
    this.reading = el("p", { class: "wbl-reading", role: "status" });
    this.scrub = new Scrub(this, () => this.dirty());
    this.scrub.attach("panel:latent");
    this.card = el("section", { class: "wbl-card wbl-pad" }, el("header", {}, el("h4", {}, "Map of the codes", this.count)), this.legend, this.room, this.reading, this.scrub.node);
    this.paper.canvas.addEventListener("pointermove", (event) => { this.at = [event.offsetX, event.offsetY]; this.dirty(); });
    this.paper.canvas.addEventListener("pointerleave", () => { this.at = null; this.dirty(); });
    this.host.append(this.notice.node, this.card);
  }

  render() {
    if (!this.watching) {
      this.watching = true;
      this.want("panel:latent");
    }
    const panel = this.scrub.picture();
    show(this.card, Boolean(panel));
    this.scrub.draw(panel);
    if (!panel) { this.notice.say(waiting(this.feed, "the first codes", "They come with the next look inside, within seconds.")); return; }
    this.notice.hide();
    this.draw(panel);
    this.host.dataset.step = panel.step;
  }

  draw(panel) {
    const { points, labels } = panel.arrays;
    const { classes = [], by, explained, size } = panel.data;
    const colours = classColours();
    const n = points.shape[0];
    const width = Math.max(200, this.room.clientWidth);
    const ratio = window.devicePixelRatio || 1;
    this.paper.fit(width, TALL);
    const { ctx } = this.paper;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, width, TALL);
    const [x0, x1] = extent(points.data, 0, n);
    const [y0, y1] = extent(points.data, 1, n);
    const scale = Math.min((width - 2 * MARGIN) / Math.max(x1 - x0, 1e-9), (TALL - 2 * MARGIN) / Math.max(y1 - y0, 1e-9));
    const place = (i) => [width / 2 + (points.data[2 * i] - (x0 + x1) / 2) * scale, TALL / 2 - (points.data[2 * i + 1] - (y0 + y1) / 2) * scale];
    let over = null;
    let nearest = NEAR * NEAR;
    for (let i = 0; i < n; i++) {
      const [x, y] = place(i);
      ctx.globalAlpha = 0.8;
      ctx.fillStyle = colours[labels.data[i] % colours.length];
      ctx.beginPath();
      ctx.arc(x, y, RADIUS, 0, 2 * Math.PI);
      ctx.fill();
      if (this.at) {
        const far = (x - this.at[0]) ** 2 + (y - this.at[1]) ** 2;
        if (far < nearest) { nearest = far; over = i; }
      }
    }
    ctx.globalAlpha = 1;
    if (over !== null) {
      const [x, y] = place(over);
      ctx.strokeStyle = this.colours.text;
      ctx.lineWidth = 2;
      ctx.beginPath();
      ctx.arc(x, y, RADIUS + 3, 0, 2 * Math.PI);
      ctx.stroke();
    }
    say(this.reading, over === null ? "Point at a place to read it." : `${classes[labels.data[over]] ?? "a picture"}`);
    const seen = [...new Set(labels.data)].sort((a, b) => a - b);
    this.legend.replaceChildren(...(classes.length ? seen : []).map((k) => el("li", {}, el("i", { style: `background:${colours[k % colours.length]}` }), String(classes[k] ?? k))));
    say(this.count, by === "own" ? `${n} held-out pictures by their two numbers` : `${n} held-out pictures, ${size} numbers each, along their two widest axes: ${percent(explained)} of the spread is seen`);
  }
}

/** [lowest, highest] of one of the two columns. */
function extent(data, column, n) {
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < n; i++) {
    const value = data[2 * i + column];
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return n ? [low, high] : [0, 1];
}
