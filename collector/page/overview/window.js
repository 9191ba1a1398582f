/** The time that an overview is of, and the same length before it: fixed, so that all counts agree. */

import { useMemo } from "preact/hooks";
import { milliseconds } from "../time.js";

export const FIRST = { last: "24h" };
const DAY = 86_400_000;

/** The range of an address; the overview has the last day unless it says otherwise, and always an end. */
export function overviewRange({ last, start, end }) {
  if (start || end) return { start, end };
  return Number.isNaN(milliseconds(last)) ? FIRST : { last };
}

/**
 * The *range* by now, as parameters of the API: { now, before, dayBefore }.
 *
 * `before` is as long and ends where `now` begins; `dayBefore` are the 24 hours up to there.
 * Another `run` moves them on.
 */
export function useWindow(range, run) {
  return useMemo(() => windowOf(range, Date.now()), [JSON.stringify(range), run]);
}

export function windowOf({ last, start, end }, now) {
  const to = end ? Date.parse(end) : now;
  const from = start ? Date.parse(start) : to - (last ? milliseconds(last) : DAY);
  const until = iso(from - 1).replace("Z", "999Z"); // the microsecond before
  return {
    now: { start_time: iso(from), end_time: iso(to) },
    before: { start_time: iso(from - (to - from)), end_time: until },
    dayBefore: { start_time: iso(from - DAY), end_time: until },
  };
}

const iso = (time) => new Date(time).toISOString();
