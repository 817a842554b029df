// The way in: Streamlit calls the default export for every (re)run of the element; a view is made once
// per element and run, and lives on through later calls.

import { el } from "./dom.js";
import { feedOf } from "./bus.js";
import { leave, recall, remember, settle } from "./address.js";
import { Attention } from "./attention.js";
import { Columns } from "./columns.js";
import { Curves } from "./curves.js";
import { Forecast } from "./forecast.js";
import { Filters, Maps } from "./tiles.js";
import { Latent } from "./latent.js";
import { Log } from "./log.js";
import { Predictions } from "./panels.js";
import { Made, Masks, Reconstructions } from "./pictures.js";
import { Report } from "./report.js";
import { Rows } from "./rows.js";
import { States } from "./states.js";
import { Status } from "./status.js";
import { Texts } from "./texts.js";
import { Tried } from "./tried.js";
import { View } from "./view.js";

const TABS = [
  ["curves", "Curves", Curves],
  ["forecast", "Forecast", Forecast],
  ["filters", "Filters", Filters],
  ["maps", "Feature maps", Maps],
  ["attention", "Attention", Attention],
  ["states", "States", States],
  ["text", "Text", Texts],
  ["columns", "Columns", Columns],
  ["rows", "Rows", Rows],
  ["masks", "Masks", Masks],
  ["reconstructions", "Reconstructions", Reconstructions],
  ["latent", "Codes", Latent],
  ["made", "Samples", Made],
  ["report", "Report", Report],
  ["predictions", "Predictions", Predictions],
  ["log", "Log", Log],
];
const IMAGES = ["curves", "filters", "maps", "predictions", "log"]; // where the page does not say
const FOUND = ["attention", "states"]; // a run has these too once it has recorded any

/** All views of a run under tabs; only the open one draws and subscribes. */
class Tabs extends View {
  constructor(...given) {
    super(...given);
    this.views = new Map();
    this.tabs = [];
    this.panes = new Map();
    this.list = el("div", { class: "wbl-tabs", role: "tablist", "aria-label": "Views of the run", onkeydown: (event) => this.key(event) });
    this.host.append(this.list);
    this.arrange(this.data.views ?? IMAGES);
    const wanted = recall("tab", "curves");
    this.pick(this.panes.has(wanted) ? wanted : "curves", false);
  }

  /** Give each of these views a tab, in the order of TABS; those that are there stay as they are. */
  arrange(ids) {
    for (const [id, text] of TABS) {
      if (!ids.includes(id) || this.panes.has(id)) continue;
      const tab = el("button", { type: "button", role: "tab", id: `wbl-tab-${id}`, "aria-controls": `wbl-${id}`, "data-tab": id, "aria-selected": "false", tabindex: -1, onclick: () => this.pick(id, true) }, text);
      const pane = el("div", { class: `wbl-pane wbl-pane-${id}`, id: `wbl-${id}`, role: "tabpanel", "aria-labelledby": `wbl-tab-${id}`, hidden: true });
      this.panes.set(id, pane);
      this.tabs.push(tab);
      this.host.append(pane);
    }
    const place = (tab) => TABS.findIndex(([id]) => id === tab.dataset.tab);
    this.tabs.sort((a, b) => place(a) - place(b));
    this.list.append(...this.tabs);
  }

  on(kind) {
    if (kind !== "topics") return;
    const more = FOUND.filter((id) => !this.panes.has(id) && this.feed.topics.some((topic) => topic.startsWith(`${id}/`)));
    if (!more.length) return;
    this.arrange(more);
    if (more.includes(recall("tab"))) this.pick(recall("tab"), false);
  }

  pick(id, byHand) {
    if (byHand) remember({ tab: id === "curves" ? null : id });
    if (this.current === id) return;
    this.views.get(this.current)?.hide();
    this.current = id;
    for (const tab of this.tabs) {
      const chosen = tab.dataset.tab === id;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
    }
    for (const [name, pane] of this.panes) pane.hidden = name !== id;
    const known = this.views.get(id);
    if (known) known.unhide();
    else {
      const Kind = TABS.find(([name]) => name === id)[2];
      const view = new Kind(this.panes.get(id), this.data, this.feed, this.act);
      this.views.set(id, view);
      view.dirty();
    }
  }

  key(event) {
    const count = this.tabs.length;
    const i = this.tabs.findIndex((tab) => tab.dataset.tab === this.current);
    const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: count - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = (to + count) % count;
    this.pick(this.tabs[next].dataset.tab, true);
    this.tabs[next].focus();
  }

  render() {
    const step = this.panes.get(this.current).dataset.step;
    if (step !== undefined) this.host.dataset.step = step;
    this.host.dataset.tab = this.current;
  }

  recolour() {
    super.recolour();
    for (const view of this.views.values()) view.recolour();
  }

  stop() {
    for (const view of this.views.values()) view.stop();
    super.stop();
  }
}

const KINDS = { tabs: Tabs, status: Status, tried: Tried, ...Object.fromEntries(TABS.map(([id, , Kind]) => [id, Kind])) };

/** Stylesheets are added once, beside the modules and of their version. */
function dress() {
  for (const name of ["colours.css", "live.css"]) {
    const href = new URL(name, import.meta.url).href;
    if (!document.querySelector(`link[href="${href}"]`)) document.head.append(el("link", { rel: "stylesheet", href }));
  }
}

export default function mount({ data, parentElement, setTriggerValue }) {
  dress();
  settle(data.run);
  const host = parentElement.querySelector(".wbl") ?? parentElement;
  const sign = JSON.stringify({ ...data, panel: null }); // which panel is open changes nothing but a button
  host.trigger = setTriggerValue; // the newest one: older calls are superseded
  if (!host.view || host.view.gone || host.sign !== sign) {
    host.view?.stop();
    host.replaceChildren();
    host.sign = sign;
    host.dataset.kind = data.kind;
    const act = (verb) => host.trigger("act", verb);
    host.view = new KINDS[data.kind](host, data, feedOf(data.run, data.base), act);
    host.view.dirty();
  } else {
    host.view.data = data;
    host.view.recolour(); // the theme may be what changed
  }
  return () => setTimeout(() => {
    if (host.isConnected) return; // a superseded call, not the end
    host.view?.stop();
    leave();
  });
}
