/** What a story shows, read from the address. */

import { columnsOf, stateOf } from "../explorer/state.js";

const COLUMNS = ["elapsed", "since", "level", "service", "msg"].map((name) => ({ name }));
const FEW_COLUMNS = ["elapsed", "level", "service", "msg"].map((name) => ({ name }));
const LANES = ["service", "stage", "span"];
const FEW = 20; // lanes up to which stages are shown, where nobody says otherwise
const NARROW = 600; // pixels

export const firstColumns = () => (innerWidth < NARROW ? FEW_COLUMNS : COLUMNS);

/** The state of a story, from the parameters of the address. */
export function storyState(kind, params) {
  const [from, to] = (params.zoom ?? "").split("~").map(Number);
  return {
    ...stateOf({ ...params, around: null, q: "" }),
    columns: params.cols ? columnsOf(params.cols) : firstColumns(),
    expand: kind !== "trace" && params.expand === "trace",
    by: LANES.includes(params.by) ? params.by : null,
    lane: params.lane ?? "",
    level: params.level ?? "",
    at: params.at ? Number(params.at) : null, // the record that is looked at
    zoom: to > from ? { from, to } : null, // milliseconds since the start
  };
}

/** By what the lanes are, where the address doesn't say it. */
export function usualLanes(kind, { spans, stages, services }) {
  if (kind === "trace" && spans > 0) return "span";
  return stages > 0 && stages + services <= FEW ? "stage" : "service";
}
