// One socket per run and tab, shared by all views. Decodes frames, keeps what was seen, tells the views.

import { Series } from "./series.js";

const FEEDS = (window.__workbenchFeeds ??= new Map());
const HIDDEN_MS = 15000; // a tab hidden this long lets go of its socket
const LINGER_MS = 400; // views come and go while Streamlit redraws; the socket outlives that
const LOG_LIMIT = 4_000_000; // characters of the log's end that are kept
const TYPES = { uint8: Uint8Array, int32: Int32Array, float32: Float32Array, float64: Float64Array, int64: BigInt64Array };

/** The feed of a run; made when first asked for. */
export function feedOf(run, base) {
  let feed = FEEDS.get(run);
  if (!feed || feed.closed) FEEDS.set(run, (feed = new Feed(run, base)));
  return feed;
}

class Feed {
  constructor(run, base) {
    this.run = run;
    this.address = new URL(`${base}live/ws?run=${encodeURIComponent(run)}`, location.origin.replace(/^http/, "ws")).href;
    this.state = "connecting"; // connecting | live | reconnecting | paused | gone
    this.status = null;
    this.topics = null; // null until the server said; then a list
    this.layers = {};
    this.series = new Map();
    this.events = [];
    this.pictures = new Map(); // topic as subscribed → newest tiles or panel
    this.past = new Map(); // topic as subscribed → tiles or panel of the step that was asked for
    this.steps = new Map(); // topic in the store → steps
    this.log = { text: "", start: 0, more: false, loaded: false };
    this.page = null; // the part of the log that was asked for
    this.found = null; // the lines that a search found
    this.trouble = ""; // why the server cannot read the store
    this.cursor = "";
    this.views = new Set();
    this.wants = new Map(); // topic → number of views
    this.asking = new Set(); // topics to be asked for before this turn is over
    this.wait = 500;
    this.since = performance.now();
    this.onvisible = () => this.visibility();
    document.addEventListener("visibilitychange", this.onvisible);
    this.open();
  }

  // ---------------------------------------------------------------- views

  add(view) {
    clearTimeout(this.linger);
    this.views.add(view);
  }

  remove(view) {
    this.views.delete(view);
    if (this.views.size) return;
    this.linger = setTimeout(() => {
      this.closed = true;
      FEEDS.delete(this.run);
      document.removeEventListener("visibilitychange", this.onvisible);
      clearTimeout(this.retry);
      this.socket?.close();
    }, LINGER_MS);
  }

  /** Ask for a topic; the answer of calling the result is to let it go again. */
  want(topic) {
    const count = this.wants.get(topic) ?? 0;
    this.wants.set(topic, count + 1);
    if (!count) this.askSoon(topic);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const left = this.wants.get(topic) - 1;
      if (left > 0) { this.wants.set(topic, left); return; }
      this.wants.delete(topic);
      if (!this.asking.delete(topic)) this.send({ op: "unsub", topics: [topic] });
    };
  }

  /** Topics that are wanted in one go are asked for in one go. */
  askSoon(topic) {
    this.asking.add(topic);
    if (this.asking.size > 1) return;
    queueMicrotask(() => {
      const topics = [...this.asking];
      this.asking.clear();
      if (topics.length) this.send({ op: "sub", topics });
    });
  }

  send(request) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(request));
  }

  tell(kind, detail) {
    for (const view of this.views) view.hear(kind, detail);
  }

  // ---------------------------------------------------------------- the socket

  open() {
    const url = this.cursor ? `${this.address}&cursor=${encodeURIComponent(this.cursor)}` : this.address;
    this.socket?.close(); // one that is still being opened must not bring everything twice
    const socket = (this.socket = new WebSocket(url));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.wait = 500;
      this.set("live");
      if (this.wants.size) this.send({ op: "sub", topics: [...this.wants.keys()] });
    };
    socket.onmessage = (message) => { if (this.socket === socket) this.read(message.data); };
    socket.onclose = (event) => {
      if (this.socket !== socket || this.closed || this.state === "paused" || this.state === "gone") return;
      if (event.code === 4404) { this.set("gone"); return; }
      this.set("reconnecting");
      this.retry = setTimeout(() => this.open(), this.wait * (0.75 + Math.random() / 2));
      this.wait = Math.min(8000, this.wait * 1.8);
    };
  }

  set(state) {
    if (this.state !== state) this.since = performance.now();
    this.state = state;
    this.tell("state", state);
  }

  visibility() {
    clearTimeout(this.hiding);
    if (document.hidden) {
      this.hiding = setTimeout(() => {
        if (this.state === "gone") return;
        this.set("paused");
        clearTimeout(this.retry);
        this.socket?.close();
      }, HIDDEN_MS);
    } else if (this.state === "paused") {
      this.set("connecting");
      this.open();
    } else if (this.state === "reconnecting") {
      clearTimeout(this.retry);
      this.open();
    }
  }

  // ---------------------------------------------------------------- frames

  read(buffer) {
    const length = new DataView(buffer).getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    const at = 4 + length;
    const handler = HANDLERS[head.k];
    if (handler) handler(this, head, buffer, at);
  }
}

