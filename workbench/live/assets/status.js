// The strip above everything: what the run is doing, how far it is, how good it is, and its controls.

import { duration, el, group, percent, real, say, short, show } from "./dom.js";
import { View } from "./view.js";
import { ACTIVE, OVER, STATES } from "./words.js";

const loaded = (state, status) => (state === "running" || state === "paused") && !status.parked;
// [verb, name, help, when it fits]
const VERBS = [
  ["pause", "Pause", "Keep it loaded and wait; it goes on at once when resumed", (state) => state === "running"],
  ["resume", "Resume", "Go on from where it stood", (state) => ["paused", "stopped"].includes(state)], // the box of an error has its own
  ["step", "Step", "Do so many updates, then pause", loaded],
  ["park", "Park", "Save it and give its memory back; resume loads it again and goes on, bit for bit", loaded],
  ["stop", "Stop", "End it now; the model is evaluated and kept", (state) => ["queued", "starting", "running", "paused"].includes(state)],
  ["predict", "Try it", "Show the model something of your own", (state, status) => ["finished", "stopped"].includes(state) && status.step > 0],
  ["steer", "Steer", "Change the learning rate and more while it trains, and see what was changed", (state) => state !== "queued"],
  ["fork", "Fork", "A new run from here: choose a checkpoint, change settings, launch", (state) => state !== "starting"],
];
const SILENT_S = 10; // a run at work beats every second or two
const PANELS = new Set(["steer", "fork"]); // open below the strip
// [key, name, how to say it]; shown where the run has them
const METRICS = [
  ["val/accuracy", "Validation accuracy", percent],
  ["val/loss", "Validation loss", short],
  ["train/accuracy", "Training accuracy", percent],
  ["train/loss", "Training loss", short],
];
// Of tokens there is more to tell than how many were right while it trained.
const OF_TASK = {
  language_model: [["val/loss", "Validation loss", short], ["val/perplexity", "Perplexity", short], METRICS[0], METRICS[3]],
  segmentation: [["val/iou", "Validation IoU", percent], ["val/dice", "Dice", percent], ["val/accuracy", "Pixels right", percent], ["val/loss", "Validation loss", short]],
  reconstruction: [["val/loss", "Validation loss", short], ["val/explained", "Explained", percent], ["val/psnr", "PSNR, dB", (value) => short(value, 3)], METRICS[3]],
  generation: [["train/loss", "Generator's loss", short], ["train/discriminator_loss", "Discriminator's loss", short], ["val/distance", "Distance", short], ["train/told_apart", "Told apart", percent]],
  translation: [["val/loss", "Validation loss", short], ["val/bleu", "BLEU", (value) => short(value, 3)], ["val/exact_match", "Exact match", percent], METRICS[3]],
  regression: [["val/mae", "Mean error", short], ["val/rmse", "RMSE", short], ["val/r2", "R²", (value) => short(value, 3)], ["val/loss", "Validation loss", short], METRICS[3]],
  multi_label: [["val/f1", "F1", percent], ["val/auroc", "AUROC", (value) => short(value, 3)], ["val/loss", "Validation loss", short], METRICS[3]],
  forecasting: [["val/loss", "Validation loss", short], ["val/rmse", "RMSE", short], ["val/mae", "MAE", short], ["val/mase", "MASE", short], ["val/coverage", "In the band", percent]],
};

const OPTIONAL = new Set(["val/coverage"]); // only some runs of the task have it

