// The model as a tree: layers with a uid each, groups with lists of layers; a translator has a second stack,
// its decoder. No drawing here.

let uids = 0;

class Tree {
  constructor(menu) {
    this.menu = menu;
    this.layers = [];
    this.decoder = [];
    this.tied = false; // tie_embeddings
  }

  /** All of it as plain data, on its way to Python and into the history; and back. */
  whole() { return { layers: this.plain(), decoder: this.plain(this.decoder), tie_embeddings: this.tied }; }
  take(model) {
    this.layers = this.grown(model.layers);
    this.decoder = this.grown(model.decoder);
    this.tied = model.tie_embeddings;
  }
  /** The same with the uids kept, so that rows stay what they are after an undo. */
  snapshot() { return JSON.stringify({ layers: this.layers, decoder: this.decoder, tied: this.tied }); }
  restore(text) { Object.assign(this, JSON.parse(text)); }

  /** The lists of a group: {name, at: path within the layer, list}. */
  lists(layer) {
    const found = [];
    for (const name of Object.keys(this.menu.kinds[layer.kind]?.slots ?? {})) {
      if (name === "branches") layer.branches.forEach((list, i) => found.push({ name, at: [name, i], list }));
      else found.push({ name, at: [name], list: layer[name] });
    }
    return found;
  }
  isGroup(layer) { return Boolean(this.menu.kinds[layer.kind]?.slots); }

  /** Plain data with uids, on the way in. */
  grown(layers) {
    return layers.map((layer) => {
      const copy = { ...layer, uid: ++uids };
      for (const { name } of this.lists(layer))
        copy[name] = name === "branches" ? layer.branches.map((list) => this.grown(list)) : this.grown(layer[name]);
      return copy;
    });
  }
  /** And without them, on the way out. */
  plain(layers = this.layers) {
    return layers.map(({ uid, ...layer }) => {
      for (const { name } of this.lists(layer))
        layer[name] = name === "branches" ? layer.branches.map((list) => this.plain(list)) : this.plain(layer[name]);
      return layer;
    });
  }

  /** Every layer in reading order, as the report's rows have them: {layer, list, index, depth, path, parent}. */
  all() { return [...this.order(), ...this.order(this.decoder, 0, ["decoder"])]; }
  order(layers = this.layers, depth = 0, path = [], parent = null) {
    const found = [];
    layers.forEach((layer, index) => {
      const place = { layer, list: layers, index, depth, path: [...path, index], parent };
      found.push(place);
      for (const { at, list } of this.lists(layer)) found.push(...this.order(list, depth + 1, [...place.path, ...at], place));
    });
    return found;
  }

  /** Levels of groups below and including the layer. */
  depth(layer) {
    if (!this.isGroup(layer)) return 0;
    return 1 + Math.max(0, ...this.lists(layer).flatMap(({ list }) => list.map((inner) => this.depth(inner))));
  }
  count(layers) { return this.order(layers).length; }

  /** A new layer of that kind; fields that the old one has too keep their values. */
  fresh(kind, old = {}) {
    const layer = { uid: ++uids, kind };
    const about = this.menu.kinds[kind];
    for (const field of about.fields) layer[field.name] = field.name in old ? old[field.name] : field.default;
    for (const [name, start] of Object.entries(about.slots ?? {})) {
      const given = old[name] ?? (name === "branches" && old.layers ? [old.layers, []] : name === "layers" && old.branches ? old.branches.flat() : start);
      layer[name] = name === "branches" ? given.map((list) => this.grown(list)) : this.grown(given);
    }
    return layer;
  }

  /** The list that a path ends in, and the place in it. */
  at(path) {
    const [list, ...rest] = path[0] === "decoder" ? [this.decoder, ...path.slice(1)] : [this.layers, ...path];
    path = rest;
    let node = list;
    for (const part of path.slice(0, -1)) node = node[part];
    return { list: node, index: path.at(-1) };
  }

  /** Python's repairs: insert, set, remove, move; a path to nowhere is the model itself. */
  apply(edits) {
    for (const edit of edits) {
      if (!edit.path.length) { this.tied = edit.fields?.tie_embeddings ?? this.tied; continue; }
      const { list, index } = this.at(edit.path);
      if (edit.action === "insert") list.splice(index, 0, Array.isArray(edit.layer) ? edit.layer : this.fresh(edit.layer.kind, edit.layer));
      else if (edit.action === "remove") list.splice(index, 1);
      else if (edit.action === "set") Object.assign(list[index], edit.fields);
      else list.splice(edit.to, 0, ...list.splice(index, 1));
    }
  }
}
