/** The explorer: a search, what it finds over time and by field, and its records as a table. */

import { useEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { LOGS, useAnswer } from "../api.js";
import { useKeys } from "../keyboard.js";
import { change, go, link } from "../router.js";
import { narrowed } from "../search.js";
import { asked, counted, EVER, SPANS } from "../time.js";
import { moving, opening } from "./cursor.js";
import { early } from "./early.js";
import { Facets } from "./facets.js";
import { Histogram } from "./histogram.js";
import { useLive, Waiting } from "./live.js";
import { questionOf, Results } from "./results.js";
import { SearchBox } from "./searchbox.js";
import { columnsText, stateOf } from "./state.js";
import { Table } from "./table.js";
import { TimePicker } from "./timepicker.js";
import { Toolbar } from "./toolbar.js";

const BAR = 11; // pixels that a bar of the histogram has at least
const FIRST = 300; // milliseconds that the first records have, before anything else is asked
const BEAT = 5_000; // milliseconds between two histograms, while live
const SCOPES = [["instance", "of its instance"], ["service", "of its service"], ["all", "of all"]];

export function Explorer({ params }) {
  const state = useMemo(() => stateOf(params), [params]);
  const [run, again] = useReducer((count) => count + 1, 0);
  const results = useResults(state, run);
  const [cursor, setCursor] = useState(null);
  const [newest, setNewest] = useState(true); // whether the newest record is seen
  const paused = !newest || cursor !== null;
  const live = useLive(state, results, paused, again);
  const table = useRef();
  const focusSearch = useRef();
  const openTimes = useRef();
  const openers = { columns: useRef(), export: useRef(), views: useRef() };
  const times = asked(state.range);
  const around = state.around !== null;
  const ever = state.range.last === EVER;

  const buckets = Math.max(20, Math.min(160, Math.floor(innerWidth / BAR)));
  const beat = useBeat(state.live && !around);
  const begun = useBegun(results);
  const histogram = useAnswer(around || !begun ? null : `${LOGS}/histogram`, { q: state.q, ...times, buckets }, `${run} ${beat}`);
  useEffect(() => {
    setCursor(null);
    setNewest(true);
  }, [results]);
  const marked = around ? results.rows.findIndex(({ id }) => id === state.around) : -1;
  useEffect(() => {
    if (marked >= 0) setCursor(marked);
  }, [results, marked]);
  const showNew = () => {
    live.show();
    setCursor(null);
    table.current?.toTop();
  };

  const to = {
    search: (q) => (q === state.q && !around ? again() : change({ q, around: null, scope: null, open: null })),
    filter: (condition) => change({ q: narrowed(state.q, condition), around: null, scope: null, open: null }),
    range: (changes) => change({ ...changes, around: null, scope: null, live: null, open: null }),
    columns: (columns) => change({ cols: columnsText(columns) }, { replace: true }),
    open: (entry, index) => {
      const open = new Set(state.open);
      if (!open.delete(entry.id)) open.add(entry.id);
      setCursor(index);
      change({ open: [...open].join(",") }, { replace: true });
    },
    set: (name, value) => change({ [name]: value }, { replace: true }),
  };
  const toggles = {
    wrap: () => to.set("wrap", state.wrap ? null : "1"),
    density: () => to.set("density", state.density === "dense" ? "roomy" : null),
    facets: () => to.set("facets", state.facets ? "0" : "1"),
    live: () => change({ live: state.live ? null : "1", start: null, end: null }),
    utc: () => to.set("tz", state.utc ? null : "utc"),
  };
  const at = results.rows[cursor];
  useKeys("Search", [
    { keys: ["/"], does: "Search", run: () => focusSearch.current() },
    { keys: ["t"], does: "Time", run: () => openTimes.current() },
    { keys: ["r"], does: "Search again", run: again },
    { keys: ["l"], does: "Live", run: toggles.live },
    { keys: ["v"], does: "Saved views", run: () => openers.views.current?.() },
    { keys: ["e"], does: "Export", run: () => openers.export.current?.() },
  ]);
  useKeys("Table", [
    ...moving({ rows: results.rows, cursor, move: setCursor, table, ends: ["Newest record", "Oldest that is loaded"] }),
    opening(() => at && to.open(at, cursor)),
    { keys: ["a"], does: "Lines around the record",
      run: () => at && go("explorer", { around: at.id, open: at.id }) },
    { keys: ["Escape"], does: "Close all records", run: () => to.set("open", null) },
    { keys: ["c"], does: "Columns", run: () => openers.columns.current?.() },
    { keys: ["w"], does: "Wrap lines", run: toggles.wrap },
    { keys: ["d"], does: "Dense or roomy", run: toggles.density },
    { keys: ["f"], does: "Fields", run: toggles.facets },
    { keys: ["u"], does: "Local times or UTC", run: toggles.utc },
  ]);
  const mistake = results.failure?.mistake ?? null;
  // They are many elements, and the same while records come and the cursor moves.
  const facets = useMemo(() => state.facets && !around && html`<${Facets} q=${state.q} range=${state.range} run=${run}
    begun=${begun} onFilter=${to.filter} onSkip=${() => table.current?.focus()} />`, [state, run, begun]);

  return html`<div class="explorer ${state.facets && !around ? "" : "without-facets"}">
    <h1 class="unseen">Logs</h1>
    <div class="searching">
      <${SearchBox} q=${state.q} mistake=${mistake} onSearch=${to.search} focus=${focusSearch} />
      <${TimePicker} range=${state.range} utc=${state.utc} onRange=${to.range} onUtc=${toggles.utc} opener=${openTimes} />
      <button type="button" class="quiet" onClick=${again} title="Search again (r)" aria-label="Search again">↻</button>
    </div>
    ${around
      ? html`<${Around} state=${state} results=${results} onScope=${(scope) => to.set("scope", scope)} />`
      : html`<${Histogram} answer=${histogram.answer} failure=${histogram.failure} ever=${ever} utc=${state.utc}
          onRange=${(start, end) => to.range({ start, end, last: null })} />`}
    ${facets}
    <section class="records" aria-label="Records">
      <${Toolbar} state=${state} results=${results} version=${results.version} live=${live} paused=${paused}
        total=${around || state.live || ever ? null : histogram.answer?.total} toggles=${toggles}
        onColumns=${to.columns} openers=${openers} search=${{ q: state.q, ...times }} />
      <${Waiting} live=${live} onShow=${showNew} />
      ${results.rows.length > 0 || results.loading
        ? html`<${Table} handle=${table} results=${results} version=${results.version} state=${state} cursor=${cursor}
            onOpen=${to.open} onColumns=${to.columns} onFilter=${to.filter} onScrolled=${setNewest}
            end=${html`<${End} results=${results} />`} />`
        : html`<${Nothing} results=${results} state=${state} onRange=${to.range} onSearch=${to.search} />`}
    </section>
  </div>`;
}

/** The results of the state's search, which load anew when that changes, and with each `run`. */
function useResults(state, run) {
  const [, drawn] = useReducer((count) => count + 1, 0);
  const question = questionOf(state, run);
  const results = useMemo(() => Object.assign(early(question) ?? new Results(state), { changed: drawn }), [question]);
  useEffect(() => {
    // Live results are loaded when the tail has begun: see live.js.
    if (!results.begun && (!state.live || state.around !== null)) results.load();
    return () => results.close();
  }, [results]);
  return results;
}

/** Whether the page has its first records, or they take long: all else would be in their way. */
function useBegun(results) {
  const [late, begin] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => begin(true), FIRST);
    return () => clearTimeout(timer);
  }, []);
  return late || !results.loading || results.rows.length > 0;
}

