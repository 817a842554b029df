// Elements and words: building DOM without ever parsing text as HTML, and numbers as people read them.

/** el("button", {class: "x", onclick: f, "aria-label": "…"}, child, …): text goes in as text nodes. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") node.style.cssText = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Set text only where it changed: no layout for a tick that changes nothing. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

/** A row of exclusive choices as buttons; `choose(value)` marks one, onpick hears of clicks. */
export function choices(label, options, onpick) {
  const box = el("div", { class: "wbl-choices", role: "group", "aria-label": label });
  const buttons = new Map();
  const api = {
    node: box,
    set(list) {
      const same = list.length === buttons.size && list.every(([value, text]) => buttons.get(value)?.textContent === text);
      if (same) return;
      box.replaceChildren();
      buttons.clear();
      for (const [value, text, title] of list) {
        const button = el("button", { type: "button", title, "aria-pressed": "false", "data-value": value, onclick: () => onpick(value) }, text);
        buttons.set(value, button);
        box.append(button);
      }
    },
    choose(value) {
      for (const [key, button] of buttons) button.setAttribute("aria-pressed", String(key === value));
    },
  };
  api.set(options);
  return api;
}

/** A switch with its label; returns {node, input}. */
export function toggle(text, checked, onchange, title) {
  const input = el("input", { type: "checkbox", onchange: () => onchange(input.checked) });
  input.checked = checked;
  return { node: el("label", { class: "wbl-toggle", title }, input, el("i", { "aria-hidden": "true" }), el("span", {}, text)), input };
}

/** Numbers that JSON could not carry come as texts. */
export const real = (value) => (typeof value === "string" ? Number(value) : value);

/** Four significant digits, no exponent where it can be helped. */
export function short(value, digits = 4) {
  value = real(value);
  if (value === null || value === undefined) return "–";
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return minus(value.toExponential(Math.max(0, digits - 2)).replace("e+", "e"));
  if (size >= 1000) return minus(group(Math.round(value)));
  return minus(String(Number(value.toPrecision(digits))));
}

const minus = (text) => text.replace(/-/g, "−");
export const group = (n) => Math.round(n).toLocaleString("en-US");
export const percent = (share, digits = 1) => (Number.isFinite(share) ? `${(100 * share).toFixed(digits)} %` : "–");

/** 95 → "1 min 35 s". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** Axis time: 0:35, 12:05, 2:10:00. */
export function clock(seconds) {
  const s = Math.round(Math.abs(seconds));
  const two = (n) => String(n).padStart(2, "0");
  const text = s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(Math.floor((s % 3600) / 60))}:${two(s % 60)}`;
  return seconds < 0 ? `−${text}` : text;
}

/** At most one call per animation frame. */
export function perFrame(draw) {
  let asked = 0;
  return () => {
    if (!asked) asked = requestAnimationFrame(() => { asked = 0; draw(); });
  };
}

/** A canvas whose pixels are device pixels; `fit` answers whether its size changed. */
export function canvasOf(className, label) {
  const canvas = el("canvas", { class: className, role: "img", "aria-label": label });
  return {
    canvas,
    ctx: canvas.getContext("2d"),
    fit(width, height) {
      const ratio = window.devicePixelRatio || 1;
      const w = Math.max(1, Math.round(width * ratio));
      const h = Math.max(1, Math.round(height * ratio));
      if (canvas.width === w && canvas.height === h) return false;
      canvas.width = w;
      canvas.height = h;
      canvas.style.width = `${w / ratio}px`;
      canvas.style.height = `${h / ratio}px`;
      return true;
    },
  };
}

/** Every pixel of an ImageData as a square of `zoom` device pixels, from the paper's corner. */
export function magnified(paper, image, zoom) {
  const small = document.createElement("canvas");
  small.width = image.width;
  small.height = image.height;
  small.getContext("2d").putImageData(image, 0, 0);
  paper.ctx.imageSmoothingEnabled = false;
  paper.ctx.drawImage(small, 0, 0, image.width * zoom, image.height * zoom);
}
