// What all views share: the feed, the palette, one draw per frame, and leaving cleanly.

import { el, perFrame } from "./dom.js";
import { palette } from "./theme.js";

export class View {
  /** host: the element it fills; data: from Python; feed: the run's; act(verb): asks Python. */
  constructor(host, data, feed, act) {
    this.host = host;
    this.data = data;
    this.feed = feed;
    this.act = act;
    this.visible = true;
    this.colours = palette(host);
    this.dirty = perFrame(() => { if (!this.gone && this.visible) this.render(); });
    this.size = new ResizeObserver(() => this.dirty());
    this.size.observe(host);
    this.releases = [];
    feed.add(this);
    host.dataset.live = feed.state;
  }

  /** Look at a topic until the view is hidden or goes. */
  want(topic) {
    const release = this.feed.want(topic);
    this.releases.push(release);
    return release;
  }

  hear(kind, detail) {
    if (kind === "state") this.host.dataset.live = detail;
    this.on?.(kind, detail);
    this.dirty();
  }

  recolour() {
    this.colours = palette(this.host);
    this.dirty();
  }

  /** A hidden view holds no subscriptions. */
  hide() {
    this.visible = false;
    for (const release of this.releases.splice(0)) release();
  }

  unhide() {
    this.visible = true;
    this.colours = palette(this.host);
    this.dirty();
  }

  stop() {
    this.gone = true;
    this.hide();
    this.size.disconnect();
    this.feed.remove(this);
  }
}

/** A view through time: `scrub` leads it, and it looks at its topics while it is seen. */
export class Through extends View {
  hide() {
    super.hide();
    this.watching = false;
    this.scrub?.play(false);
  }

  stop() {
    this.scrub.stop();
    super.stop();
  }
}

/** The box that stands where nothing is to be seen yet. */
export function notice() {
  const head = el("strong");
  const text = el("span");
  const node = el("div", { class: "wbl-notice", role: "status", hidden: true }, head, text);
  return {
    node,
    say([headline, sentence]) {
      if (head.textContent !== headline) head.textContent = headline;
      if (text.textContent !== sentence) text.textContent = sentence;
      node.hidden = false;
    },
    hide() { node.hidden = true; },
  };
}
