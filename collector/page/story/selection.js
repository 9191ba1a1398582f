/** What of a story is seen: which time, which records, and what finds them elsewhere. */

import { html } from "../html.js";
import { LEVELS } from "../levels.js";
import { both, condition } from "../search.js";
import { duration } from "../time.js";
import { at, leastGap } from "./account.js";
import { PARENTS } from "./lanes.js";
import { elapsed } from "./scale.js";

const SPREAD = 1 / 3; // of a whole that what took a while may begin before the first record

/** From when to when the timeline goes; what took a while may have begun before the first record. */
export function looked({ start, end }, entries, zoom) {
  if (!Number.isFinite(start)) return { from: 0, to: 1 };
  if (zoom) return { from: start + zoom.from, to: start + zoom.to };
  const begun = entries.map((entry) => at(entry) - Math.max(0, entry.duration_ms ?? 0))
    .filter((time) => time >= start - (end - start) * SPREAD);
  return { from: begun.reduce((least, time) => Math.min(least, time), start), to: Math.max(end, start + 1) };
}

/** The records of *entries* that the list has. */
export function seen(entries, { level, zoom }, { start }) {
  const least = LEVELS.find(({ name }) => name === level)?.least ?? 0;
  return entries.filter((entry) => {
    if (entry.severity_number < least) return false;
    if (!zoom) return true;
    const since = at(entry) - start;
    return since >= zoom.from && since <= zoom.to;
  });
}

/** The fields that say nothing new in any record: the summary has their one value. */
export function same(entries, kind) {
  const names = ["operation_type", "provider_id", "submission_id", "artifact_id", "request_id", "job_id", "user_id"];
  const shown = PARENTS.map((name) => `extra.${name}`); // by the lanes
  return [`${kind}_id`, ...shown, ...names.filter((name) => (
    new Set(entries.map((entry) => entry[name]).filter((value) => value != null)).size <= 1))];
}

/** The search of the explorer that finds what the list has. */
export function filtered(search, level, lane) {
  const conditions = (lane?.fields ?? []).map(([name, value]) => condition(name, value));
  if (level) conditions.push(`level>=${level}`);
  return both(search, ...conditions);
}

/** The time of a story, for the explorer; one that may go on has no end. */
export function span({ start, end, outcome }) {
  if (!Number.isFinite(start)) return { last: "all" };
  const open = outcome.name === "going";
  return { start: new Date(start).toISOString(), end: open ? null : new Date(Math.floor(end) + 1).toISOString() };
}

/** The columns of the list that are no fields: the time since the start, and since the row before. */
export function timesOf({ start, end }) {
  const least = leastGap(end - start);
  return {
    elapsed: (entry) => elapsed(at(entry) - start),
    since: (entry, before) => {
      const ms = before ? at(entry) - at(before) : NaN;
      if (!Number.isFinite(ms)) return "";
      if (ms >= least) return html`<b class="silence" title="Nothing was logged in this time">${duration(ms)}</b>`;
      return ms < 0.05 ? "0" : duration(ms);
    },
  };
}
