// What happened, in sentences, and what the run's process printed.

import { clock, el, group, say, show, toggle } from "./dom.js";
import { View, notice } from "./view.js";
import { waiting } from "./words.js";

const MARKS = { started: "▸", resumed: "▸", paused: "❚❚", stopping: "■", validated: "·", best: "★", checkpoint: "⤓", lr_drop: "↘", early_stop: "■", finished: "✓", stopped: "■", failed: "✕", lost: "✕", warning: "!" };
const SHOWN_LINES = 4000;

export class Log extends View {
  constructor(...given) {
    super(...given);
    this.notice = notice();
    this.events = el("ol", { class: "wbl-events" });
    this.eventsCard = el("section", { class: "wbl-card wbl-pad" }, el("header", {}, el("h4", {}, "Events")), this.events);
    this.find = el("input", { type: "search", placeholder: "Search the log", "aria-label": "Search the log", oninput: () => { this.drawnText = this.drawnAt = null; this.dirty(); } });
    this.found = el("small", { role: "status" });
    this.follow = toggle("Follow", true, (on) => { if (on) this.toEnd(); });
    this.earlier = el("button", { type: "button", class: "wbl-button", hidden: true, onclick: () => this.feed.send({ op: "log", before: this.feed.log.start }) }, "Earlier lines");
    this.text = el("pre", { class: "wbl-log", tabindex: 0, "aria-label": "Log of the run", onscroll: () => {
      const end = this.text.scrollHeight - this.text.scrollTop - this.text.clientHeight < 30;
      if (this.follow.input.checked !== end && !this.moving) this.follow.input.checked = end;
    } });
    this.logCard = el("section", { class: "wbl-card wbl-pad" },
      el("header", {}, el("h4", {}, "Log"), el("span", { class: "wbl-toolbar" }, this.found, this.find, this.follow.node, this.earlier)), this.text);
    this.host.append(this.notice.node, this.eventsCard, this.logCard);
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
        el("i", { "aria-hidden": "true" }, MARKS[event.kind] ?? "·"),
        el("time", { title: new Date(event.time * 1000).toLocaleString() }, clock(event.time - t0)),
        el("span", { class: "wbl-at" }, `step ${group(event.step)}`),
        el("span", {}, event.text))));
  }

  drawLog() {
    const { text, more, loaded } = this.feed.log;
    show(this.earlier, more);
    if (this.drawnText === text || this.busy()) return;
    this.drawnText = text;
    const word = this.find.value.trim().toLowerCase();
    // What a terminal would show: no colour codes, and of a rewritten line its last state.
    const clean = text.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, "").replace(/\r\n/g, "\n").replace(/[^\n]*\r(?=[^\n])/g, "");
    let lines = clean.split("\n");
    if (lines[lines.length - 1] === "") lines.pop();
    if (word) lines = lines.filter((line) => line.toLowerCase().includes(word));
    say(this.found, word ? `${group(lines.length)} ${lines.length === 1 ? "line" : "lines"}` : "");
    const shown = lines.slice(-SHOWN_LINES);
    this.text.replaceChildren(...(word ? marked(shown, word) : [shown.join("\n") || (loaded ? "Nothing was printed yet." : "")]));
    if (this.follow.input.checked) this.toEnd();
  }

  /** Not more often than four times a second, and not under a person who marks text to copy it. */
  busy() {
    const selection = document.getSelection();
    const marking = selection && !selection.isCollapsed && this.text.contains(selection.anchorNode);
    const wait = Math.max(marking ? 500 : 0, 250 - (performance.now() - (this.drawnAt || -Infinity)));
    if (wait > 0) {
      this.later ??= setTimeout(() => { this.later = null; this.dirty(); }, wait);
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
}

/** Lines with the word marked, as nodes. */
function marked(lines, word) {
  const nodes = [];
  for (const line of lines) {
    const low = line.toLowerCase();
    let at = 0;
    for (let hit = low.indexOf(word); hit >= 0; hit = low.indexOf(word, at)) {
      nodes.push(line.slice(at, hit), el("mark", {}, line.slice(hit, hit + word.length)));
      at = hit + word.length;
    }
    nodes.push(`${line.slice(at)}\n`);
  }
  return nodes;
}
