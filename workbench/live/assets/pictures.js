// Answers that are images, for the same inputs look after look: masks beside the true ones, reconstructions beside
// their originals, images out of noise.

import { canvasOf, el, percent, say, show, toggle } from "./dom.js";
import { classColours, drawMask } from "./masks.js";
import { recall, remember } from "./address.js";
import { Scrub } from "./scrub.js";
import { drawPixels } from "./tiles.js";
import { Through, notice } from "./view.js";
import { waiting } from "./words.js";

const SIDE = 132; // CSS pixels of a picture

/** One panel with a scrub bar, and the probe images beside it. */
class Pictures extends Through {
  build(topic, title, about) {
    this.topic = topic;
    this.notice = notice();
    this.count = el("small");
    this.tools = el("span", { class: "wbl-tools" });
    this.body = el("div", { class: "wbl-pictures" });
    this.hint = el("p", { class: "wbl-hint" }, about);
    this.scrub = new Scrub(this, () => this.dirty());
    this.scrub.attach(topic);
    this.card = el("section", { class: "wbl-card wbl-pad" }, el("header", {}, el("h4", {}, title, this.count), this.tools), this.body, this.scrub.node, this.hint);
    this.host.append(this.notice.node, this.card);
  }

  render() {
    if (!this.watching) {
      this.watching = true;
      this.want(this.topic);
      this.want("panel:probe");
    }
    const panel = this.scrub.picture();
    const probe = this.feed.pictures.get("panel:probe");
    const ready = panel && (probe || !this.besides);
    show(this.card, Boolean(ready));
    this.scrub.draw(panel);
    if (!ready) { this.notice.say(waiting(this.feed, `the first ${this.what}`, "They come with the next look inside, within seconds.")); return; }
    this.notice.hide();
    const sign = [panel.step, panel.at, this.colours.dark, this.option].join();
    if (panel !== this.shown || sign !== this.sign) { this.shown = panel; this.sign = sign; this.draw(panel, probe); }
    this.host.dataset.step = panel.step;
  }

  /** A picture under its title. */
  figure(title, draw) {
    const paper = canvasOf("wbl-thumb", title);
    draw(paper);
    return el("figure", {}, paper.canvas, el("figcaption", {}, title));
  }
}

export class Masks extends Pictures {
  constructor(...given) {
    super(...given);
    this.what = "masks";
    this.besides = true;
    this.option = recall("over") === "1";
    this.build("panel:masks", "Masks", "What the model says of the same held-out pictures: a colour for the class of every pixel. Striped pixels count nowhere.");
    this.over = toggle("Over the picture", this.option, (on) => { this.option = on; remember({ over: on ? 1 : null }); this.dirty(); }, "Lay the colours over the picture");
    this.legend = el("ul", { class: "wbl-classes", "aria-label": "Colours of the classes" });
    this.tools.append(this.over.node);
    this.body.before(this.legend);
  }

  draw(panel, probe) {
    const { images, truth } = probe.arrays;
    const { predicted } = panel.arrays;
    const colours = classColours();
    const names = panel.data.classes ?? [];
    this.legend.replaceChildren(...names.map((name, k) => el("li", {}, el("i", { style: `background:${colours[k % colours.length]}` }), String(name))));
    const below = this.option ? images : null;
    let right = 0;
    let all = 0;
    const rows = Array.from({ length: predicted.shape[0] }, (_, i) => {
      const share = truth ? agreement(truth, predicted, i) : null;
      if (share) { right += share[0]; all += share[1]; }
      return el("article", { "data-index": i },
        this.figure("Picture", (paper) => drawPixels(paper, images, i, SIDE)),
        truth ? this.figure("True mask", (paper) => drawMask(paper, truth, i, SIDE, colours, below)) : null,
        this.figure(share ? `Predicted, ${percent(share[0] / Math.max(1, share[1]))} right` : "Predicted", (paper) => drawMask(paper, predicted, i, SIDE, colours, below)));
    });
    this.body.replaceChildren(...rows);
    say(this.count, all ? `${percent(right / all)} of the pixels shown are right` : "");
    this.host.dataset.right = all ? (right / all).toFixed(4) : "";
  }
}

/** [pixels right, pixels that count] of picture i. */
function agreement(truth, predicted, i) {
  const size = truth.shape[1] * truth.shape[2];
  let right = 0;
  let all = 0;
  for (let p = i * size; p < (i + 1) * size; p++) {
    if (truth.data[p] === 255) continue;
    all += 1;
    right += truth.data[p] === predicted.data[p] ? 1 : 0;
  }
  return [right, all];
}

export class Reconstructions extends Pictures {
  constructor(...given) {
    super(...given);
    this.what = "reconstructions";
    this.besides = true;
    this.build("panel:reconstructions", "Reconstructions", "Above what came in, below what the model made of it through its narrow place; the pictures are held out.");
  }

  draw(panel, probe) {
    const { images } = probe.arrays;
    const { made } = panel.arrays;
    this.body.replaceChildren(...Array.from({ length: made.shape[0] }, (_, i) => el("article", { class: "wbl-above", "data-index": i },
      this.figure(String(probe.data.labels?.[i] ?? "Original"), (paper) => drawPixels(paper, images, i, SIDE)),
      this.figure("Reconstruction", (paper) => drawPixels(paper, made, i, SIDE)))));
    this.host.dataset.sum = sumOf(made);
  }
}

export class Made extends Pictures {
  constructor(...given) {
    super(...given);
    this.what = "samples";
    this.build("panel:made", "Samples", "Made of the same random numbers at every look: play the history to see them form.");
  }

  draw(panel) {
    const { images } = panel.arrays;
    this.body.replaceChildren(el("div", { class: "wbl-gallery" }, ...Array.from({ length: images.shape[0] }, (_, i) => {
      const paper = canvasOf("wbl-thumb", `Sample ${i + 1}`);
      drawPixels(paper, images, i, 84);
      return paper.canvas;
    })));
    say(this.count, `${images.shape[0]} pictures of the same noise`);
    this.host.dataset.sum = sumOf(images);
  }
}

/** A number that other pixels would not have, for who waits for a change. */
function sumOf(stack) {
  let sum = 0;
  for (let p = 0; p < stack.data.length; p++) sum = (sum * 31 + stack.data[p]) % 1000003;
  return sum;
}
