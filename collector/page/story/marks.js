/**
 * What a lane has, as paths: however many records there are, a level has one path, and a pixel one
 * mark.
 */

import { LEVELS, levelOf } from "../levels.js";
import { at, failing } from "./account.js";

const NAMES = ["unknown", ...LEVELS.map(({ name }) => name).reverse()]; // the worst is drawn last
// The shapes are those that the levels have in lists.
const SHAPES = {
  warning: (x, y) => `M${x} ${y - 5}l5.5 10h-11z`,
  error: (x, y) => `M${x - 4.5} ${y - 4.5}h9v9h-9z`,
  critical: (x, y) => `M${x} ${y - 7}l7 7l-7 7l-7 -7z`,
};
const MOST = 16; // pixels that a line has for many records

/** The paths of the records' marks: { name, d }, where the name is of a level. */
export function marks(entries, { x, from, to }, y) {
  const counts = new Map(NAMES.map((name) => [name, new Map()]));
  for (const entry of entries) {
    const time = at(entry);
    if (!(time >= from && time <= to)) continue;
    const places = counts.get(levelOf(entry).name);
    const place = Math.round(x(time));
    places.set(place, (places.get(place) ?? 0) + 1);
  }
  return NAMES.filter((name) => counts.get(name).size).map((name) => ({
    name, d: [...counts.get(name)].map(([place, count]) => (SHAPES[name] ?? line)(place, y, count)).join("") }));
}

function line(x, y, count) {
  const height = Math.min(MOST, 6 + 2 * Math.log2(count));
  return `M${x} ${y - height / 2}v${height}`;
}

/** The paths of what took a while, each a bar that ends at its record: { failed, d }. */
export function bars(entries, { x, from, to, width }, y, height) {
  const found = { false: new Set(), true: new Set() };
  for (const entry of entries) {
    const end = at(entry);
    if (!(entry.duration_ms > 0) || !(end >= from) || !(end - entry.duration_ms <= to)) continue;
    const [left, right] = [Math.max(0, x(end - entry.duration_ms)), Math.min(width, x(end))].map(Math.round);
    if (right - left >= 2) found[failing(entry)].add(bar(left, right, y, height));
  }
  return [false, true].filter((failed) => found[failed].size)
    .map((failed) => ({ failed, d: [...found[failed]].join("") }));
}

export function bar(left, right, y, height) {
  return `M${left} ${y - height / 2}h${Math.max(2, right - left)}v${height}h${-Math.max(2, right - left)}z`;
}

const NEAR = 7; // pixels

/** The record of a lane that is meant at *x* pixels, { entry, count }, or null: the worst nearby. */
export function nearest(entries, place, { x }) {
  let found = null;
  let count = 0;
  let best = NEAR + 1;
  for (const entry of entries) {
    const away = Math.abs(x(at(entry)) - place);
    if (!(away <= NEAR)) continue;
    count += 1;
    const worse = found && entry.severity_number > found.severity_number;
    if (!found || worse || (entry.severity_number === found.severity_number && away < best)) [found, best] = [entry, away];
  }
  if (found) return { entry: found, count };
  const over = entries.filter((entry) => (
    entry.duration_ms > 0 && x(at(entry)) >= place && x(at(entry) - entry.duration_ms) <= place));
  return over.length ? { entry: over.at(-1), count: over.length } : null;
}
