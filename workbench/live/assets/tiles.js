// Filters and feature maps: choose a layer (and a probe image), see all channels, one of them large.

import { canvasOf, choices, el, magnified, say, short, show } from "./dom.js";
import { Mosaic, magnify, valueAt } from "./mosaic.js";
import { Scrub } from "./scrub.js";
import { DIVERGING, VIRIDIS, gradient } from "./theme.js";
import { recall, remember } from "./address.js";
import { View, notice } from "./view.js";
import { waiting } from "./words.js";

// CSS pixels of the magnified tile; in a narrow view
const SIDE = 162;
const SMALL_SIDE = 110;
const NARROW = 780; // as in live.css

/** What filters and maps have in common; `kind` is the topic's first part. */
class Layers extends View {
  build(kind, parameter, what) {
    this.kind = kind;
    this.parameter = parameter;
    this.what = what;
    this.layer = recall(parameter) || null;
    this.tile = 0;
    this.layers = choices("Layer", [], (layer) => { this.pick(layer); remember({ [parameter]: layer }); });
    this.mosaic = new Mosaic(what, (hit) => { this.at = hit; this.dirty(); }, (tile) => { this.tile = tile; this.dirty(); });
    this.scrub = new Scrub(this, () => this.dirty());
    this.large = canvasOf("wbl-large", "The chosen one, large");
    this.title = el("strong");
    this.facts = el("span", { class: "wbl-facts" });
    this.reading = el("span", { class: "wbl-reading", role: "status" });
    this.ramp = el("i");
    this.ends = [el("span"), el("span")];
    this.legend = el("div", { class: "wbl-ramp" }, this.ends[0], this.ramp, this.ends[1]);
    this.figure = el("figure", {}, el("figcaption", {}, this.title), this.large.canvas);
    this.side = el("aside", { class: "wbl-side" }, this.figure, el("div", { class: "wbl-words" }, this.legend, this.facts, this.reading));
    this.sheet = el("div", { class: "wbl-sheet" }, this.mosaic.canvas);
    this.caption = el("p", { class: "wbl-hint" });
    this.notice = notice();
    this.body = el("div", { class: "wbl-tiles" }, this.sheet, this.side);
    this.head = el("div", { class: "wbl-toolbar" }, this.layers.node);
    this.host.append(this.head, this.notice.node, this.body, this.scrub.node, this.caption);
  }

  /** [layer index, label] of every layer that has pictures of this kind. */
  list() {
    const own = (this.feed.topics ?? []).filter((topic) => topic.startsWith(`${this.kind}/`));
    return own.map((topic) => {
      const layer = topic.split("/")[1];
      return [layer, `${layer} · ${this.feed.layers[topic] || "layer"}`, `Layer ${layer}`];
    });
  }

  topic() {
    return `tiles:${this.kind}/${this.layer}`;
  }

  pick(layer) {
    this.layer = layer;
    this.watch();
    this.dirty();
  }

  /** Subscribe to what is chosen and to nothing else. */
  watch() {
    const topic = this.topic();
    this.scrub.attach(topic);
    if (this.watched === topic) return;
    this.release?.();
    this.releases = this.releases.filter((release) => release !== this.release);
    this.watched = topic;
    this.release = this.want(topic);
  }

  hide() {
    super.hide();
    this.shared = false;
    this.watched = null;
    this.scrub?.play(false);
  }

  render() {
    const list = this.list();
    this.layers.set(list);
    if (!this.shared) { // the other tab may have chosen another layer meanwhile
      this.shared = true;
      this.layer = recall(this.parameter) || this.layer;
    }
    if (list.length && !list.some(([layer]) => layer === this.layer)) this.layer = list[0][0];
    this.layers.choose(this.layer);
    show(this.head, list.length > 0);
    if (list.length) this.watch();
    const picture = list.length ? this.scrub.picture() : null;
    if (!picture && list.length && this.mosaic.picture) return; // another layer's comes within milliseconds
    show(this.body, Boolean(picture));
    show(this.caption, Boolean(picture));
    this.scrub.draw(picture);
    if (!picture) { this.empty(); return; }
    this.notice.hide();
    this.tile = Math.min(this.tile, picture.n - 1);
    this.mosaic.chosen = this.tile;
    this.mosaic.draw(picture, this.sheet.clientWidth, this.colours);
    this.detail(picture);
    this.host.dataset.step = picture.step;
  }

  empty() {
    const model = this.feed.status && this.feed.topics?.length && !this.list().length;
    if (model && this.feed.state === "live") this.notice.say([`No ${this.what}`, this.none]);
    else this.notice.say(waiting(this.feed, `the first ${this.what}`, "They come with the next look inside, within seconds."));
  }

  room() {
    return this.host.clientWidth > NARROW ? SIDE : SMALL_SIDE;
  }

