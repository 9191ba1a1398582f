/** What the explorer shows, read from the address. */

import { rangeOf } from "../time.js";

export const FIRST_COLUMNS = [
  { name: "timestamp" }, { name: "level" }, { name: "service" }, { name: "msg" },
];
const WIDTHS = { timestamp: 118, elapsed: 92, since: 84, level: 30, service: 150, id: 90, trace_id: 250, request_id: 250, error: 300 };
const OTHER_WIDTH = 150;
const NARROW = 600; // pixels of a window in which columns have less
export const NARROWEST = 28; // pixels

/** The state of the explorer, from the parameters of the address. */
export function stateOf(params) {
  return {
    q: params.q ?? "",
    range: rangeOf(params),
    columns: params.cols ? columnsOf(params.cols) : FIRST_COLUMNS,
    wrap: params.wrap === "1",
    density: params.density === "roomy" ? "roomy" : "dense",
    open: new Set((params.open ?? "").split(",").filter(Boolean).map(Number)),
    around: params.around ? Number(params.around) : null,
    scope: params.scope ?? "instance",
    live: params.live === "1",
    facets: params.facets === undefined ? innerWidth > 760 : params.facets === "1",
    utc: params.tz === "utc",
  };
}

/**
 * Columns as the address has them: names with commas between, each with its width if it has one.
 * Those that are there at *first* need no word.
 */
export function columnsText(columns, first = FIRST_COLUMNS) {
  const text = columns.map(({ name, width }) => (
    width ? `${encodeURIComponent(name)}~${Math.round(width)}` : encodeURIComponent(name))).join(",");
  return text === first.map(({ name }) => name).join(",") ? null : text;
}

export function columnsOf(text) {
  return text.split(",").filter(Boolean).map((each) => {
    const [name, width] = each.split("~");
    return Number(width) >= NARROWEST
      ? { name: decodeURIComponent(name), width: Number(width) }
      : { name: decodeURIComponent(name) };
  });
}

/** The width of a column in pixels; null for the message, which has what is left. */
export function widthOf({ name, width }, range) {
  if (width) return width;
  if (name === "msg") return null;
  const days = name === "timestamp" && !(/^\d+[smh]$/.test(range.last ?? "") && range.last !== "24h");
  const usual = (WIDTHS[name] ?? OTHER_WIDTH) + (days ? 42 : 0);
  return innerWidth < NARROW && usual > WIDTHS.timestamp ? usual * 0.68 : usual;
}
