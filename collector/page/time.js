/** Times: the range that is looked at, and how times and spans are written. */

const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

export const FIRST_SPAN = "1h";
export const EVER = "all";
export const SPANS = [
  ["5m", "5 minutes"], ["15m", "15 minutes"], ["1h", "1 hour"], ["6h", "6 hours"],
  ["24h", "24 hours"], ["3d", "3 days"], ["7d", "7 days"], ["30d", "30 days"],
];

/** Milliseconds of a span such as "15m" or "1.5h"; NaN where it is none. */
export function milliseconds(span) {
  const [, number, unit] = /^(\d+(?:\.\d+)?)([smhdw])$/.exec(span ?? "") ?? [];
  return unit ? Number(number) * UNITS[unit] : NaN;
}

/** The range of an address: { last } or { start, end } in ISO 8601, or { last: "all" }. */
export function rangeOf({ last, start, end }) {
  if (start || end) return { start, end };
  return { last: last ?? FIRST_SPAN };
}

/** The range as parameters of the API. */
export function asked({ last, start, end }) {
  if (start || end) return { start_time: start, end_time: end };
  return last === EVER ? {} : { last };
}

/** The range in words. */
export function told(range, utc) {
  if (range.last === EVER) return "All time";
  if (range.last) return `Last ${SPANS.find(([span]) => span === range.last)?.[1] ?? range.last}`;
  const start = range.start && moment(range.start, { utc, seconds: true });
  const end = range.end && moment(range.end, { utc, seconds: true });
  if (!end) return `Since ${start}`;
  if (!start) return `Until ${end}`;
  const [day, from] = start.split(" ");
  return end.startsWith(day) ? `${day} ${from} – ${end.slice(day.length + 1)}` : `${start} – ${end}`;
}

const two = (number) => String(number).padStart(2, "0");

/** "2026-11-28 05:55:38.108", in the browser's zone or in UTC. */
export function moment(time, { utc = false, seconds = false } = {}) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return String(time);
  const local = utc ? date : new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
  const text = local.toISOString().replace("T", " ").replace("Z", "");
  return seconds ? text.slice(0, -4) : text;
}

/** "05:55:38.108" on the day of *today*, "11-28 05:55:38.108" on another. */
export function clock(time, { utc = false } = {}, today = Date.now()) {
  const text = moment(time, { utc });
  const day = text.length === 23 && text.slice(0, 10) === moment(today, { utc }).slice(0, 10);
  return day ? text.slice(11) : text.slice(text.length === 23 ? 5 : 0);
}

/** A span as people say it: "820 ms", "4.2 s", "3 min 20 s", "2 h 5 min". */
export function duration(ms) {
  if (ms < 1_000) return `${ms < 10 ? Number(ms.toFixed(1)) : Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 2_880) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1_440)} d ${Math.floor((minutes % 1_440) / 60)} h`;
}

/** What a person typed as a time, as ISO 8601; null where it is none. It is local, or UTC. */
export function typed(text, utc) {
  const clean = text.trim().replace(" ", "T");
  if (!clean) return null;
  const zoned = /(?:Z|[+-]\d\d:?\d\d)$/.test(clean);
  const whole = /^\d{4}-\d\d-\d\d$/.test(clean) ? `${clean}T00:00:00` : clean;
  const date = new Date(!zoned && utc ? `${whole}Z` : whole);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}

/** A number with thin groups of three. */
export const counted = new Intl.NumberFormat("en-US").format;
