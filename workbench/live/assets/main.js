// The way in: Streamlit calls the default export for every (re)run of the element; a view is made once
// per element and run, and lives on through later calls.

import { el } from "./dom.js";
import { feedOf } from "./bus.js";
import { leave, recall, remember, settle } from "./address.js";
import { Curves } from "./curves.js";
import { Filters, Maps } from "./tiles.js";
import { Log } from "./log.js";
import { Predictions } from "./panels.js";
import { Status } from "./status.js";
import { View } from "./view.js";

const TABS = [
  ["curves", "Curves", Curves],
  ["filters", "Filters", Filters],
  ["maps", "Feature maps", Maps],
  ["predictions", "Predictions", Predictions],
  ["log", "Log", Log],
];

/** All views of a run under tabs; only the open one draws and subscribes. */
class Tabs extends View {
  constructor(...given) {
    super(...given);
    this.views = new Map();
    this.tabs = TABS.map(([id, text]) => el("button", {
      type: "button", role: "tab", id: `wbl-tab-${id}`, "aria-controls": `wbl-${id}`, "data-tab": id, onclick: () => this.pick(id, true),
    }, text));
    this.list = el("div", { class: "wbl-tabs", role: "tablist", "aria-label": "Views of the run", onkeydown: (event) => this.key(event) }, ...this.tabs);
    this.panes = new Map(TABS.map(([id]) => [id, el("div", { class: `wbl-pane wbl-pane-${id}`, id: `wbl-${id}`, role: "tabpanel", "aria-labelledby": `wbl-tab-${id}`, hidden: true })]));
    this.host.append(this.list, ...this.panes.values());
    const wanted = recall("tab", "curves");
    this.pick(this.panes.has(wanted) ? wanted : "curves", false);
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
    const i = TABS.findIndex(([id]) => id === this.current);
    const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: TABS.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = (to + TABS.length) % TABS.length;
    this.pick(TABS[next][0], true);
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

const KINDS = { tabs: Tabs, status: Status, curves: Curves, filters: Filters, maps: Maps, predictions: Predictions, log: Log };

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