const points = (buffer, at, n) => [0, 1, 2, 3].map((c) => new Float64Array(buffer, at + 8 * n * c, n));

const HANDLERS = {
  status(feed, head) {
    feed.status = head;
    feed.trouble = "";
    feed.tell("status", head);
  },
  gone(feed) {
    feed.set("gone");
  },
  trouble(feed, head) {
    feed.trouble = head.text;
    feed.tell("trouble");
  },
  topics(feed, head) {
    feed.topics = head.topics;
    feed.layers = head.layers;
    feed.tell("topics");
  },
  scalars(feed, head, buffer, at) {
    if (head.snap) feed.series.clear();
    feed.cursor = head.cursor;
    for (const { key, n, total } of head.series) {
      let series = feed.series.get(key);
      if (!series) feed.series.set(key, (series = new Series(key)));
      series.append(points(buffer, at, n), total);
      at += 32 * n;
    }
    feed.loaded = true;
    if (head.snap || head.series.length) feed.tell("scalars", head);
  },
  range(feed, head, buffer, at) {
    const series = feed.series.get(head.key);
    if (!series) return;
    const columns = points(buffer, at, head.n);
    const inside = columns[0].length ? columns[0][columns[0].length - 1] : -Infinity;
    series.fine = { axis: head.x, lo: head.lo, hi: head.hi, columns, last: inside, px: head.px };
    series.touch();
    feed.tell("scalars", head);
  },
  tiles(feed, head, buffer, at) {
    keepPicture(feed, { ...head, kind: "tiles", pixels: new Uint8Array(buffer, at) });
  },
  panel(feed, head, buffer, at) {
    const arrays = {};
    for (const { name, shape, dtype } of head.arrays) {
      const Type = TYPES[dtype] ?? Float64Array;
      const n = shape.reduce((a, b) => a * b, 1);
      arrays[name] = { shape, data: new Type(buffer, at, n) };
      at += Math.ceil((n * Type.BYTES_PER_ELEMENT) / 8) * 8;
    }
    keepPicture(feed, { ...head, kind: "panel", arrays });
  },
  steps(feed, head) {
    const known = head.add ? feed.steps.get(head.topic) ?? [] : [];
    const last = known.length ? known[known.length - 1] : -1;
    feed.steps.set(head.topic, known.concat(head.steps.filter((step) => step > last)));
    feed.tell("steps", head.topic);
  },
  event(feed, head) {
    feed.events = head.snap ? head.items : feed.events.concat(head.items).slice(-2000);
    feed.tell("event");
  },
  log(feed, head) {
    const log = feed.log;
    if (head.snap) feed.log = { text: head.text, start: head.offset, more: head.more, loaded: true };
    else if (head.earlier) { log.text = head.text + log.text; log.start = head.offset; log.more = head.more; }
    else {
      log.text += head.text;
      if (log.text.length > LOG_LIMIT) { // let go of the oldest whole lines
        const cut = log.text.indexOf("\n", log.text.length - LOG_LIMIT / 2) + 1;
        log.start += new TextEncoder().encode(log.text.slice(0, cut)).length;
        log.more = true;
        log.text = log.text.slice(cut);
      }
    }
    feed.tell("log");
  },
  page(feed, head) {
    feed.page = head;
    feed.tell("page");
  },
  found(feed, head) {
    const known = head.earlier && feed.found ? feed.found.lines : [];
    feed.found = { ...head, lines: head.lines.concat(known) };
    feed.tell("found");
  },
};

function keepPicture(feed, picture) {
  (picture.at === null ? feed.pictures : feed.past).set(picture.topic, picture);
  feed.tell("picture", picture.topic);
}
