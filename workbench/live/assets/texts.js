// What a model of texts says: classes of sample texts, texts of its own, translations beside those meant.

import { el, percent, say, show, toggle } from "./dom.js";
import { Generated } from "./generated.js";
import { Scrub } from "./scrub.js";
import { View, notice } from "./view.js";
import { waiting } from "./words.js";

const SILENT = {
  language_model: ["This run writes no text", "“Sample tokens” of its task is 0. Fork it and set some to read what it writes at each validation."],
  translation: ["This run translates nothing while it trains", "“Scored” of its task, or the samples shown, is 0. Fork it and set some to read its translations."],
  classification: ["This run keeps no sample predictions", "The samples shown per validation are 0. Fork it and set some to read what it says of them."],
};

export class Texts extends View {
  constructor(...given) {
    super(...given);
    this.notice = notice();
    this.parts = [new Generated(this), new Translations(this), new Samples(this)];
    this.host.append(this.notice.node, el("div", { class: "wbl-panels" }, ...this.parts.map((part) => part.card)));
  }

  render() {
    const topics = this.feed.topics ?? [];
    const own = this.parts.filter((part) => topics.includes(part.topic.slice(6)));
    if (this.watched !== own.length) {
      this.watched = own.length;
      for (const release of this.releases.splice(0)) release();
      for (const part of own) this.want(part.topic);
    }
    let step = -1;
    for (const part of this.parts) {
      const panel = own.includes(part) ? part.draw() : null;
      show(part.card, Boolean(panel));
      step = Math.max(step, panel?.step ?? -1);
    }
    if (step >= 0) { this.notice.hide(); this.host.dataset.step = step; return; }
    const judged = this.feed.series.get("val/loss")?.n > 1; // a validation is over and brought none
    if (judged && this.feed.topics && !own.length) this.notice.say(SILENT[this.data.task] ?? SILENT.classification);
    else this.notice.say(waiting(this.feed, "the first validation", "What the model says is shown after each validation."));
  }

  hide() {
    super.hide();
    this.watched = null;
    for (const part of this.parts ?? []) part.scrub.play(false);
  }

  stop() {
    for (const part of this.parts) part.stop();
    super.stop();
  }
}

/** What translations and samples have in common: one panel, its scrub bar, and a switch for what is wrong. */
class Part {
  constructor(view, topic, title, odd) {
    this.topic = topic;
    this.only = toggle(odd, false, () => { this.shown = null; view.dirty(); });
    this.count = el("small");
    this.body = el("div");
    this.scrub = new Scrub(view, () => view.dirty());
    this.scrub.attach(topic);
    this.card = el("section", { class: "wbl-card wbl-pad" }, el("header", {}, el("h4", {}, title, this.count), this.only.node), this.body, this.scrub.node);
  }

  draw() {
    const panel = this.scrub.picture();
    this.scrub.draw(panel);
    if (!panel || panel === this.shown) return panel;
    this.shown = panel;
    const items = panel.data.items ?? [];
    const odd = items.filter((item) => this.isOdd(item));
    say(this.count, this.told(items.length, items.length - odd.length));
    const kept = this.only.input.checked ? odd : items;
    this.body.replaceChildren(kept.length ? this.list(kept) : el("p", { class: "wbl-hint" }, items.length ? this.none : "This run keeps none."));
    return panel;
  }

  stop() {
    this.scrub.stop();
  }
}

class Samples extends Part {
  constructor(view) {
    super(view, "panel:samples", "Sample predictions", "Only wrong ones");
    this.none = "All of them are right.";
  }

  isOdd(item) {
    return !item.correct;
  }

  told(n, right) {
    return n ? `half are always the same texts, half the surest mistakes; ${right} of ${n} right` : "";
  }

  list(items) {
    return el("div", { class: "wbl-samples wbl-said-of" }, ...items.map((item) => {
      const verdict = item.correct ? el("span", { class: "wbl-verdict wbl-good" }, "✓ right") : el("span", { class: "wbl-verdict wbl-wrong" }, "✕ wrong");
      return el("article", { class: item.correct ? "" : "wbl-miss", "data-index": item.index },
        el("p", { class: "wbl-prose", tabindex: (item.text ?? "").length > 400 ? 0 : null }, item.text ?? ""),
        el("div", {}, el("div", { class: "wbl-name" }, el("strong", { title: String(item.label) }, String(item.label)), verdict),
          item.correct ? null : el("div", { class: "wbl-said" }, "taken for ", el("b", {}, String(item.prediction))),
          ...bars(item.probabilities ?? [], item.label)));
    }));
  }
}

/** Probabilities as bars, the true class in green. */
export function bars(pairs, label) {
  return pairs.map(([name, p]) => el("div", { class: `wbl-bar${label !== undefined && String(name) === String(label) ? " wbl-true" : ""}`, title: `${name}: ${percent(p)}` },
    el("span", {}, String(name)), el("i", {}, el("b", { style: `width:${Math.max(0, Math.min(100, 100 * p))}%` })), el("em", {}, percent(p, 0))));
}

class Translations extends Part {
  constructor(view) {
    super(view, "panel:translations", "Translations", "Only those that differ");
    this.none = "All of them are exactly as the reference.";
  }

  isOdd(item) {
    return !item.exact;
  }

  told(n, exact) {
    return n ? `of the first validation texts; ${exact} of ${n} exactly as the reference` : "";
  }

  list(items) {
    const head = el("tr", {}, ...["Source", "Reference", "The model"].map((name) => el("th", { scope: "col" }, name)), el("th", { scope: "col" }, el("span", { class: "wbl-quiet" }, "Exact")));
    const rows = items.map((item) => el("tr", { class: item.exact ? "wbl-exact" : "" },
      el("td", {}, item.source), el("td", {}, item.reference), el("td", {}, ...(item.exact ? [item.hypothesis] : differing(item.hypothesis, item.reference))),
      el("td", {}, item.exact ? el("span", { class: "wbl-verdict wbl-good" }, "✓ exact") : el("span", { class: "wbl-verdict wbl-dim" }, "differs"))));
    return el("div", { class: "wbl-table-room", tabindex: 0, role: "region", "aria-label": "Translations" }, el("table", { class: "wbl-table wbl-translations" }, el("thead", {}, head), el("tbody", {}, ...rows)));
  }
}

/** The text in parts, words that the reference has not (or not as often) marked. */
function differing(text, reference) {
  const left = new Map();
  for (const word of String(reference).split(/\s+/)) left.set(word, (left.get(word) ?? 0) + 1);
  const parts = String(text).split(/(\s+)/).map((word) => {
    if (!word || /^\s+$/.test(word)) return word;
    const count = left.get(word) ?? 0;
    left.set(word, count - 1);
    return count > 0 ? word : el("u", { title: "Not in the reference" }, word);
  });
  return text ? parts : [el("i", {}, "(nothing)")];
}
