// What happened, in sentences, and what the run's process printed: its tail, any page of it, and a search
// over the whole of it, which the server does.

import { clock, el, group, say, show, toggle } from "./dom.js";
import { linesOf, marked, nodesOf, partsOf } from "./logtext.js";
import { MARKS } from "./marks.js";
import { View, notice } from "./view.js";
import { waiting } from "./words.js";

const SIGNS = { started: "▸", stopping: "■", validated: "·", checkpoint: "⤓", lr_drop: "↘", early_stop: "■", finished: "✓", stopped: "■", warning: "!" };
const SHOWN_LINES = 4000;
const PATIENCE_MS = 250; // after the last key, before the search begins

export class Log extends View {
  constructor(...given) {
    super(...given);
    this.opened = new Set(); // folds that stand open
    this.paged = null; // the page that is shown instead of the tail
    this.current = -1; // which of the found lines
    this.notice = notice();
    this.events = el("ol", { class: "wbl-events" });
    this.eventsCard = el("section", { class: "wbl-card wbl-pad" }, el("header", {}, el("h4", {}, "Events")), this.events);
    this.find = el("input", { type: "search", placeholder: "Search the whole log", "aria-label": "Search the log", maxlength: 200, oninput: () => this.typed(), onkeydown: (event) => this.key(event) });
    this.errors = toggle("Errors", false, () => this.search(), "Find the lines that tell of errors");
    this.count = el("small", { role: "status" });
    const step = (by, text, label) => el("button", { type: "button", class: "wbl-button wbl-turn", title: label, "aria-label": label, onclick: () => this.go(by) }, text);
    this.turns = el("span", { class: "wbl-turns", hidden: true }, step(-1, "‹", "Previous line found"), step(1, "›", "Next line found"));
    this.found = el("ol", { class: "wbl-found", "aria-label": "Lines found", hidden: true });
    this.follow = toggle("Follow", true, (on) => { if (on) this.toTail(); });
    this.earlier = el("button", { type: "button", class: "wbl-button", hidden: true, onclick: () => this.back() }, "Earlier lines");
    this.later = el("button", { type: "button", class: "wbl-button", hidden: true, onclick: () => this.feed.send({ op: "page", at: this.paged.end }) }, "Later lines");
    this.end = el("button", { type: "button", class: "wbl-button", hidden: true, onclick: () => this.toTail() }, "To the end");
    this.place = el("small", { class: "wbl-place" });
    this.text = el("div", { class: "wbl-log", tabindex: 0, role: "log", "aria-live": "off", "aria-label": "Log of the run", onscroll: () => {
      const end = this.text.scrollHeight - this.text.scrollTop - this.text.clientHeight < 30;
      if (!this.paged && this.follow.input.checked !== end && !this.moving) this.follow.input.checked = end;
    } });
    this.logCard = el("section", { class: "wbl-card wbl-pad" },
      el("header", {}, el("h4", {}, "Log"), el("span", { class: "wbl-toolbar" }, this.count, this.turns, this.find, this.errors.node, this.follow.node)),
      this.found,
      el("div", { class: "wbl-pages" }, this.place, el("span", { class: "wbl-gap" }), this.earlier, this.later, this.end), this.text);
    this.host.append(this.notice.node, this.eventsCard, this.logCard);
  }

  on(kind) {
    if (kind === "page" && this.asked) this.showPage();
    if (kind === "found") this.drawFound();
  }

  render() {
    if (!this.watching) {
      this.watching = true;
      this.want("log");
    }
    this.drawEvents();
    this.drawLog();
    const nothing = !this.feed.events.length && !this.feed.log.text;
    show(this.eventsCard, this.feed.events.length > 0);
    show(this.logCard, !nothing);
    if (nothing) this.notice.say(waiting(this.feed, "the first lines", "They come as soon as the run has something to say."));
    else this.notice.hide();
  }

  hide() {
    super.hide();
    this.watching = false;
  }

  drawEvents() {
    const events = this.feed.events;
    if (this.drawnEvents === events) return;
    this.drawnEvents = events;
    const t0 = this.feed.status?.started ?? events[0]?.time ?? 0;
    this.events.replaceChildren(...[...events].reverse().map((event) =>
      el("li", { "data-kind": event.kind },
        el("i", { "aria-hidden": "true" }, MARKS[event.kind]?.sign ?? SIGNS[event.kind] ?? "·"),
        el("time", { title: new Date(event.time * 1000).toLocaleString() }, clock(event.time - t0)),
        el("span", { class: "wbl-at" }, `step ${group(event.step)}`),
        el("span", {}, event.text))));
  }

  // ---------------------------------------------------------------- searching

  get word() {
    return this.errors.input.checked ? "" : this.find.value.trim();
  }

