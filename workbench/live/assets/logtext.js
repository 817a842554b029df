// A log's text as a person reads it: what a terminal would show, errors marked, a traceback folded behind its
// last line, which is the one that matters.

import { el } from "./dom.js";

const HEAD = /Traceback \(most recent call last\)/;
const CHAIN = /^(During handling of the above exception|The above exception was the direct cause)/;
const ERROR = /\b(error|critical|fatal|exception)\b|\w(Error|Exception)\b/i;

/** No colour codes, and of a rewritten line its last state. Keeps the number of lines. */
const clean = (text) => text.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, "").replace(/\r\n/g, "\n").replace(/[^\n]*\r(?=[^\n])/g, "");

/** The lines of a text without the empty one behind its last line end. */
export function linesOf(text) {
  const lines = clean(text).split("\n");
  if (lines[lines.length - 1] === "") lines.pop();
  return lines;
}

/** [{kind: "plain" | "error" | "trace", from, lines}]; a trace ends with the line that names the error. */
export function partsOf(lines) {
  const parts = [];
  for (let i = 0; i < lines.length;) {
    if (HEAD.test(lines[i])) {
      const end = traceEnd(lines, i);
      parts.push({ kind: "trace", from: i, lines: lines.slice(i, end) });
      i = end;
      continue;
    }
    const kind = ERROR.test(lines[i]) ? "error" : "plain";
    const last = parts[parts.length - 1];
    if (last?.kind === kind) last.lines.push(lines[i]);
    else parts.push({ kind, from: i, lines: [lines[i]] });
    i += 1;
  }
  return parts;
}

/** The index after the traceback that begins at `i`, with those that led to it. */
function traceEnd(lines, i) {
  let at = i + 1;
  while (at < lines.length && (/^\s/.test(lines[at]) || lines[at] === "")) at += 1;
  at = Math.min(lines.length, at + 1); // "ValueError: ..."
  let next = at;
  while (next < lines.length && lines[next] === "") next += 1;
  if (next < lines.length && CHAIN.test(lines[next])) {
    let head = next + 1;
    while (head < lines.length && lines[head] === "") head += 1;
    if (head < lines.length && HEAD.test(lines[head])) return traceEnd(lines, head);
  }
  return at;
}

/** Nodes for parts. opened: texts of the folds that stand open, kept by the caller; word: to be marked. */
export function nodesOf(parts, opened, word = "") {
  return parts.map((part) => {
    if (part.kind === "plain") return el("span", {}, ...marked(`${part.lines.join("\n")}\n`, word));
    if (part.kind === "error") return el("span", { class: "wbl-bad-line" }, ...marked(`${part.lines.join("\n")}\n`, word));
    const last = part.lines[part.lines.length - 1];
    const name = `${last}|${part.lines.length}`;
    const fold = el("details", { class: "wbl-trace", open: opened.has(name), ontoggle: () => { if (fold.open) opened.add(name); else opened.delete(name); } },
      el("summary", {}, el("b", {}, ...marked(last, word)), el("small", {}, `traceback, ${part.lines.length} lines`)),
      el("span", {}, ...marked(`${part.lines.join("\n")}\n`, word)));
    return fold;
  });
}

/** Text with the word marked, as nodes; letters match whatever their case. */
export function marked(text, word) {
  if (!word) return [text];
  const nodes = [];
  const low = text.toLowerCase();
  const wanted = word.toLowerCase();
  let at = 0;
  for (let hit = low.indexOf(wanted); hit >= 0; hit = low.indexOf(wanted, at)) {
    nodes.push(text.slice(at, hit), el("mark", {}, text.slice(hit, hit + word.length)));
    at = hit + word.length;
  }
  nodes.push(text.slice(at));
  return nodes;
}
