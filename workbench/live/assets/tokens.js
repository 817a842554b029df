// Tokens as people read them, and what stands along the sides of a map over tokens.

/** Blanks are shown; the blank before a word is not. */
function readable(token) {
  const text = String(token);
  if (/^ +$/.test(text)) return "␣".repeat(Math.min(3, text.length));
  return text.replace(/^ /, "").replace(/\r?\n/g, "↵").replace(/\t/g, "⇥").replace("⏵", "▸") || "∅"; // few fonts have the former
}

/**
 * What stands along a side of `side` steps: {labels, n, named}; n steps of it are text, the rest padding.
 * Of patches that each take several steps, the first step stands for all.
 * tokens: of this text, or null; width: tokens of the longest text, padding included.
 */
export function sideOf(side, tokens, width) {
  const more = side - width;
  if (tokens && side === 1 && width > 1) return { labels: ["whole text"], n: 1, named: true };
  if (tokens && tokens.length === width && side > 1 && width % side === 0 && more < 0) { // patches of equal length, by their first step
    return { labels: tokens.filter((_, i) => i % (width / side) === 0).map(readable), n: side, named: true };
  }
  if (!tokens || more < 0) return { labels: Array.from({ length: side }, (_, i) => String(i)), n: side, named: false };
  const before = Array.from({ length: more }, () => "‹class›");
  const labels = [...before, ...tokens.map(readable)];
  return { labels, n: Math.min(side, labels.length), named: true };
}

/** A token in a sentence: in quotes, or as step 3 where steps are no tokens. */
export const quoted = (side, i) => (side.named ? `“${side.labels[i]}”` : `step ${side.labels[i]}`);

/** Names such as encoder.2, 3.10.1, decoder.1.cross in the order in which they are walked through. */
export function inOrder(a, b) {
  const parts = (name) => name.split(".");
  const [x, y] = [parts(a), parts(b)];
  for (let i = 0; i < Math.max(x.length, y.length); i++) {
    if (x[i] === y[i]) continue;
    if (x[i] === undefined || y[i] === undefined) return x[i] === undefined ? -1 : 1;
    const [n, m] = [Number(x[i]), Number(y[i])];
    if (Number.isFinite(n) && Number.isFinite(m)) return n - m;
    return RANK.indexOf(x[i]) - RANK.indexOf(y[i]) || (x[i] < y[i] ? -1 : 1);
  }
  return 0;
}

const RANK = ["encoder", "decoder", "self", "cross"];

/** The name of a text among the probe texts: its label and how it begins. */
export function nameOf(item, i) {
  const words = (item.text || item.tokens.join(" ")).replace(/\s+/g, " ").trim();
  return { label: item.label || `Text ${i + 1}`, words };
}
