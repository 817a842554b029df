// Texts that a language model wrote, a validation after the other, the newest on top.

import { el, group, say } from "./dom.js";
import { Scrub } from "./scrub.js";

const LISTED = 6; // validations that are shown at first
const MORE = 12; // further ones at a press of the button
const PATIENCE_MS = 2000; // for an answer

export class Generated {
  constructor(view) {
    this.view = view;
    this.topic = "panel:generated";
    this.known = new Map(); // step → panel
    this.count = el("small");
    this.list = el("div", { class: "wbl-written" });
    this.limit = LISTED;
    this.more = el("button", { type: "button", class: "wbl-button", onclick: () => { this.limit += MORE; view.dirty(); } }, "Show earlier ones");
    this.scrub = new Scrub(view, () => view.dirty(), false);
    this.scrub.attach(this.topic);
    this.card = el("section", { class: "wbl-card wbl-pad" }, el("header", {}, el("h4", {}, "Written at each validation", this.count)), this.list, el("div", { class: "wbl-pages" }, this.more), this.scrub.node);
  }

  draw() {
    const { pictures, past } = this.view.feed;
    for (const panel of [pictures.get(this.topic), past.get(this.topic)]) if (panel) this.known.set(panel.step, panel);
    const steps = this.scrub.steps.length ? this.scrub.steps : [...this.known.keys()];
    const upto = this.scrub.step ?? Infinity;
    const reached = steps.filter((step) => step <= upto);
    const listed = reached.slice(-this.limit).reverse();
    this.fetch(listed);
    const first = this.known.get(listed[0]) ?? pictures.get(this.topic);
    this.scrub.draw(first);
    say(this.count, `newest first; ${group(steps.length)} so far`);
    this.more.hidden = reached.length <= listed.length;
    const sign = listed.map((step) => `${step}${this.known.has(step) ? "" : "?"}`).join();
    if (sign !== this.sign) {
      this.sign = sign;
      this.list.replaceChildren(...listed.map((step, i) => this.entry(step, i)));
    }
    return first;
  }

  /** Ask for the texts that are listed and not known yet, one after the other. */
  fetch(listed) {
    const missing = listed.find((step) => !this.known.has(step));
    if (missing === undefined || (this.asked !== undefined && !this.known.has(this.asked) && performance.now() < this.until)) return;
    this.asked = missing;
    this.until = performance.now() + PATIENCE_MS;
    this.view.feed.send({ op: "at", topics: [this.topic], step: missing });
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.view.dirty(), PATIENCE_MS + 50);
  }

  entry(step, i) {
    const panel = this.known.get(step);
    const head = el("header", {}, el("b", {}, `step ${group(step)}`), panel ? el("small", {}, `epoch ${panel.epoch.toFixed(2)}`) : null);
    const texts = (panel?.data.items ?? []).map(({ prompt, text }) => el("p", { class: "wbl-prose", tabindex: 0 }, prompt ? el("mark", { class: "wbl-prompt", title: "The prompt" }, prompt) : null, text || el("i", {}, "(nothing)")));
    return el("article", { "data-step": step, class: i ? "" : "wbl-newest" }, head, ...(panel ? texts : [el("p", { class: "wbl-hint" }, "…")]));
  }

  stop() {
    clearTimeout(this.timer);
    this.scrub.stop();
  }
}
