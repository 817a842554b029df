// Walking through the history of a picture: a bar over its steps, play, and "follow the newest".

import { el, group, say, show, toggle } from "./dom.js";

const PLAY_MS = 120; // per picture while playing; never faster than the answers come

export class Scrub {
  /** view: its feed answers; onchange() is called when another step is to be shown; asks: it fetches the pictures. */
  constructor(view, onchange, asks = true) {
    this.view = view;
    this.onchange = onchange;
    this.asks = asks;
    this.step = null; // null: follow the newest
    this.playing = false;
    this.button = el("button", { type: "button", class: "wbl-button wbl-play", "aria-label": "Play", onclick: () => this.play(!this.playing) }, "▶");
    this.bar = el("input", { type: "range", min: 0, max: 0, step: 1, "aria-label": "Step of the picture", oninput: () => this.to(Number(this.bar.value)) });
    this.label = el("output", { class: "wbl-step" });
    this.follow = toggle("Follow", true, (on) => { this.play(false); this.set(on ? null : this.newest()); }, "Show each new picture as it comes");
    this.node = el("div", { class: "wbl-scrub" }, this.button, this.bar, this.label, this.follow.node);
  }

  /** Look at another topic ("tiles:filters/0"), with others that are shown beside it; the place in time stays. */
  attach(topic, topics = [topic]) {
    this.topic = topic;
    const sign = topics.join();
    if (this.sign === sign) return;
    this.sign = sign;
    this.topics = topics;
    this.asked = null;
    this.play(false);
    if (this.step !== null) this.ask();
  }

  get steps() {
    return this.view.feed.steps.get((this.topic ?? "").split(":")[1]?.split("@")[0]) ?? [];
  }

  newest() {
    return this.steps[this.steps.length - 1] ?? null;
  }

  to(index) {
    this.set(this.steps[index] ?? null);
  }

  set(step) {
    this.step = step;
    this.follow.input.checked = step === null;
    if (step !== null) this.ask();
    this.onchange();
  }

  /** One step at a time: the next is asked for when the last was answered. */
  ask() {
    if (!this.asks || (this.asked !== null && this.asked !== undefined)) return;
    this.asked = this.step;
    this.view.feed.send({ op: "at", topics: this.topics, step: this.step });
    clearTimeout(this.patience);
    this.patience = setTimeout(() => { this.asked = null; }, 3000);
  }

  /** The picture of a topic to draw now. */
  picture(topic = this.topic) {
    const { pictures, past } = this.view.feed;
    if (this.step === null) return pictures.get(topic);
    if (this.asked !== null && this.topics.every((one) => past.get(one)?.at === this.asked)) {
      const answered = this.asked;
      this.asked = null;
      if (answered !== this.step) this.ask();
    }
    const found = past.get(topic);
    return found && found.at === this.step ? found : found ?? pictures.get(topic);
  }

  play(on) {
    clearInterval(this.timer);
    this.playing = on && this.steps.length > 1;
    this.button.textContent = this.playing ? "❚❚" : "▶";
    this.button.setAttribute("aria-label", this.playing ? "Stop playing" : "Play the history");
    if (!this.playing) return;
    const last = this.steps.length - 1;
    let index = this.step === null || this.index() >= last ? 0 : this.index();
    this.to(index);
    this.timer = setInterval(() => {
      if (this.asked !== null) return; // the last picture is still on its way
      index += Math.max(1, Math.round(this.steps.length / 150)); // a long history in about 18 seconds
      if (index < this.steps.length - 1) { this.to(index); return; }
      this.play(false);
      this.set(null);
    }, PLAY_MS);
  }

  index() {
    const steps = this.steps;
    if (this.step === null) return steps.length - 1;
    let i = steps.findIndex((step) => step > this.step);
    if (i < 0) i = steps.length;
    return Math.max(0, i - 1);
  }

  draw(picture) {
    const steps = this.steps;
    show(this.node, Boolean(picture));
    this.bar.max = Math.max(0, steps.length - 1);
    this.bar.value = this.index();
    this.bar.disabled = steps.length < 2;
    this.button.disabled = steps.length < 2;
    if (picture) say(this.label, `step ${group(picture.step)} · epoch ${picture.epoch.toFixed(2)}`);
    this.bar.setAttribute("aria-valuetext", picture ? `step ${picture.step}` : "none");
  }

  stop() {
    clearInterval(this.timer);
    clearTimeout(this.patience);
  }
}
