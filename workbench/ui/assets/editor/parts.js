// Small pieces of the layer editor. Its files are joined in the order that editor.py names; none imports another.
// Texts are always set through textContent: names and messages are never markup.

function make(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "text") node.textContent = value;
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children);
  return node;
}

// Drawn here, so that no font must bring the signs. Each is a path on a 16 by 16 field.
const ICONS = {
  up: "M8 13V3M4 7l4-4 4 4", down: "M8 3v10M4 9l4 4 4-4", plus: "M8 3v10M3 8h10", cross: "M4 4l8 8M12 4l-8 8",
  copy: "M6 6h7v7H6zM10 6V3H3v7h3", undo: "M6 3L3 6l3 3M3 6h6a4 4 0 0 1 0 8H6", redo: "M10 3l3 3-3 3M13 6H7a4 4 0 0 0 0 8h3",
  grip: "M6 3v.01M10 3v.01M6 8v.01M10 8v.01M6 13v.01M10 13v.01", fold: "M5 3l5 5-5 5", out: "M3 3h6v4M13 13H7V9M9 7h4v6M3 3v6h4",
};
function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

const number = (n) => Number(n).toLocaleString("en-US");
function compact(n) {
  for (const [size, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (n >= size) return `${(n / size).toPrecision(3)} ${unit}`;
  return String(n);
}
const bytes = (n) => (n ? `${compact(n).replace(/\d$/, "$& ")}B` : "0");

// `kernel_size must be …` keeps its small letter: it is a name.
const sentence = (text) => (/^\w*_/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1));

function words(shape) {
  const n = shape.split("×");
  if (shape.includes("tokens")) return `Up to ${shape.replace(" of ", ", each one of ")} in the vocabulary`;
  if (n.length === 2) return `${n[0]} steps of ${n[1]} features`;
  return n.length === 3 ? `${n[0]} channel${n[0] === "1" ? "" : "s"} of ${n[1]} × ${n[2]} pixels` : `${shape} numbers`;
}
