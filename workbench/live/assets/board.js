// Attention to be looked at: all heads small, one of them large, what is pointed at in words. Serves the live
// view and the answer to a text that was tried.

import { el, say, short, show, toggle } from "./dom.js";
import { gradient } from "./theme.js";
import { Heads } from "./heads.js";
import { tableOf, topOf } from "./sheet.js";
import { TokenMap } from "./tokenmap.js";
import { quoted, sideOf } from "./tokens.js";
import { recall, remember } from "./address.js";

const TALL = 560; // CSS pixels of the large map
const NARROW = 780; // as in live.css
const TOLD = 3; // tokens that a line of words names

export class Board {
  /** dirty(): to be drawn anew; onpick(layer): another layer was chosen; tall: CSS pixels of the large map. */
  constructor(dirty, onpick, tall = TALL) {
    this.dirty = dirty;
    this.tall = tall;
    this.head = Math.max(0, Number.parseInt(recall("head", "1"), 10) - 1 || 0);
    this.at = null;
    this.over = null;
    this.heads = new Heads(
      (row, head) => { this.pick(head); onpick(this.rows[row].layer); },
      (row, head) => { this.over = row === null ? null : [row, head]; dirty(); });
    this.map = new TokenMap("The chosen head, large. Arrow keys read its values.", (at) => { this.at = at; dirty(); });
    this.lines = toggle("Lines", recall("lines") === "1", (on) => { this.at = null; remember({ lines: on ? 1 : null }); dirty(); }, "Draw a line from every token to those it looks at");
    this.title = el("strong");
    this.facts = el("span", { class: "wbl-facts" });
    this.reading = el("p", { class: "wbl-reading", role: "status" });
    this.ramp = el("i");
    this.most = el("span");
    this.legend = el("div", { class: "wbl-ramp" }, el("span", {}, "0"), this.ramp, this.most);
    this.sheet = el("div", { class: "wbl-sheet" }, this.heads.canvas);
    this.room = el("div", { class: "wbl-map-room" }, this.map.canvas);
    this.figure = el("figure", { class: "wbl-one-head" },
      el("figcaption", {}, el("span", {}, this.title, this.facts), el("span", { class: "wbl-gap" }), this.legend, this.lines.node), this.reading, this.room);
    this.node = el("div", { class: "wbl-board" }, this.sheet, this.figure);
  }

  pick(head) {
    this.head = head;
    remember({ head: head ? head + 1 : null });
    this.dirty();
  }

  /** rows: [{layer, name, title, picture, query, key}], pictures may still be missing; layer: the chosen one. */
  draw(rows, layer, colours) {
    this.rows = rows;
    const index = Math.max(0, rows.findIndex((row) => row.layer === layer));
    const { picture, query, key, title } = rows[index];
    const shape = `${index} ${query?.n} ${key?.n}`;
    if (this.shape !== shape) this.at = null; // another text or another kind of map
    this.shape = shape;
    const alone = rows.length === 1 && (picture?.n ?? 1) === 1;
    show(this.sheet, !alone);
    this.node.classList.toggle("wbl-alone", alone);
    const head = Math.min(this.head, (picture?.n ?? 1) - 1);
    const isNarrow = this.node.clientWidth <= NARROW;
    if (!alone) this.heads.draw(rows, [index, head], this.over, this.sheet.clientWidth, colours, isNarrow || this.tall < TALL);
    this.node.dataset.layer = rows[index].layer;
    this.node.dataset.head = head;
    if (!picture || picture.h !== picture.of[0] || picture.w !== picture.of[1]) return; // the whole one comes soon
    const lines = this.lines.input.checked;
    const width = this.room.clientWidth;
    this.map.draw({ picture, tile: head, rows: query, columns: key, lines }, this.at, width, isNarrow ? Math.min(this.tall, width * 1.2) : this.tall, colours);
    say(this.title, `${title}, head ${head + 1}`);
    say(this.facts, ` of ${picture.n}`);
    this.ramp.style.background = `linear-gradient(90deg, ${gradient(tableOf(picture, colours))})`;
    const top = topOf(picture, head, query.n, key.n);
    say(this.most, `${short(top, 2)}${top < picture.highs[head] * 0.999 ? " and more" : ""}`);
    say(this.reading, this.words(picture, head, query, key));
  }

  /** What is pointed at, exact to 1/255 of the head's highest value. */
  words(picture, head, query, key) {
    const { at } = this;
    if (!at) return "Rows look, columns are looked at. Point at a place to read it.";
    const value = (row, column) => this.map.value(row, column);
    if (at.row != null && at.column != null) return `${quoted(query, at.row)} looks at ${quoted(key, at.column)}: ${short(value(at.row, at.column), 3)}`;
    const side = at.row != null ? key : query;
    const found = Array.from({ length: side.n }, (_, i) => [at.row != null ? value(at.row, i) : value(i, at.column), i]).sort((a, b) => b[0] - a[0]);
    const told = found.slice(0, TOLD).filter(([v]) => v > 0).map(([v, i]) => `${quoted(side, i)} ${short(v, 3)}`).join(", ");
    return at.row != null ? `${quoted(query, at.row)} looks at ${told}` : `${quoted(key, at.column)} is looked at by ${told}`;
  }
}

/** The sides of a layer's map: which tokens look, and which are looked at. */
export function sidesOf(layer, picture, item, width) {
  const written = layer.startsWith("decoder.");
  const [read, own] = [item?.tokens ?? null, (written ? item?.target_tokens : item?.tokens) ?? null];
  return { query: sideOf(picture.of[0], own, width), key: sideOf(picture.of[1], layer.endsWith(".cross") ? read : own, width) };
}
