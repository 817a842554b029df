// What a recurrent layer carries from token to token, as a heat map: a row per feature, a column per token.

import { choices, el, say, short, show } from "./dom.js";
import { gradient } from "./theme.js";
import { Probes } from "./probes.js";
import { Scrub } from "./scrub.js";
import { tableOf } from "./sheet.js";
import { TokenMap } from "./tokenmap.js";
import { inOrder, quoted, sideOf } from "./tokens.js";
import { recall, remember } from "./address.js";
import { View, notice } from "./view.js";
import { waiting } from "./words.js";

const TALL = 620; // CSS pixels

export class States extends View {
  constructor(...given) {
    super(...given);
    this.layer = recall("states") || null;
    this.at = null;
    this.probes = new Probes(() => this.dirty());
    this.layers = choices("Layer", [], (layer) => { this.layer = layer; remember({ states: layer }); this.dirty(); });
    this.map = new TokenMap("States over the tokens. Arrow keys read their values.", (at) => { this.at = at; this.dirty(); });
    this.scrub = new Scrub(this, () => this.dirty());
    this.reading = el("p", { class: "wbl-reading", role: "status" });
    this.ramp = el("i");
    this.ends = [el("span"), el("span")];
    this.legend = el("div", { class: "wbl-ramp" }, this.ends[0], this.ramp, this.ends[1]);
    this.room = el("div", { class: "wbl-map-room" }, this.map.canvas);
    this.figure = el("figure", { class: "wbl-one-head" }, el("figcaption", {}, this.reading, el("span", { class: "wbl-gap" }), this.legend), this.room);
    this.caption = el("p", { class: "wbl-hint" });
    this.notice = notice();
    this.head = el("div", { class: "wbl-toolbar" }, this.layers.node);
    this.host.append(this.head, this.probes.node, this.notice.node, this.figure, this.scrub.node, this.caption);
  }

  watch() {
    const topic = `tiles:states/${this.layer}@${this.probes.chosen}`;
    this.scrub.attach(topic);
    if (this.watched === topic) return;
    for (const release of this.releases.splice(0)) release();
    this.watched = topic;
    this.want("panel:probe");
    this.want(topic);
  }

  hide() {
    super.hide();
    this.watched = null;
    this.scrub?.play(false);
  }

  render() {
    const all = (this.feed.topics ?? []).filter((topic) => topic.startsWith("states/")).map((topic) => topic.slice(7)).sort(inOrder);
    show(this.head, all.length > 1);
    if (!all.length) { this.empty(); return; }
    if (!all.includes(this.layer)) this.layer = all[0];
    this.layers.set(all.map((layer) => [layer, `${layer} · ${this.feed.layers[`states/${layer}`] || "layer"}`, `Layer ${layer}`]));
    this.layers.choose(this.layer);
    this.probes.draw(this.feed.pictures.get("panel:probe"));
    this.watch();
    const picture = this.scrub.picture();
    if (!picture && this.drawn) return; // another text's comes within milliseconds
    this.drawn ||= Boolean(picture);
    for (const part of [this.figure, this.caption]) show(part, Boolean(picture));
    this.scrub.draw(picture);
    if (!picture) { this.empty(); return; }
    this.notice.hide();
    this.show(picture);
    this.host.dataset.step = picture.step;
  }

  show(picture) {
    const written = this.layer.startsWith("decoder.");
    const item = this.probes.item;
    const tokens = (written ? item?.target_tokens : item?.tokens) ?? null;
    const columns = sideOf(picture.w, tokens, this.probes.width ?? picture.w);
    const rows = { labels: Array.from({ length: picture.h }, (_, i) => String(i)), n: picture.h, named: false };
    const shape = `${picture.topic} ${columns.n}`;
    if (this.shape !== shape) this.at = null;
    this.shape = shape;
    this.map.draw({ picture, tile: 0, rows, columns, lines: false }, this.at, this.room.clientWidth, TALL, this.colours);
    this.ramp.style.background = `linear-gradient(90deg, ${gradient(tableOf(picture, this.colours))})`;
    say(this.ends[0], short(picture.lows[0], 2));
    say(this.ends[1], short(picture.highs[0], 2));
    const { at } = this;
    say(this.reading, at ? `feature ${at.row} at ${quoted(columns, at.column)}: ${short(this.map.value(at.row, at.column), 3)}` : "A row per feature, a column per token. Point at a place to read it.");
    const cut = /\(.*\)$/.exec(picture.title)?.[0] ?? "";
    say(this.caption, `What the layer hands on after each token${cut ? ` ${cut}` : ""}: blue is negative, white zero, red positive.`);
  }

  empty() {
    for (const part of [this.figure, this.caption, this.probes.node, this.scrub.node]) show(part, false);
    const over = ["finished", "stopped", "failed", "lost"].includes(this.feed.status?.state);
    if (over && this.feed.topics) this.notice.say(["No states were followed", "The run was started with “attention” off under what is watched. Fork it and turn that on."]);
    else this.notice.say(waiting(this.feed, "the first look at states", "It comes with the next look inside, within seconds."));
  }

  stop() {
    this.scrub.stop();
    super.stop();
  }
}
