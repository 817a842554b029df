// The probe texts or images as a row of buttons: which of them is looked at. The choice is in the URL and shared by tabs.

import { canvasOf, el, show } from "./dom.js";
import { drawPixels } from "./tiles.js";
import { nameOf } from "./tokens.js";
import { recall, remember } from "./address.js";

export class Probes {
  constructor(onpick) {
    this.onpick = onpick;
    this.node = el("div", { class: "wbl-probes", role: "group", "aria-label": "Probe text" });
    this.chosen = Math.max(0, Number.parseInt(recall("text", "1"), 10) - 1 || 0);
  }

  /** {tokens, target_tokens, label, text} of the chosen text; null where steps are no tokens. */
  get item() {
    return this.panel?.data.items?.[this.chosen] ?? null;
  }

  /** Tokens of the longest text as the model sees it; null while unknown. */
  get width() {
    const { items, width } = this.panel?.data ?? {};
    if (!items) return null;
    return width ?? Math.max(...items.map((item) => Math.max(item.tokens.length, item.target_tokens?.length ?? 0)));
  }

  draw(panel) {
    this.chosen = Math.max(0, Number.parseInt(recall("text", "1"), 10) - 1 || 0);
    const count = panel?.data.items?.length ?? panel?.data.labels?.length ?? 0;
    if (count && this.chosen >= count) this.chosen = 0;
    if (panel && panel !== this.panel) {
      this.panel = panel;
      this.node.replaceChildren(...Array.from({ length: count }, (_, i) => this.button(panel, i)));
    }
    show(this.node, count > 1);
    for (const [i, button] of [...this.node.children].entries()) button.setAttribute("aria-pressed", String(i === this.chosen));
  }

  button(panel, i) {
    const item = panel.data.items?.[i];
    const { label, words } = item ? nameOf(item, i) : { label: String(panel.data.labels?.[i] ?? i + 1), words: "" };
    const images = panel.arrays?.images;
    const paper = images ? canvasOf("wbl-thumb", "") : null;
    if (paper) drawPixels(paper, images, i, 36);
    return el("button", { type: "button", class: paper && "wbl-pictured", title: words || label, "aria-label": `Probe ${item?.whole_name ? "" : `${paper ? "image" : "text"} ${i + 1}: `}${label}`, onclick: () => {
      remember({ text: i ? i + 1 : null });
      this.chosen = i;
      this.onpick();
    } }, paper?.canvas, el("b", {}, label), words ? el("span", {}, words) : null);
  }
}
