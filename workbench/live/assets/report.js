// How well each class is told: precision, recall and F1 beside the confusion matrix.

import { choices, el, group, percent, real, say, short, show } from "./dom.js";
import { Confusion } from "./confusion.js";
import { Scrub } from "./scrub.js";
import { recall, remember } from "./address.js";
import { Through, notice } from "./view.js";
import { waiting } from "./words.js";

const OVERLAPS = [["iou", "IoU", "Pixels in both, of the pixels in either"], ["dice", "Dice", "Twice the pixels in both, of those of each; the F1 of pixels"]];
const SCORES = [["precision", "Precision", "Of what was taken for this class, the share that is"], ["recall", "Recall", "Of what is of this class, the share that was found"], ["f1", "F1", "The harmonic mean of the two"]];
// [key, name, help]; shown where the run has them
const METRICS = [
  ["iou", "IoU", "Pixels in both masks, of the pixels in either; mean over the classes"],
  ["dice", "Dice", "Twice the pixels in both, of those of each; mean over the classes"],
  ["accuracy", "Accuracy", "Share of samples, or of pixels, whose class is told right"],
  ["f1", "F1", "Mean over the classes"],
  ["precision", "Precision", "Mean over the classes"],
  ["recall", "Recall", "Mean over the classes"],
  ["auroc", "AUROC", "Area under the ROC curve: the chance that a sample of the class gets more than one that is not. Mean over the classes; of two, of the second"],
  ["pr_auc", "PR-AUC", "Area under precision over recall, as average precision. Mean over the classes; of two, of the second"],
  ["macro_f1", "Macro F1", "Mean of the labels' F1"],
  ["exact", "All right", "Share of samples whose labels are all told right"],
  ["ece", "Calibration error", "How far confidence is from accuracy; 0 is perfect"],
  ["top5", "In the top 5", "Share of samples whose class is among the five likeliest"],
  ["loss", "Loss", "Mean cross-entropy, in nats"],
];

export class Report extends Through {
  constructor(...given) {
    super(...given);
    this.order = recall("order") === "worst" ? "worst" : "data";
    this.notice = notice();
    this.orders = choices("Order of classes", [["data", "As in the data"], ["worst", "Worst first"]], (order) => {
      this.order = order;
      remember({ order: order === "worst" ? order : null });
      this.shown = null;
      this.dirty();
    });
    this.of = el("small");
    this.metrics = el("dl", { class: "wbl-numbers" });
    this.table = el("div", { class: "wbl-table-room", tabindex: 0, role: "region", "aria-label": "Scores by class" });
    this.confusion = new Confusion(() => this.dirty());
    this.scrub = new Scrub(this, () => this.dirty());
    this.classCard = el("section", { class: "wbl-card wbl-pad" }, el("header", {}, el("h4", {}, "By class", this.of), this.orders.node), this.metrics, this.table);
    this.matrixCard = el("section", { class: "wbl-card wbl-pad wbl-only-matrix" }, this.confusion.head, this.confusion.node);
    this.pair = el("div", { class: "wbl-report" }, this.classCard, this.matrixCard);
    this.host.append(this.notice.node, this.pair, this.scrub.node);
    this.scrub.attach("panel:report", ["panel:report", "panel:confusion"]);
  }

  render() {
    if (!this.watching) {
      this.watching = true;
      this.want("panel:report");
      this.want("panel:confusion");
    }
    const report = this.scrub.picture();
    const matrix = this.scrub.picture("panel:confusion");
    show(this.pair, Boolean(report));
    show(this.matrixCard, Boolean(matrix));
    this.pair.classList.toggle("wbl-wide", (matrix?.data.classes.length ?? 0) > 8);
    this.scrub.draw(report);
    if (!report) { this.notice.say(waiting(this.feed, "the first validation", "Scores by class are told after each validation.")); return; }
    this.notice.hide();
    this.orders.choose(this.order);
    this.confusion.draw(matrix);
    if (report !== this.shown) this.draw(report);
    this.host.dataset.step = report.step;
  }

  draw(panel) {
    this.shown = panel;
    const metrics = panel.data.metrics ?? {};
    this.metrics.replaceChildren(...METRICS.filter(([key]) => key in metrics).map(([key, name, help]) =>
      el("div", { title: help, "data-metric": key }, el("dt", {}, name), el("dd", {}, key === "loss" ? short(metrics[key]) : percent(real(metrics[key]))))));
    const rows = [...(panel.data.per_class ?? [])];
    const pixels = rows.length > 0 && "iou" in rows[0];
    const scores = pixels ? [...OVERLAPS, SCORES[0], SCORES[1]] : SCORES;
    const [order, many, what] = pixels ? ["iou", "pixels", "Pixels"] : ["f1", "support", "Samples"];
    say(this.of, pixels ? "of the validation pixels" : "of the validation samples");
    if (this.order === "worst") rows.sort((a, b) => (a[order] ?? 2) - (b[order] ?? 2));
    const bar = (value) => el("td", {}, el("div", { class: "wbl-score" }, el("i", {}, el("b", { style: `width:${100 * Math.max(0, Math.min(1, value || 0))}%` })), el("em", {}, percent(value))));
    this.table.replaceChildren(el("table", { class: "wbl-table", "aria-label": "Precision, recall and F1 by class" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Class"), ...scores.map(([, name, help]) => el("th", { scope: "col", title: help }, name)), el("th", { scope: "col", title: `Validation ${what.toLowerCase()} of the class` }, what))),
      el("tbody", {}, ...rows.map((row) => el("tr", { "data-class": row.class }, el("th", { scope: "row", title: String(row.class) }, String(row.class)), ...scores.map(([key]) => bar(row[key] ?? NaN)), el("td", {}, group(row[many])))))));
  }
}
