// How much each column of a table matters to the model, while it learns.

import { el, group, real, say, short, show } from "./dom.js";
import { Scrub } from "./scrub.js";
import { Through, notice } from "./view.js";
import { waiting } from "./words.js";

const LISTED = 40;

export class Columns extends Through {
  constructor(...given) {
    super(...given);
    this.notice = notice();
    this.scrub = new Scrub(this, () => this.dirty());
    this.scrub.attach("panel:importance");
    this.count = el("small");
    this.list = el("div", { class: "wbl-importance", role: "list" });
    this.card = el("section", { class: "wbl-card wbl-pad" }, el("header", {}, el("h4", {}, "What the model goes by", this.count)), this.list,
      el("p", { class: "wbl-hint" }, "How much the loss rises when the cells of one column are dealt out anew among the rows. Columns that say the same as others seem to matter less."), this.scrub.node);
    this.host.append(this.notice.node, this.card);
  }

  render() {
    if (!this.watching) {
      this.watching = true;
      this.want("panel:importance");
    }
    const panel = this.scrub.picture();
    show(this.card, Boolean(panel));
    this.scrub.draw(panel);
    if (!panel) { this.notice.say(waiting(this.feed, "the first look inside", "Each column is weighed now and then, within the time for looking inside.")); return; }
    this.notice.hide();
    if (panel !== this.shown) this.draw(panel);
    this.host.dataset.step = panel.step;
  }

  draw(panel) {
    this.shown = panel;
    const { columns = [], rises = [], loss, rows = 0 } = panel.data;
    const found = columns.map((name, i) => [name, real(rises[i])]).sort((a, b) => b[1] - a[1]);
    const most = Math.max(...found.map(([, rise]) => Math.abs(rise)), 1e-12);
    say(this.count, `on ${group(rows)} validation rows, loss ${short(loss)}`);
    this.list.replaceChildren(...found.slice(0, LISTED).map(([name, rise]) =>
      el("div", { class: "wbl-bar", role: "listitem", "data-column": name, title: `${name}: loss ${rise >= 0 ? "+" : ""}${short(rise)}` },
        el("span", {}, name), el("i", {}, el("b", { style: `width:${(100 * Math.max(0, rise)) / most}%` })), el("em", {}, `${rise > 0 ? "+" : ""}${short(rise, 3)}`))),
    found.length > LISTED ? el("p", { class: "wbl-hint" }, `and ${group(found.length - LISTED)} more`) : "");
  }
}
