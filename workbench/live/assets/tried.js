// The answer to a text that was tried: what the model says, and where its heads looked.

import { choices, el, group, show } from "./dom.js";
import { KINDS, grouped, kindOf, preferred } from "./attention.js";
import { Board, sidesOf } from "./board.js";
import { bars } from "./texts.js";
import { recall, remember } from "./address.js";
import { View } from "./view.js";

const CLASSES = 6; // as bars
const TALL = 380; // CSS pixels of the large map

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

export class Tried extends View {
  constructor(...given) {
    super(...given);
    const { answer } = this.data;
    this.answer = answer;
    this.pictures = new Map(Object.entries(answer.attention ?? {}).map(([layer, { shape: [n, h, w], values, most }]) =>
      [layer, { n, h, w, of: [h, w], c: 1, pixels: bytes(values), lows: Array(n).fill(0), highs: Array(n).fill(most), signed: false, title: "" }]));
    this.groups = grouped(this.pictures.keys());
    this.layer = preferred([...this.pictures.keys()], recall("attention"));
    this.kinds = choices("Kind of attention", KINDS.filter(([id]) => this.groups.has(id)), (kind) => this.pick(preferred(this.groups.get(kind), null)));
    this.board = new Board(() => this.dirty(), (layer) => this.pick(layer), TALL);
    this.host.append(this.verdict(), this.kinds.node, this.board.node);
    this.host.dataset.answer = answer.prediction ?? answer.text ?? "";
  }

  pick(layer) {
    this.layer = layer;
    remember({ attention: layer });
    this.dirty();
  }

  verdict() {
    const { answer } = this;
    const by = el("small", { class: "wbl-by" }, `${answer.checkpoint === "best" ? "best checkpoint" : "newest checkpoint"}, step ${group(answer.step)}`);
    if (answer.prediction === undefined) {
      const prompt = this.data.task === "language_model" ? el("mark", { class: "wbl-prompt" }, answer.input) : null;
      return el("div", { class: "wbl-verdict-card" }, el("p", { class: "wbl-prose" }, prompt, answer.text || el("i", {}, "(nothing)")), by);
    }
    const pairs = Object.entries(answer.probabilities ?? {}).sort((a, b) => b[1] - a[1]).slice(0, CLASSES);
    return el("div", { class: "wbl-verdict-card" }, el("strong", { class: "wbl-says" }, String(answer.prediction)), el("div", { class: "wbl-shares" }, ...bars(pairs)), by);
  }

  render() {
    show(this.kinds.node, this.groups.size > 1);
    show(this.board.node, this.pictures.size > 0);
    if (!this.pictures.size) return;
    const kind = kindOf(this.layer);
    this.kinds.choose(kind);
    const { tokens, target_tokens: target } = this.answer;
    const width = this.answer.width ?? Math.max(tokens.length, target?.length ?? 0);
    const rows = this.groups.get(kind).map((layer, i) => {
      const picture = this.pictures.get(layer);
      return { layer, name: String(i + 1), title: `Layer ${i + 1}`, picture, ...sidesOf(layer, picture, this.answer, width) };
    });
    this.board.draw(rows, this.layer, this.colours);
  }
}