  detail(picture) {
    const shown = this.at ? this.at.tile : this.tile;
    if (shown >= picture.n) return;
    magnify(this.large, picture, shown, this.room(), this.colours, this.at);
    say(this.title, `${picture.label} ${shown}`);
    const [lo, hi] = [picture.lows[shown], picture.highs[shown]];
    const colour = picture.c === 3;
    show(this.legend, !colour);
    this.ramp.style.background = `linear-gradient(90deg, ${gradient(picture.signed ? DIVERGING : VIRIDIS)})`;
    say(this.ends[0], short(lo, 3));
    say(this.ends[1], short(hi, 3));
    say(this.facts, colour ? `three channels as red, green, blue; from ${short(lo, 3)} to ${short(hi, 3)}` : `${picture.h} × ${picture.w} values`);
    const value = this.at && !colour ? valueAt(picture, shown, this.at.row * picture.w + this.at.column) : null;
    say(this.reading, value === null ? "" : `row ${this.at.row}, column ${this.at.column}: ${short(value, 3)}`);
    const slices = picture.label === "slice"; // of filters with many inputs
    const noun = slices ? "slices" : this.what;
    say(this.caption, `${picture.title ? `${picture.title}. ` : ""}${slices ? "A slice is what one filter does with one input channel. " : ""}${picture.n} ${picture.n === 1 ? noun.replace(/s$/, "") : noun}, each scaled by itself${picture.signed ? ": blue is negative, white zero, red positive" : ": dark is low, bright is high"}. Point at one to read its values, click to keep it.`);
  }

  stop() {
    this.scrub.stop();
    super.stop();
  }
}

export class Filters extends Layers {
  constructor(...given) {
    super(...given);
    this.build("filters", "layer", "filters");
    this.none = "This network has no convolution, or the run was started without watching filters.";
  }
}

export class Maps extends Layers {
  constructor(...given) {
    super(...given);
    this.image = Math.max(0, Number.parseInt(recall("image", "0"), 10) || 0);
    this.build("maps", "layer", "feature maps");
    this.none = "This network has no convolution, or the run was started without watching feature maps.";
    this.strip = el("div", { class: "wbl-strip", role: "group", "aria-label": "Probe image" });
    this.input = canvasOf("wbl-large", "The probe image");
    this.inputName = el("strong");
    this.side.prepend(el("figure", {}, el("figcaption", {}, this.inputName), this.input.canvas));
    this.head.after(this.strip);
  }

  topic() {
    return `${super.topic()}@${this.image}`;
  }

  watch() {
    super.watch();
    if (!this.probing) {
      this.probing = true;
      this.want("panel:probe");
    }
  }

  hide() {
    super.hide();
    this.probing = false;
  }

  render() {
    const probe = this.feed.pictures.get("panel:probe");
    const count = probe?.arrays.images?.shape[0] ?? 0;
    if (count && this.image >= count) this.image = 0;
    super.render();
    show(this.strip, count > 0 && this.list().length > 0);
    if (count && probe !== this.probe) this.thumbnails(probe);
    for (const [i, button] of [...this.strip.children].entries()) button.setAttribute("aria-pressed", String(i === this.image));
    if (count) this.drawInput(probe);
  }

  thumbnails(probe) {
    this.probe = probe;
    this.strip.replaceChildren(...Array.from({ length: probe.arrays.images.shape[0] }, (_, i) => {
      const name = String(probe.data.labels?.[i] ?? `image ${i}`);
      const paper = canvasOf("wbl-thumb", "");
      drawPixels(paper, probe.arrays.images, i, 40);
      return el("button", { type: "button", title: name, "aria-label": `Probe image ${i + 1}: ${name}`, onclick: () => {
        this.image = i;
        remember({ image: i || null });
        this.dirty();
      } }, paper.canvas);
    }));
  }

  drawInput(probe) {
    drawPixels(this.input, probe.arrays.images, this.image, this.room() * (this.host.clientWidth > NARROW ? 0.6 : 1));
    say(this.inputName, String(probe.data.labels?.[this.image] ?? `image ${this.image}`));
  }
}

/** One (h, w) or (h, w, 3) uint8 image of a stack, magnified to about `side` CSS pixels. */
export function drawPixels(paper, stack, i, side) {
  const ratio = window.devicePixelRatio || 1;
  const [, h, w, c = 1] = stack.shape;
  const zoom = Math.max(1, Math.round((side * ratio) / Math.max(h, w)));
  paper.fit((w * zoom) / ratio, (h * zoom) / ratio);
  const image = new ImageData(w, h);
  const source = stack.data.subarray(i * h * w * c, (i + 1) * h * w * c);
  for (let p = 0; p < h * w; p++) {
    for (let k = 0; k < 3; k++) image.data[4 * p + k] = source[c === 3 ? 3 * p + k : p];
    image.data[4 * p + 3] = 255;
  }
  magnified(paper, image, zoom);
}
