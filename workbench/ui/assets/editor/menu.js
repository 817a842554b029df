// The menu of kinds: found by name or by what they do.

Object.assign(Editor.prototype, {
  buildMenu() {
    this.search = make("input", { type: "search", placeholder: "Find a layer", "aria-label": "Find a layer", autocomplete: "off" });
    this.choices = make("div", { class: "choices", role: "listbox" });
    this.search.addEventListener("input", () => this.fill());
    const menu = make("div", { class: "menu", popover: "auto" }, this.search, this.choices);
    menu.addEventListener("keydown", (e) => {
      const items = [...this.choices.querySelectorAll("button")];
      const now = items.findIndex((i) => i.classList.contains("now"));
      const show = (i) => { items.forEach((b) => b.classList.remove("now")); items[i]?.classList.add("now"); items[i]?.scrollIntoView({ block: "nearest" }); };
      if (e.key === "ArrowDown") { e.preventDefault(); show(Math.min(items.length - 1, now + 1)); }
      if (e.key === "ArrowUp") { e.preventDefault(); show(Math.max(0, now - 1)); }
      if (e.key === "Enter") { e.preventDefault(); items[Math.max(0, now)]?.click(); }
    });
    return menu;
  },

  /** goal: {uid} to exchange that layer, {list, index, depth} to add one there. */
  open(anchor, goal) {
    this.goal = goal;
    this.search.value = "";
    this.fill();
    this.menu.showPopover();
    const a = anchor.getBoundingClientRect(), m = this.menu.getBoundingClientRect();
    const below = a.bottom + 4 + m.height < innerHeight;
    this.menu.style.left = `${Math.max(8, Math.min(a.left, innerWidth - m.width - 8))}px`;
    this.menu.style.top = `${below ? a.bottom + 4 : Math.max(8, a.top - m.height - 4)}px`;
    this.search.focus();
  },

  fill() {
    const { groups, kinds } = this.data.menu;
    const wanted = this.search.value.trim().toLowerCase();
    const parts = [];
    for (const group of groups) {
      const found = Object.entries(kinds).filter(([kind, k]) => k.group === group.name &&
        (!wanted || `${kind} ${kind.replaceAll("_", " ")} ${k.help} ${group.title}`.toLowerCase().includes(wanted)));
      if (!found.length) continue;
      parts.push(make("div", { class: "group" }, make("i", { class: "dot", style: `--c: var(--wb-group-${group.name}, #8089a0)` }), make("span", { text: group.title })));
      for (const [kind, k] of found)
        parts.push(make("button", { role: "option", "data-kind": kind, onclick: () => this.pick(kind) }, make("b", { text: kind }), make("span", { text: k.help })));
    }
    this.choices.replaceChildren(...(parts.length ? parts : [make("div", { class: "none", text: "No layer of that name" })]));
    // Whoever types a name means the kind that begins with it, in whatever group it stands.
    const items = [...this.choices.querySelectorAll("button")];
    const best = items.find((item) => wanted && item.dataset.kind === wanted) ?? items.find((item) => wanted && item.dataset.kind.startsWith(wanted)) ?? items[0];
    best?.classList.add("now");
    best?.scrollIntoView({ block: "nearest" });
  },

  pick(kind) {
    this.menu.hidePopover();
    if (this.goal.uid !== undefined) this.swap(this.goal.uid, kind);
    else this.add(kind, this.goal.list, this.goal.index, this.goal.depth);
  },
});

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const host = parentElement.querySelector(".wb-editor");
  if (!host.editor) {
    host.editor = new Editor(host, data);
    host.show = unlessPressed(host, (newest) => host.editor.update(newest));
  }
  host.editor.send = (value) => setStateValue("edit", value);
  host.show(data);
}