/** A number that grows every few seconds while *on*, and while the page is seen. */
function useBeat(on) {
  const [count, beat] = useReducer((before) => before + 1, 0);
  useEffect(() => {
    if (!on) return undefined;
    const timer = setInterval(() => document.hidden || beat(), BEAT);
    return () => clearInterval(timer);
  }, [on]);
  return count;
}

function Around({ state, results, onScope }) {
  return html`<div class="around"><span>Lines around record <b>${state.around}</b></span>
    <span class="choices" role="group" aria-label="Which lines">${SCOPES.map(([scope, name]) => html`<button type="button"
      aria-pressed=${state.scope === scope} onClick=${() => onScope(scope)}>${name}</button>`)}</span>
    ${results.hasNewer && html`<button type="button" onClick=${() => results.newer()}>↑ Newer lines</button>`}
    <a class="button" href=${link("explorer")}>Back to searching</a></div>`;
}

/** What stands below the last row that is loaded. */
function End({ results }) {
  if (results.failure) {
    return html`<p class="end wrong" role="alert">${results.failure.message}
      <button type="button" onClick=${() => results.load()}>Try again</button></p>`;
  }
  if (results.loading) return html`<p class="end" role="status">Loading…</p>`;
  if (results.incomplete) return html`<p class="end cut">${results.incomplete}</p>`;
  return results.complete && html`<p class="end">That is all: ${counted(results.rows.length)} records.</p>`;
}

/** What stands in the table's place when it has no rows. */
function Nothing({ results, state, onRange, onSearch }) {
  const { failure } = results;
  if (failure?.mistake) {
    return html`<div class="message"><h2>That is no search yet</h2>
      <p>The place is underlined above.</p></div>`;
  }
  if (failure) {
    return html`<div class="message" role="alert"><h2>${failure.passing ? "No answer now" : "That was refused"}</h2>
      <p>${failure.message}</p>
      <p><button type="button" onClick=${() => results.load()}>Try again</button></p></div>`;
  }
  const wider = SPANS.filter(([span]) => ["24h", "7d"].includes(span) && span !== state.range.last);
  return html`<div class="message"><h2>Nothing found</h2>
    <p>${state.q ? "No record of this time has all that the search asks for." : "No record came in this time."}</p>
    <p>${wider.map(([last, name]) => html`<button type="button"
        onClick=${() => onRange({ last, start: null, end: null })}>Last ${name}</button> `)}
      <button type="button" onClick=${() => onRange({ last: EVER, start: null, end: null })}>All time</button>
      ${state.q && html` <button type="button" onClick=${() => onSearch("")}>Without the search</button>`}</p>
  </div>`;
}
