// One key's points in the browser: growable columns, and the thinning that loses no extreme.

export const AXES = { step: 0, epoch: 1, time: 2 };
const VALUE = 3;
const LIMIT = 24000; // points kept a key; beyond, the older half is thinned
const RECENT = 8000; // the newest points stay whole
let changes = 0;

export class Series {
  constructor(key) {
    this.key = key;
    this.n = 0;
    this.total = 0; // points the run has; more than n when thinned
    this.columns = [0, 1, 2, 3].map(() => new Float64Array(2048));
    this.fine = null; // the server's exact answer for a range: {axis, lo, hi, px, columns, last step}
    this.version = ++changes; // another number after every change of any series: caches hang on it
  }

  get exact() {
    return this.n >= this.total;
  }

  get last() {
    return this.n ? this.columns[VALUE][this.n - 1] : undefined;
  }

  /** x is an axis name; views of the points held. */
  view(axis) {
    return { x: this.columns[AXES[axis]].subarray(0, this.n), y: this.columns[VALUE].subarray(0, this.n), steps: this.columns[0].subarray(0, this.n) };
  }

  /** Points of steps that were walked again take the place of the old ones. */
  append(block, total) {
    const m = block[0].length;
    if (m && this.n && block[0][0] <= this.columns[0][this.n - 1]) this.n = lowerBound(this.columns[0], block[0][0], this.n);
    this.reserve(this.n + m);
    for (let c = 0; c < 4; c++) this.columns[c].set(block[c], this.n);
    this.n += m;
    this.total = total;
    if (this.n > LIMIT) this.thin();
    this.touch();
  }

  touch() {
    this.version = ++changes;
  }

  reserve(n) {
    if (n <= this.columns[0].length) return;
    const size = Math.max(n, 2 * this.columns[0].length);
    this.columns = this.columns.map((old) => { const grown = new Float64Array(size); grown.set(old.subarray(0, this.n)); return grown; });
  }

  /** Of every eight older points keep first, lowest, highest, last and what is not finite. */
  thin() {
    const old = this.n - RECENT;
    const y = this.columns[VALUE];
    const kept = [];
    for (let start = 0; start < old; start += 8) {
      const end = Math.min(old, start + 8);
      let lo = -1;
      let hi = -1;
      const wanted = new Set([start, end - 1]);
      for (let i = start; i < end; i++) {
        if (!Number.isFinite(y[i])) { wanted.add(i); continue; }
        if (lo < 0 || y[i] < y[lo]) lo = i;
        if (hi < 0 || y[i] > y[hi]) hi = i;
      }
      if (lo >= 0) wanted.add(lo).add(hi);
      kept.push(...[...wanted].sort((a, b) => a - b));
    }
    for (let c = 0; c < 4; c++) {
      const column = this.columns[c];
      for (let i = 0; i < kept.length; i++) column[i] = column[kept[i]];
      column.copyWithin(kept.length, old, this.n);
    }
    this.n = kept.length + RECENT;
  }

  /** What to draw from lo on: the exact answer where there is one, and what came after it. */
  between(axis, lo) {
    const base = this.view(axis);
    const fine = this.fine;
    if (this.exact || !fine || fine.axis !== axis || fine.lo > lo) return base;
    const from = upperBound(this.columns[0], fine.last, this.n); // points that came after the answer
    const join = (a, b) => { const both = new Float64Array(a.length + b.length); both.set(a); both.set(b, a.length); return both; };
    return {
      x: join(fine.columns[AXES[axis]], base.x.subarray(from)),
      y: join(fine.columns[VALUE], base.y.subarray(from)),
      steps: join(fine.columns[0], base.steps.subarray(from)),
    };
  }
}

/** First index with a[i] >= x among the first n. */
export function lowerBound(a, x, n = a.length) {
  let lo = 0;
  let hi = n;
  while (lo < hi) { const mid = (lo + hi) >> 1; if (a[mid] < x) lo = mid + 1; else hi = mid; }
  return lo;
}

/** First index with a[i] > x among the first n. */
export function upperBound(a, x, n = a.length) {
  let lo = 0;
  let hi = n;
  while (lo < hi) { const mid = (lo + hi) >> 1; if (a[mid] <= x) lo = mid + 1; else hi = mid; }
  return lo;
}

/** Index of the point nearest to x; -1 when there is none. */
export function nearest(a, x) {
  if (!a.length) return -1;
  const i = lowerBound(a, x);
  if (i === 0) return 0;
  if (i === a.length) return a.length - 1;
  return x - a[i - 1] <= a[i] - x ? i - 1 : i;
}

/**
 * Exponential moving average, unbiased at the start; a gap of k steps counts as k points, so that
 * thinned points weigh as much as those they stand for. What is not finite is left out.
 */
export function smooth(y, steps, weight) {
  const out = new Float64Array(y.length);
  let mean = 0;
  let mass = 0;
  let previous = NaN;
  let stride = 0;
  for (let i = 1; i < steps.length && !stride; i++) stride = steps[i] - steps[i - 1];
  for (let i = 0; i < y.length; i++) {
    if (Number.isFinite(y[i])) {
      const gap = Number.isNaN(previous) || !stride ? 1 : Math.max(1, (steps[i] - previous) / stride);
      const keep = Math.pow(weight, gap);
      mean = keep * mean + (1 - keep) * y[i];
      mass = keep * mass + (1 - keep);
      previous = steps[i];
    }
    out[i] = mass ? mean / mass : NaN;
  }
  return out;
}
