/** The overview: how much there is, what fails, what is slow and what is new, of a range of time. */

import { useReducer, useRef } from "preact/hooks";
import { html } from "../html.js";
import { LOGS, useAnswer } from "../api.js";
import { Histogram } from "../explorer/histogram.js";
import { SearchBox } from "../explorer/searchbox.js";
import { TimePicker } from "../explorer/timepicker.js";
import { useKeys } from "../keyboard.js";
import { change, link } from "../router.js";
import { both } from "../search.js";
import { ErrorTypes } from "./errortypes.js";
import { Figures } from "./figures.js";
import { ErrorRates } from "./rates.js";
import { Services } from "./services.js";
import { SlowOperations } from "./slow.js";
import { overviewRange, useWindow } from "./window.js";

const BAR = 11; // pixels that a bar of the histogram has at least

export function Overview({ params }) {
  const q = params.q ?? "";
  const utc = params.tz === "utc";
  const range = overviewRange(params);
  const [run, again] = useReducer((count) => count + 1, 0);
  const times = useWindow(range, run);
  const focusSearch = useRef();
  const openTimes = useRef();
  const buckets = Math.max(20, Math.min(160, Math.floor(innerWidth / BAR)));
  const levels = useAnswer(`${LOGS}/histogram`, { q, ...times.now, buckets }, run);
  const before = useAnswer(`${LOGS}/histogram`, { q, ...times.before, buckets: 1 }, run);

  const to = {
    search: (text) => (text === q ? again() : change({ q: text })),
    range: change,
    utc: () => change({ tz: utc ? null : "utc" }, { replace: true }),
  };
  /** The way to the records that have these conditions too, of this time or of part of it. */
  const logs = (conditions = [], { start, end } = {}) => link("explorer", {
    q: both(q, ...conditions), start: start ?? times.now.start_time, end: end ?? times.now.end_time, tz: params.tz });
  useKeys("Overview", [
    { keys: ["/"], does: "Search", run: () => focusSearch.current() },
    { keys: ["t"], does: "Time", run: () => openTimes.current() },
    { keys: ["r"], does: "Look again", run: again },
    { keys: ["u"], does: "Local times or UTC", run: to.utc },
  ]);
  const seen = { q, times, run, utc, logs, again };

  return html`<div class="cards-view">
    <h1 class="unseen">Overview</h1>
    <div class="searching">
      <${SearchBox} q=${q} mistake=${levels.failure?.mistake ?? null} onSearch=${to.search} focus=${focusSearch} />
      <${TimePicker} range=${range} utc=${utc} onRange=${to.range} onUtc=${to.utc} opener=${openTimes} ever=${false} />
      <button type="button" class="quiet" onClick=${again} title="Look again (r)" aria-label="Look again">↻</button>
    </div>
    <${Histogram} answer=${levels.answer} failure=${levels.failure} ever=${false} utc=${utc}
      onRange=${(start, end) => to.range({ start, end, last: null })} />
    <div class="cards">
      <${Figures} levels=${levels} before=${before} logs=${logs} />
      <${Services} ...${seen} />
      <${ErrorTypes} ...${seen} />
      <${ErrorRates} ...${seen} />
      <${SlowOperations} ...${seen} />
    </div>
  </div>`;
}
