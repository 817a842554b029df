// Colours and fonts: Streamlit's theme variables on the host, the workbench's meanings on :root.

export function palette(host) {
  const style = getComputedStyle(host);
  const read = (name, fallback) => style.getPropertyValue(name).trim() || fallback;
  const text = read("--st-text-color", "#1b2233");
  const back = read("--st-background-color", "#ffffff");
  return {
    text,
    back,
    panel: read("--st-secondary-background-color", "#f1f3f9"),
    line: read("--st-border-color", "#dfe3ee"),
    accent: read("--st-primary-color", "#4f46e5"),
    train: read("--wb-train", "#2f7ae5"),
    validation: read("--wb-validation", "#e8710a"),
    bad: read("--wb-bad", "#e5484d"),
    good: read("--wb-good", "#1a9c5b"),
    muted: read("--wb-muted", "#8089a0"),
    paused: read("--wb-state-paused", "#b87d02"),
    running: read("--wb-state-running", "#2f7ae5"),
    extra: [read("--wb-state-starting", "#8b5cf6"), "#0891b2", read("--wb-good", "#1a9c5b"), read("--wb-warn", "#c98a04")],
    font: style.fontFamily || "sans-serif",
    dark: luminance(back) < 0.3,
  };
}

/** Rough brightness of a CSS colour as computed by the browser, 0 to 1. */
function luminance(colour) {
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = colour;
  probe.fillRect(0, 0, 1, 1);
  const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
  return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
}

export const ramp = (stops) => {
  const table = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (stops.length - 1);
    const a = Math.min(stops.length - 2, Math.floor(place));
    const part = place - a;
    const [r, g, b] = [0, 1, 2].map((c) => Math.round(stops[a][c] + (stops[a + 1][c] - stops[a][c]) * part));
    table[i] = ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  }
  return table;
};

/** 256 little-endian RGBA words each: values without a sign, and values around zero. */
export const VIRIDIS = ramp([[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121], [109, 205, 89], [180, 222, 44], [253, 231, 37]]);
export const DIVERGING = ramp([[33, 76, 158], [74, 133, 202], [150, 190, 226], [247, 248, 250], [240, 165, 140], [211, 87, 76], [158, 18, 48]]);
export const GREY = ramp([[0, 0, 0], [255, 255, 255]]);

/** A ramp as CSS gradient stops, for the colour bar. */
export const gradient = (table) =>
  [0, 32, 64, 96, 128, 160, 192, 224, 255].map((i) => `rgb(${table[i] & 255} ${(table[i] >> 8) & 255} ${(table[i] >> 16) & 255})`).join(",");
