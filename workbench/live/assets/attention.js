// Where every head looks in the probe texts, while the model learns: the live view around the board.

import { choices, el, say, show } from "./dom.js";
import { Board, sidesOf } from "./board.js";
import { PatchBoard, patchSides } from "./patchboard.js";
import { Probes } from "./probes.js";
import { Scrub } from "./scrub.js";
import { inOrder } from "./tokens.js";
import { recall, remember } from "./address.js";
import { View, notice } from "./view.js";
import { waiting } from "./words.js";

const SMALL = 64; // pixels of a side, beyond which small maps come averaged down
export const KINDS = [
  ["encoder", "Encoder", "How the source's tokens look at each other"],
  ["self", "Decoder", "How what is written looks at what was written before"],
  ["cross", "Decoder to encoder", "Which of the source's tokens each written token looks at"],
];

/** What a layer attends to: one of KINDS, or "" where there is one stack. */
export const kindOf = (layer) => (layer.endsWith(".cross") ? "cross" : layer.startsWith("decoder.") ? "self" : layer.startsWith("encoder.") ? "encoder" : "");

/** Layers by kind: [kind, [layer, …]], in order. */
export function grouped(layers) {
  const found = new Map();
  for (const layer of [...layers].sort(inOrder)) found.set(kindOf(layer), [...(found.get(kindOf(layer)) ?? []), layer]);
  return found;
}

/** The layer that is asked for, else of a translator the last one over the source, else the first. */
export function preferred(layers, asked) {
  if (layers.includes(asked)) return asked;
  return layers.filter((layer) => layer.endsWith(".cross")).sort(inOrder).pop() ?? [...layers].sort(inOrder)[0];
}

export class Attention extends View {
  constructor(...given) {
    super(...given);
    this.layer = recall("attention") || null;
    this.held = new Map(); // topic → what lets it go
    this.probes = new Probes(() => this.dirty());
    this.kinds = choices("Kind of attention", [], (kind) => this.pick(preferred(this.groups.get(kind), null)));
    this.layers = choices("Layer", [], (layer) => this.pick(layer));
    this.word = el("span", { class: "wbl-label" }, "Layer");
    this.way = recall("as") === "matrix" ? "matrix" : "image";
    this.ways = choices("Drawn", [["image", "Over the image", "Heat over the image, for the class token or a patch"], ["matrix", "As a matrix", "Every patch against every patch"]], (way) => {
      this.way = way;
      remember({ as: way === "matrix" ? way : null });
      this.dirty();
    });
    this.board = new Board(() => this.dirty(), (layer) => this.pick(layer));
    this.patchBoard = new PatchBoard(() => this.dirty(), (layer) => this.pick(layer));
    this.scrub = new Scrub(this, () => this.dirty());
    this.caption = el("p", { class: "wbl-hint" });
    this.notice = notice();
    this.head = el("div", { class: "wbl-toolbar" }, this.kinds.node, this.word, this.layers.node, el("span", { class: "wbl-gap" }), this.ways.node);
    this.host.append(this.head, this.probes.node, this.notice.node, this.board.node, this.scrub.node, this.caption);
  }

  pick(layer) {
    this.layer = layer;
    remember({ attention: layer });
    this.dirty();
  }

  /** Subscribe to the layers that are shown, of the chosen text, and to nothing else: to the chosen one as it
   * is, to the others as small as they are drawn. */
  watch(layers) {
    const whole = (layer) => layer === this.layer || this.patches; // rows of patches would be mixed
    const topics = layers.map((layer) => (whole(layer) ? this.topic(layer) : this.small(layer)));
    const wanted = ["panel:probe", ...topics];
    for (const [topic, release] of this.held) {
      if (wanted.includes(topic)) continue;
      release();
      this.held.delete(topic);
    }
    for (const topic of wanted) if (!this.held.has(topic)) this.held.set(topic, this.want(topic));
    this.releases = [...this.held.values()];
    this.scrub.attach(this.topic(this.layer), topics);
  }

  /** {rows, columns, query_rows, query_columns} of a model that reads patches of an image; else nothing. */
  get patches() {
    return this.probes.panel?.data.patches;
  }

  topic(layer) {
    return `tiles:attention/${layer}@${this.probes.chosen}`;
  }

  small(layer) {
    return `${this.topic(layer)}~${SMALL}`;
  }

  /** A layer's picture: of the other size while the one that was asked for is on its way. */
  picture(layer) {
    const [whole, small] = [this.topic(layer), this.small(layer)].map((topic) => this.scrub.picture(topic));
    if (this.patches) return whole ?? undefined;
    return (layer === this.layer ? whole ?? small : small ?? whole) ?? undefined;
  }