  typed() {
    this.errors.input.checked = false;
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.search(), PATIENCE_MS);
  }

  search() {
    clearTimeout(this.soon);
    if (this.errors.input.checked) this.find.value = "";
    this.current = -1;
    const on = this.word || this.errors.input.checked;
    if (on) {
      say(this.count, "searching …");
      this.feed.send({ op: "find", text: this.word, before: null });
      return;
    }
    this.feed.found = null;
    this.drawFound();
    this.toTail();
  }

  key(event) {
    if (event.key === "Escape") { this.find.value = ""; this.search(); }
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (this.feed.found?.text === this.word && this.word) this.go(event.shiftKey ? 1 : -1); // upwards: from the newest
    else this.search();
  }

  drawFound() {
    const found = this.feed.found;
    const lines = found?.lines ?? [];
    show(this.turns, lines.length > 0);
    show(this.found, lines.length > 0);
    if (!found) { say(this.count, ""); this.found.replaceChildren(); return; }
    if (found.earlier && this.current >= 0) this.current += lines.length - this.found.querySelectorAll("button[data-line]").length;
    this.tell();
    this.found.replaceChildren(
      ...(found.more ? [el("li", {}, el("button", { type: "button", onclick: () => this.feed.send({ op: "find", text: found.text, before: lines[0][1] }) }, "Earlier ones"))] : []),
      ...lines.map(([number, , text], i) => el("li", {}, el("button", { type: "button", "data-line": number, onclick: () => this.jump(i) },
        el("small", {}, group(number)), el("span", {}, ...marked(text, found.text))))));
    this.found.scrollTop = this.found.scrollHeight; // the newest are the last
  }

  tell() {
    const { lines, more } = this.feed.found;
    const total = `${group(lines.length)}${more ? "+" : ""} ${lines.length === 1 ? "line" : "lines"}`;
    say(this.count, !lines.length ? "nothing found" : this.current < 0 ? total : `${group(this.current + 1)} of ${total}`);
  }

  go(by) {
    const n = this.feed.found?.lines.length ?? 0;
    if (n) this.jump(this.current < 0 ? n - 1 : (this.current + by + n) % n);
  }

  jump(i) {
    this.current = i;
    const [number, offset] = this.feed.found.lines[i];
    this.asked = { number };
    this.feed.send({ op: "page", at: offset });
    this.tell();
    const buttons = this.found.querySelectorAll("button[data-line]");
    for (const [k, button] of buttons.entries()) button.setAttribute("aria-current", String(k === i));
    const chosen = buttons[i];
    if (chosen) this.found.scrollTop = chosen.offsetTop - this.found.offsetTop - this.found.clientHeight / 2;
  }

  // ---------------------------------------------------------------- the text

  /** A page in the place of the tail: numbered lines, the found one in view. */
  showPage() {
    const page = (this.paged = this.feed.page);
    const wanted = this.asked?.number;
    this.follow.input.checked = false;
    const lines = linesOf(page.text);
    const parts = partsOf(lines).flatMap((part) => (part.kind === "trace" ? [part] : part.lines.map((line, k) => ({ kind: part.kind, from: part.from + k, lines: [line] }))));
    let target = null;
    this.text.replaceChildren(...nodesOf(parts, this.opened, this.word).map((node, k) => {
      const { from, lines: own } = parts[k];
      const first = page.line + from;
      const row = el("div", { class: "wbl-row", "data-line": first }, el("i", {}, group(first)), node);
      if (wanted >= first && wanted < first + own.length) {
        target = row;
        row.classList.add("wbl-here");
        if (node.tagName === "DETAILS") node.open = true;
      }
      return row;
    }));
    say(this.place, `lines ${group(page.line)} – ${group(page.line + Math.max(0, lines.length - 1))}`);
    show(this.end, true);
    show(this.later, page.after);
    show(this.earlier, page.more);
    if (target) this.text.scrollTop = target.offsetTop - this.text.offsetTop - this.text.clientHeight / 3;
    else this.text.scrollTop = 0;
  }

  back() {
    if (!this.paged) { this.feed.send({ op: "log", before: this.feed.log.start }); return; }
    this.asked = { number: this.paged.line };
    this.feed.send({ op: "page", at: this.paged.offset });
  }

  toTail() {
    this.paged = this.asked = null;
    this.current = -1;
    for (const node of [this.end, this.later]) show(node, false);
    say(this.place, "");
    this.drawnText = this.drawnAt = null;
    this.follow.input.checked = true;
    this.dirty();
  }

  drawLog() {
    if (this.paged) return;
    const { text, more, loaded } = this.feed.log;
    show(this.earlier, more);
    if (this.drawnText === text || this.busy()) return;
    this.drawnText = text;
    const lines = linesOf(text).slice(-SHOWN_LINES);
    this.text.replaceChildren(...(lines.length ? nodesOf(partsOf(lines), this.opened) : [loaded ? "Nothing was printed yet." : ""]));
    if (this.follow.input.checked) this.toEnd();
  }

  /** Not more often than four times a second, and not under a person who marks text to copy it. */
  busy() {
    const selection = document.getSelection();
    const marking = selection && !selection.isCollapsed && this.text.contains(selection.anchorNode);
    const wait = Math.max(marking ? 500 : 0, 250 - (performance.now() - (this.drawnAt || -Infinity)));
    if (wait > 0) {
      this.again ??= setTimeout(() => { this.again = null; this.dirty(); }, wait);
      return true;
    }
    this.drawnAt = performance.now();
    return false;
  }

  toEnd() {
    this.moving = true;
    this.text.scrollTop = this.text.scrollHeight;
    requestAnimationFrame(() => { this.moving = false; });
  }

  stop() {
    clearTimeout(this.soon);
    super.stop();
  }
}
