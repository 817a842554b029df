// What a validation says: the confusion matrix, and predictions on sample images.

import { canvasOf, el, percent, say, show, toggle } from "./dom.js";
import { Confusion } from "./confusion.js";
import { drawPixels } from "./tiles.js";
import { Scrub } from "./scrub.js";
import { View, notice } from "./view.js";
import { waiting } from "./words.js";

export class Predictions extends View {
  constructor(...given) {
    super(...given);
    this.onlyWrong = false;
    this.notice = notice();
    this.confusion = new Confusion(() => this.dirty());
    this.confusionScrub = new Scrub(this, () => this.dirty());
    this.confusionCard = el("section", { class: "wbl-card wbl-pad" }, this.confusion.head, this.confusion.node, this.confusionScrub.node);
    this.wrong = toggle("Only wrong ones", false, (on) => { this.onlyWrong = on; this.shown = null; this.dirty(); });
    this.count = el("small");
    this.cards = el("div", { class: "wbl-samples" });
    this.samplesScrub = new Scrub(this, () => this.dirty());
    this.samplesCard = el("section", { class: "wbl-card wbl-pad" },
      el("header", {}, el("h4", {}, "Sample predictions", this.count), this.wrong.node), this.cards, this.samplesScrub.node);
    this.host.append(this.notice.node, el("div", { class: "wbl-panels" }, this.confusionCard, this.samplesCard));
    this.confusionScrub.attach("panel:confusion");
    this.samplesScrub.attach("panel:samples");
  }

  render() {
    if (!this.watching) {
      this.watching = true;
      this.want("panel:confusion");
      this.want("panel:samples");
    }
    const confusion = this.confusionScrub.picture();
    const samples = this.samplesScrub.picture();
    show(this.confusionCard, Boolean(confusion));
    show(this.samplesCard, Boolean(samples));
    if (confusion || samples) this.notice.hide();
    else this.notice.say(waiting(this.feed, "the first validation", "The matrix and the predictions are drawn after each validation."));
    this.confusionScrub.draw(confusion);
    this.samplesScrub.draw(samples);
    this.confusion.draw(confusion);
    if (samples && samples !== this.shown) this.drawSamples(samples);
    const step = Math.max(confusion?.step ?? -1, samples?.step ?? -1);
    if (step >= 0) this.host.dataset.step = step;
  }

  hide() {
    super.hide();
    this.watching = false;
    this.confusionScrub?.play(false);
    this.samplesScrub?.play(false);
  }

  // ---------------------------------------------------------------- samples

  drawSamples(panel) {
    this.shown = panel;
    const items = panel.data.items ?? [];
    const wrong = items.filter((item) => !item.correct).length;
    say(this.count, items.length ? `half are always the same pictures, half the surest mistakes; ${items.length - wrong} of ${items.length} right` : "");
    const kept = items.map((item, i) => [item, i]).filter(([item]) => !this.onlyWrong || !item.correct);
    this.cards.replaceChildren(...kept.map(([item, i]) => this.card(item, i, panel.arrays.images)));
    if (!kept.length) this.cards.append(el("p", { class: "wbl-hint" }, items.length ? "All of them are right." : "This run keeps no samples."));
  }

  card(item, i, images) {
    const paper = canvasOf("wbl-thumb", `Sample labelled ${item.label}`);
    if (images && i < images.shape[0]) drawPixels(paper, images, i, 64);
    const bars = (item.probabilities ?? []).map(([name, p]) =>
      el("div", { class: `wbl-bar${String(name) === String(item.label) ? " wbl-true" : ""}`, title: `${name}: ${percent(p)}` },
        el("span", {}, String(name)), el("i", {}, el("b", { style: `width:${Math.max(0, Math.min(100, 100 * p))}%` })), el("em", {}, percent(p, 0))));
    const verdict = item.correct
      ? el("span", { class: "wbl-verdict wbl-good" }, "✓ right")
      : el("span", { class: "wbl-verdict wbl-wrong" }, "✕ wrong");
    return el("article", { class: item.correct ? "" : "wbl-miss", "data-index": item.index }, paper.canvas,
      el("div", {}, el("div", { class: "wbl-name" }, el("strong", { title: String(item.label) }, String(item.label)), verdict),
        item.correct ? null : el("div", { class: "wbl-said" }, "taken for ", el("b", {}, String(item.prediction))), ...bars));
  }

  stop() {
    this.confusionScrub.stop();
    this.samplesScrub.stop();
    super.stop();
  }
}
