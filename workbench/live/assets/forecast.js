// What a model of a series tells: some windows of the validation, forecast against truth with its band, and
// how far it is off at each step ahead beside the floors that need no learning.

import { choices, el, group, real, say, short, show } from "./dom.js";
import { Scrub } from "./scrub.js";
import { Strip } from "./strip.js";
import { recall, remember } from "./address.js";
import { Through, notice } from "./view.js";
import { waiting } from "./words.js";

const COLUMNS = 3; // windows beside each other where there is room
const WINDOW_PX = 300; // narrowest a window gets
const WINDOW_HEIGHT = 190;
const STEPS_HEIGHT = 210;
const FLOORS = { persistence: "Last value again", seasonal: "A season before" };
// [key, name, help, how to say it]
const MARKS = [
  ["rmse", "RMSE", "Root of the mean squared error, in the series' own units; of several variates their mean"],
  ["mae", "MAE", "Mean absolute error, in the series' own units; of several variates their mean"],
  ["scaled_mse", "MSE, scaled", "Mean squared error where every variate has variance 1"],
  ["scaled_mae", "MAE, scaled", "Mean absolute error where every variate has variance 1"],
  ["mase", "MASE", "Mean absolute error over that of telling the value of a season before in training: below 1 is better than that"],
];

export class Forecast extends Through {
  constructor(...given) {
    super(...given);
    this.variate = Math.max(0, Number.parseInt(recall("variate", "1"), 10) - 1 || 0);
    this.by = recall("error") === "rmse" ? "rmse" : "mae";
    this.notice = notice();
    this.variates = choices("Variate", [], (index) => {
      this.variate = index;
      remember({ variate: index ? index + 1 : null });
      this.dirty();
    });
    this.legend = el("div", { class: "wbl-legend wbl-forecast-legend" });
    this.sheet = el("div", { class: "wbl-forecasts" });
    this.reading = el("p", { class: "wbl-hint", role: "status" });
    this.scrub = new Scrub(this, () => this.dirty());
    this.card = el("section", { class: "wbl-card wbl-pad" },
      el("header", {}, el("h4", {}, "Forecast and truth", el("small", {}, "some windows of the validation, always the same")), this.variates.node),
      this.legend, this.sheet, this.reading, this.scrub.node);
    this.errors = choices("Error", [["mae", "MAE"], ["rmse", "RMSE"]], (by) => {
      this.by = by;
      remember({ error: by === "rmse" ? by : null });
      this.dirty();
    });
    this.table = el("div", { class: "wbl-table-room", tabindex: 0, role: "region", "aria-label": "Errors beside those of the floors" });
    this.steps = new Strip("Error by step ahead");
    this.stepsLegend = el("div", { class: "wbl-legend wbl-forecast-legend" });
    this.stepsHint = el("p", { class: "wbl-hint" });
    this.stepsCard = el("section", { class: "wbl-card wbl-pad" },
      el("header", {}, el("h4", {}, "Error by step ahead", el("small", {}, "over all windows of the validation")), this.errors.node),
      this.stepsLegend, el("div", {}, this.steps.node), this.stepsHint, this.table); // a strip takes its parent's width, padding included
    this.host.append(this.notice.node, el("div", { class: "wbl-panels" }, this.card, this.stepsCard));
    this.scrub.attach("panel:forecast", ["panel:forecast", "panel:horizon"]);
    this.strips = [];
  }

  render() {
    if (!this.watching) {
      this.watching = true;
      this.want("panel:forecast");
      this.want("panel:horizon");
    }
    const panel = this.scrub.picture();
    const horizon = this.scrub.picture("panel:horizon") ?? this.feed.pictures.get("panel:horizon");
    show(this.card, Boolean(panel));
    show(this.stepsCard, Boolean(horizon));
    this.scrub.draw(panel);
    if (!panel && !horizon) { this.notice.say(waiting(this.feed, "the first validation", "The forecasts are drawn after each validation.")); return; }
    this.notice.hide();
    if (panel) this.drawWindows(panel);
    if (horizon) this.drawSteps(horizon);
    this.host.dataset.step = Math.max(panel?.step ?? -1, horizon?.step ?? -1);
  }

  // ---------------------------------------------------------------- windows