export class Status extends View {
  constructor(...given) {
    super(...given);
    this.name = el("h3", { class: "wbl-run" });
    this.pill = el("span", { class: "wbl-pill" });
    this.link = el("span", { class: "wbl-link", role: "status" });
    this.meta = el("span", { class: "wbl-meta" });
    this.buttons = VERBS.map(([verb, text, title, fits]) => {
      const button = el("button", { type: "button", class: `wbl-button wbl-${verb}`, title, "data-verb": verb, onclick: () => this.press(verb) }, text);
      return { verb, button, fits, text };
    });
    this.count = el("input", { type: "number", min: 1, max: 1e6, step: 1, value: 1, class: "wbl-count", "aria-label": "Updates to do", title: "Updates to do",
      onkeydown: (event) => { event.stopPropagation(); if (event.key === "Enter") this.press("step"); } });
    const step = this.buttons.find(({ verb }) => verb === "step").button;
    this.stepper = el("span", { class: "wbl-stepper" }, step, this.count);
    this.bar = el("i");
    this.track = el("div", { class: "wbl-track", role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": 100 }, this.bar);
    this.steps = el("span");
    this.times = el("span");
    this.facts = el("dl", { class: "wbl-numbers" });
    this.rows = new Map();
    this.warning = el("p", { class: "wbl-warning", role: "status", hidden: true });
    this.silent = el("p", { class: "wbl-warning wbl-silent", role: "status", hidden: true });
    this.error = el("div", { class: "wbl-error", role: "alert", hidden: true });
    this.host.append(
      el("div", { class: "wbl-strip-head" }, this.name, this.pill, this.link, el("span", { class: "wbl-gap" }), this.meta,
        el("span", { class: "wbl-buttons" }, ...this.buttons.map(({ verb, button }) => (verb === "step" ? this.stepper : button)))),
      this.track, el("div", { class: "wbl-under" }, this.steps, this.times), this.facts, this.silent, this.warning, this.error);
  }

  press(verb) {
    if (verb === "stop" && this.armed !== verb) { // a second press within a few seconds means it
      this.armed = verb;
      clearTimeout(this.disarm);
      this.disarm = setTimeout(() => { this.armed = null; this.dirty(); }, 4000);
      this.dirty();
      return;
    }
    this.armed = null;
    const steps = Math.round(Number(this.count.value));
    if (verb === "step" && !(steps >= 1 && steps <= 1e6)) { this.count.focus(); return; }
    if (verb !== "predict" && !PANELS.has(verb)) this.asked = { verb, sign: this.sign(verb), until: performance.now() + 8000 };
    this.act(verb === "step" ? { verb, steps } : { verb });
    this.dirty();
  }

  /** What changes when a request was obeyed. */
  sign(verb) {
    const status = this.feed.status;
    return status ? `${status.state} ${status.parked} ${verb === "step" ? status.step : ""}` : "";
  }

  render() {
    const status = this.feed.status;
    this.host.dataset.state = status?.state ?? "";
    this.connection();
    if (!status) {
      say(this.name, this.data.name || this.feed.run);
      show(this.track, false);
      for (const { verb, button } of this.buttons) show(verb === "step" ? this.stepper : button, false);
      return;
    }
    say(this.name, status.name);
    const kind = status.parked ? "parked" : status.held && status.state === "queued" ? "held" : "";
    say(this.pill, kind ? `${status.state} · ${kind}` : status.state);
    this.pill.dataset.state = status.state;
    this.pill.title = STATES[kind] ?? STATES[status.state] ?? "";
    this.host.dataset.parked = String(Boolean(status.parked));
    this.pill.style.setProperty("--c", `var(--wb-state-${status.state})`);
    say(this.meta, [status.device ? `on ${status.device}` : null, status.elapsed_s !== null && status.elapsed_s !== undefined ? duration(status.elapsed_s) : null].filter(Boolean).join(" · "));
    this.controls(status);
    this.progress(status);
    this.numbers(status);
    const warned = this.feed.events.findLast((event) => event.kind === "warning");
    show(this.warning, Boolean(warned));
    say(this.warning, warned?.text ?? "");
    this.silence(status);
    this.fault(status);
    this.host.dataset.step = status.step;
  }

  connection() {
    const words = this.feed.trouble || {
      connecting: "connecting …",
      reconnecting: "connection lost, trying again …",
      paused: "resting while hidden",
      gone: "this run no longer exists",
    }[this.feed.state];
    // A moment's reconnecting is nobody's business.
    const quiet = !this.feed.trouble && (this.feed.state === "connecting" || performance.now() - this.feed.since < 600);
    if (words && quiet && !this.peek) this.peek = setTimeout(() => { this.peek = null; this.dirty(); }, 700);
    say(this.link, words && !quiet ? words : "");
  }

  controls(status) {
    if (this.asked && (this.asked.sign !== this.sign(this.asked.verb) || performance.now() > this.asked.until)) this.asked = null;
    for (const { verb, button, fits, text } of this.buttons) {
      show(verb === "step" ? this.stepper : button, fits(status.state, status) && this.feed.state !== "gone");
      button.disabled = Boolean(this.asked && !PANELS.has(verb)) || this.feed.state !== "live";
      if (PANELS.has(verb)) button.setAttribute("aria-pressed", String(this.data.panel === verb));
      say(button, this.asked?.verb === verb ? `${text} …` : this.armed === verb ? "Really stop?" : text);
      button.classList.toggle("wbl-armed", this.armed === verb);
    }
  }

  progress(status) {
    const total = status.total_steps;
    const share = total ? Math.min(1, status.step / total) : 0;
    show(this.track, Boolean(total));
    this.bar.style.width = `${(100 * share).toFixed(2)}%`;
    this.track.style.setProperty("--c", `var(--wb-state-${status.state})`);
    this.track.setAttribute("aria-valuenow", Math.round(100 * share));
    const epoch = status.total_epochs ? `epoch ${status.epoch.toFixed(2)} of ${short(status.total_epochs)}` : `epoch ${status.epoch.toFixed(2)}`;
    say(this.steps, status.step || total ? `step ${group(status.step)}${total ? ` of ${group(total)}` : ""} · ${epoch}${total ? ` · ${percent(share, 0)}` : ""}` : STATES[status.held && status.state === "queued" ? "held" : status.state]);
    const told = STATES[status.parked ? "parked" : status.held && status.state === "queued" ? "held" : status.state];
    const left = status.eta_s !== null && ACTIVE.has(status.state) && status.state !== "paused" ? `${duration(status.eta_s)} left` : "";
    say(this.times, left || (status.step || total ? told : ""));
  }

  /** One tile: name, value, remark. */
  number(order, id, name, value, remark, title) {
    let row = this.rows.get(id);
    if (!row) {
      row = { dt: el("dt", {}, name), dd: el("dd"), small: el("small") };
      row.node = el("div", { "data-metric": id }, row.dt, row.dd, el("dd", { class: "wbl-remark" }, row.small));
      this.rows.set(id, row);
      this.facts.append(row.node);
    }
    row.node.style.order = order;
    say(row.dd, value);
    say(row.small, remark);
    if (title) row.node.title = title;
  }

  numbers(status) {
    const told = (OF_TASK[status.task] ?? METRICS).filter(([key]) => !OPTIONAL.has(key) || status.metrics[key]);
    for (const [i, [key, name, format]] of told.entries()) {
      const metric = status.metrics[key] ?? {};
      const last = real(metric.last);
      const best = metric.best === undefined ? "" : `best ${format(real(metric.best))} at step ${group(metric.best_step)}`;
      this.number(i, key, name, Number.isFinite(last) ? format(last) : short(last), best);
    }
    const speed = status.metrics["throughput/samples_per_s"];
    this.number(8, "speed", "Throughput", speed ? `${short(speed.last, 3)} /s` : "–", "samples per second");
    const share = status.telemetry_share;
    this.number(9, "telemetry", "Looking inside", share === null ? "–" : percent(share), `of the time; budget ${percent(status.budget, 0)}`, "What all curves and pictures cost this run, as a share of its time");
  }

  /** A run at work that is not heard of. */
  silence(status) {
    const silent = status.silent_s >= SILENT_S;
    show(this.silent, silent);
    if (!silent) return;
    const why = status.is_stopped ? "its process is stopped, by a signal or by Ctrl-Z" : "its process still exists, but does not answer";
    say(this.silent, `No sign of life for ${duration(status.silent_s)}: ${why}. What is shown is what it wrote last.`);
  }

  fault(status) {
    const lost = status.state === "lost";
    const bad = OVER.has(status.state) && (lost || (status.error && status.state === "failed"));
    show(this.error, Boolean(bad));
    if (!bad) { this.told = null; return; }
    const error = status.error ?? { where: "The run's process", rule: "it must end with a record", fact: "it is gone without a word", repair: status.good ? "Resume it: nothing before its last checkpoint is lost." : "" };
    const text = JSON.stringify([error, status.good, Boolean(this.asked)]);
    if (this.told === text) return;
    this.told = text;
    const open = this.error.querySelector("details")?.open;
    this.error.replaceChildren(...errorParts(error), this.wayOn(error, status));
    if (open && this.error.querySelector("details")) this.error.querySelector("details").open = true;
  }

  /** The buttons that lead out of an error, and where the run would go on. */
  wayOn(error, status) {
    const button = (verb, text, title, kind) => el("button", { type: "button", class: `wbl-button ${kind}`, title, "data-way": verb, disabled: Boolean(this.asked), onclick: () => this.press(verb) }, text);
    const offer = Object.keys(error.offer?.changes ?? {}).length ? error.offer : null; // one that changes nothing is a resume
    const from = status.good ? `Last good checkpoint: ${status.good.name} at step ${group(status.good.step)}.` : "No checkpoint was saved: it would begin anew.";
    return el("div", { class: "wbl-ways" },
      offer ? button("offer", OFFERS[offerKind(offer)] ?? "Go on with the changed settings", offer.text, "wbl-resume") : null,
      button("resume", offer ? "Resume as it was" : "Resume", "Go on from its last checkpoint, with the same settings", offer ? "" : "wbl-resume"),
      el("span", {}, offer?.text ? `${offer.text.replace(/\.?$/, ".")} ${from}` : from));
  }

  stop() {
    clearTimeout(this.disarm);
    clearTimeout(this.peek);
    super.stop();
  }
}

const sentence = (text) => { const t = String(text ?? "").trim(); return t ? t[0].toUpperCase() + t.slice(1) : ""; };

const OFFERS = { memory: "Go on with half the memory" };
const offerKind = (offer) => ("training.accumulation_steps" in (offer.changes ?? {}) ? "memory" : "");

/** The line that matters, then where, rule, fact, repair; the whole traceback folded. */
function errorParts(error) {
  const rule = sentence(error.rule);
  return [
    el("strong", {}, sentence(error.where) || "The run failed"),
    error.line ? el("code", { class: "wbl-line" }, error.line) : null,
    el("p", {}, rule && error.fact ? `${rule}, but ${error.fact}`.replace(/\.?$/, ".") : sentence(error.fact || error.rule)),
    error.repair ? el("p", { class: "wbl-repair" }, error.repair) : null,
    error.traceback ? el("details", {}, el("summary", {}, "Traceback"), el("pre", {}, error.traceback)) : null,
  ].filter(Boolean);
}