  hide() {
    super.hide();
    this.held?.clear();
    this.scrub?.play(false);
  }

  render() {
    const all = (this.feed.topics ?? []).filter((topic) => topic.startsWith("attention/")).map((topic) => topic.slice(10));
    const any = all.length > 0;
    show(this.head, any);
    if (!any) { this.empty(); return; }
    this.layer = preferred(all, this.layer);
    this.groups = grouped(all);
    const kind = kindOf(this.layer);
    const layers = this.groups.get(kind);
    this.probes.draw(this.feed.pictures.get("panel:probe"));
    this.choose(kind, layers);
    this.watch(layers);
    const rows = layers.map((layer, i) => this.row(layer, i));
    const chosen = rows.find((row) => row.layer === this.layer);
    const seen = Boolean(chosen.picture);
    if (!seen && this.drawn) return; // another text's comes within milliseconds
    this.drawn ||= seen;
    const over = seen && this.way === "image" && this.fits(chosen.picture);
    show(this.board.node, seen && !over);
    if (over && !this.patchBoard.node.isConnected) this.board.node.after(this.patchBoard.node); // texts have none
    show(this.patchBoard.node, over);
    show(this.ways.node, Boolean(this.patches));
    this.ways.choose(this.way);
    show(this.caption, seen);
    this.scrub.draw(chosen.picture);
    if (!seen) { this.empty(); return; }
    this.notice.hide();
    const cut = /\(.*\)$/.exec(chosen.picture.title)?.[0] ?? "";
    this.host.dataset.step = chosen.picture.step;
    if (over) {
      this.patchBoard.draw(rows, this.layer, this.colours, this.probes.panel, this.probes.chosen);
      say(this.caption, `The brighter a patch, the more of the attention goes to it; full colour is the most that any patch gets, or twice an even share if that is more${cut ? ` ${cut}` : ""}. Click a patch to see where it looks itself; arrow keys walk through heads and patches.`);
      return;
    }
    this.board.draw(rows, this.layer, this.colours);
    say(this.caption, `Each head has a scale of its own: full colour is the highest weight of its median row, or four times an even share if that is more${cut ? ` ${cut}` : ""}. Click a head to see it large; arrow keys walk through heads and tokens.`);
  }

  /** Whether a layer's steps are the patches, with or without a class token before them. */
  fits(picture) {
    if (!this.patches || !this.probes.panel.arrays.images) return false;
    const { rows, columns, query_rows: high, query_columns: wide } = this.patches;
    const before = picture.of[1] - rows * columns;
    return before >= 0 && [1, before + high * wide].includes(picture.of[0]);
  }

  row(layer, i) {
    const picture = this.picture(layer);
    const item = this.probes.item;
    const kind = String(this.feed.layers[`attention/${layer}`] ?? "");
    const name = kind.startsWith("sequence_pool") ? "pool" : String(i + 1);
    const title = name === "pool" ? "Pooling" : `${KINDS.find(([id]) => id === kindOf(layer))?.[1] ?? ""} layer ${i + 1}`.trim().replace(/^l/, "L");
    if (picture && this.fits(picture)) return { layer, name, title, picture, ...patchSides(picture, this.patches) };
    return { layer, name, title, picture, ...(picture ? sidesOf(layer, picture, item, this.probes.width ?? picture.of[1]) : {}) };
  }

  choose(kind, layers) {
    show(this.kinds.node, this.groups.size > 1);
    this.kinds.set(KINDS.filter(([id]) => this.groups.has(id)));
    this.kinds.choose(kind);
    for (const node of [this.layers.node, this.word]) show(node, layers.length > 1);
    this.layers.set(layers.map((layer, i) => [layer, this.row(layer, i).name, `Layer ${layer}, ${this.feed.layers[`attention/${layer}`] || "attention"}`]));
    this.layers.choose(this.layer);
  }

  empty() {
    for (const part of [this.board.node, this.patchBoard.node, this.caption, this.probes.node, this.scrub.node]) show(part, false);
    const over = ["finished", "stopped", "failed", "lost"].includes(this.feed.status?.state);
    if (over && this.feed.topics) this.notice.say(["No attention was followed", "The run was started with “attention” off under what is watched. Fork it and turn that on."]);
    else this.notice.say(waiting(this.feed, "the first look at attention", "It comes with the next look inside, within seconds."));
  }

  stop() {
    this.scrub.stop();
    super.stop();
  }
}