  drawWindows(panel) {
    const { data, arrays } = panel;
    const names = data.variates;
    const v = Math.min(this.variate, names.length - 1);
    show(this.variates.node, names.length > 1);
    this.variates.set(names.map((name, i) => [i, String(name)]));
    this.variates.choose(v);
    const colours = this.colours;
    const entries = [["truth", colours.text], ["forecast", colours.accent]];
    if (data.band) entries.push([`band: ${data.band}`, colours.accent, true]);
    legend(this.legend, entries);
    const [n, past, width] = arrays.past.shape;
    const ahead = arrays.truth.shape[1];
    while (this.strips.length < n) {
      const strip = new Strip("Forecast and truth of a window");
      strip.head = el("b");
      strip.onread = (text) => say(this.reading, text);
      this.strips.push(strip);
      this.sheet.append(el("figure", { class: "wbl-window" }, el("figcaption", {}, strip.head), strip.node));
    }
    for (const [i, strip] of this.strips.entries()) {
      const figure = strip.node.parentElement;
      show(figure, i < n);
      if (i >= n) continue;
      const at = (array, step, part = 0, parts = 1) => array.data[((i * array.shape[1] + step) * parts + part) * width + v];
      const before = Array.from({ length: past }, (_, s) => at(arrays.past, s));
      const truth = Array.from({ length: ahead }, (_, s) => at(arrays.truth, s));
      const told = [0, 1, 2].map((part) => Array.from({ length: ahead }, (_, s) => at(arrays.told, s, part, 3)));
      const last = before[past - 1];
      const x0 = -past + 1;
      const lines = [
        { x: x0, y: [...before, ...truth], colour: colours.text, width: 1.2 },
        { x: 0, y: [last, ...told[1]], colour: colours.accent, width: 2, dots: ahead < 4 },
      ];
      const band = data.band ? { x: 0, low: [last, ...told[0]], high: [last, ...told[2]], colour: colours.accent } : null;
      const times = data.times[i];
      say(strip.head, `${times[0]}${ahead > 1 ? ` to ${times[ahead - 1]}` : ""}`);
      strip.draw({
        lines, band, split: 0, lo: x0, hi: ahead, height: WINDOW_HEIGHT, colours,
        ticks: [[x0, data.starts[i]], [0, ""], [ahead, times[ahead - 1]]],
        read: (step) => {
          if (step < 1) return `${names[v]}: ${short(before[past - 1 + step])}, ${-step} steps before the forecast`;
          const s = step - 1;
          const spread = data.band ? ` (${short(told[0][s])} to ${short(told[2][s])})` : "";
          return `${names[v]} at ${times[s]}: forecast ${short(told[1][s])}${spread}, ${Number.isFinite(truth[s]) ? `truth ${short(truth[s])}` : "not measured"}`;
        },
      });
    }
    this.sheet.style.setProperty("--columns", Math.max(1, Math.min(COLUMNS, n, Math.floor(this.sheet.clientWidth / WINDOW_PX))));
  }

  // ---------------------------------------------------------------- steps ahead

  drawSteps(panel) {
    const { data } = panel;
    this.errors.choose(this.by);
    const colours = this.colours;
    const own = data.steps[this.by].map(real);
    const rows = [["the model", own, colours.accent]];
    Object.entries(data.floors).forEach(([name, floor], i) => rows.push([(FLOORS[name] ?? name).toLowerCase(), floor.steps[this.by].map(real), [colours.muted, colours.validation][i % 2]]));
    legend(this.stepsLegend, rows.map(([name, , colour]) => [name, colour]));
    const many = own.length > 1;
    show(this.steps.node, many);
    show(this.stepsHint, many);
    if (many) {
      this.steps.onread = (text) => say(this.stepsHint, text);
      this.steps.rest = data.is_scaled ? "Over all variates, each scaled to a variance of 1." : "In the series' own units.";
      this.steps.draw({
        lines: rows.map(([, y, colour], i) => ({ x: 1, y, colour, width: i ? 1.2 : 2, dots: own.length < 13 })), lo: 1, hi: own.length, floor: 0,
        height: STEPS_HEIGHT, colours, ticks: [[1, "1 step ahead"], [own.length, group(own.length)]],
        read: (step) => `${group(step)} ahead: ${rows.map(([name, y]) => `${name} ${short(y[step - 1])}`).join(", ")}`,
      });
    }
    const columns = [["The model", data.marks], ...Object.entries(data.floors).map(([name, floor]) => [FLOORS[name] ?? name, floor.marks])];
    const cell = (marks, key) => (key in marks ? short(marks[key]) : "–");
    const body = MARKS.filter(([key]) => key in data.marks).map(([key, name, help]) => {
      const least = Math.min(...columns.map(([, marks]) => real(marks[key] ?? NaN)).filter(Number.isFinite));
      return el("tr", { "data-mark": key }, el("th", { scope: "row", title: help }, name),
        ...columns.map(([, marks]) => el("td", { class: real(marks[key]) === least ? "wbl-least" : "" }, cell(marks, key))));
    });
    if ("coverage" in data.marks) body.push(el("tr", { "data-mark": "coverage" }, el("th", { scope: "row", title: "Share of the true values within the band that the model tells by itself, before it is stretched" }, "Within its own band"), el("td", {}, `${(100 * real(data.marks.coverage)).toFixed(1)} %`)));
    const parts = [el("table", { class: "wbl-table wbl-floors", "aria-label": "Errors of the model and of the floors" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Error"), ...columns.map(([name]) => el("th", { scope: "col" }, name)))), el("tbody", {}, ...body))];
    if (data.variates.length > 1) parts.push(byVariate(data.variates));
    this.table.replaceChildren(...parts);
  }
}

function byVariate(rows) {
  return el("table", { class: "wbl-table wbl-floors", "aria-label": "Errors by variate" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Variate"), ...["MAE", "RMSE", "MASE"].map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, el("th", { scope: "row" }, String(row.variate)), ...["mae", "rmse", "mase"].map((key) => el("td", {}, key in row ? short(row[key]) : "–"))))));
}

function legend(node, entries) {
  const sign = JSON.stringify(entries);
  if (node.dataset.sign === sign) return;
  node.dataset.sign = sign;
  node.replaceChildren(...entries.map(([name, colour, soft]) => el("span", { class: "wbl-entry" }, el("i", { class: soft ? "wbl-soft" : "", style: `--c:${colour}` }), el("em", {}, name))));
}
