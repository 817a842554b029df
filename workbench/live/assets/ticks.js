// Where an axis is marked, and what the marks say.

import { group, percent } from "./dom.js";

export function niceTicks(lo, hi, count) {
  const rough = (hi - lo) / Math.max(1, count);
  if (!(rough > 0)) return [];
  const power = Math.pow(10, Math.floor(Math.log10(rough)));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
  const ticks = [];
  for (let i = Math.ceil(lo / step - 1e-9); i * step <= hi + 1e-9 * step; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

/** lo and hi are powers of ten: 1, 2 and 5 of each decade while few, else whole decades. */
export function logTicks(lo, hi) {
  const decades = hi - lo;
  const per = decades < 0.7 ? [1, 1.5, 2, 3, 4, 5, 6, 8] : decades < 2.5 ? [1, 2, 5] : [1];
  const every = Math.max(1, Math.ceil(decades / 6));
  const ticks = [];
  for (let d = Math.floor(lo); d <= Math.ceil(hi); d += every) for (const m of per) {
    const y = m * Math.pow(10, d);
    if (Math.log10(y) >= lo && Math.log10(y) <= hi) ticks.push(y);
  }
  return ticks.length > 1 || decades > 0.7 ? ticks : niceTicks(Math.pow(10, lo), Math.pow(10, hi), 4);
}

export function timeTicks(lo, hi, count) {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800];
  const step = steps.find((s) => (hi - lo) / s <= count) ?? steps[steps.length - 1];
  const ticks = [];
  for (let t = Math.ceil(lo / step) * step; t <= hi; t += step) ticks.push(t);
  return ticks;
}

export function tickText(y, ticks) {
  const step = ticks.length > 1 ? Math.abs(ticks[1] - ticks[0]) : Math.abs(y) || 1;
  const size = Math.max(Math.abs(ticks[0] ?? y), Math.abs(ticks[ticks.length - 1] ?? y));
  const digits = (unit) => Math.max(0, Math.min(6, -Math.floor(Math.log10(step / unit) + 1e-9)));
  if (y === 0) return "0";
  if (size >= 1e6 || size < 1e-4 || step < 0.9e-6) { // one exponent for all: 1.000e-5, 0.998e-5
    const exponent = Math.floor(Math.log10(size) + 1e-9);
    const unit = Math.pow(10, exponent);
    return `${(y / unit).toFixed(digits(unit))}e${exponent}`.replace(/-/g, "−");
  }
  return (size >= 1000 && !digits(1) ? group(y) : y.toFixed(digits(1))).replace("-", "−");
}

export const percentTick = (y, ticks) => percent(y, ticks.length > 1 && Math.abs(ticks[1] - ticks[0]) < 0.0099 ? 1 : 0);
