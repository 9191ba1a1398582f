/** A story that is loaded: its summary, its timeline, and its records. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { copy } from "../clipboard.js";
import { moving, opening } from "../explorer/cursor.js";
import { columnsText } from "../explorer/state.js";
import { Table } from "../explorer/table.js";
import { useKeys } from "../keyboard.js";
import { LEVELS } from "../levels.js";
import { change, go, link } from "../router.js";
import { both, condition, narrowed } from "../search.js";
import { counted, duration } from "../time.js";
import { at, failing, leastGap } from "./account.js";
import { bySpan, byService, counts, PARENTS } from "./lanes.js";
import { elapsed } from "./scale.js";
import { firstColumns, usualLanes } from "./state.js";
import { Facts, FirstError, Links, Outcome, Title } from "./summary.js";
import { Timeline } from "./timeline.js";
import { Tools } from "./tools.js";

const ROW = { dense: 22, roomy: 30 }; // pixels, as in explorer.css
const FRAME = 64; // pixels above and below the rows
const SPREAD = 1 / 3; // of a whole that what took a while may begin before the first record

export function Told({ kind, id, state, found, story }) {
  const { entries, search } = found;
  const known = useMemo(() => counts(entries), [entries]);
  const common = useMemo(() => same(entries, kind), [entries, kind]);
  const by = state.by ?? usualLanes(kind, known);
  const lanes = useMemo(() => (by === "span" ? bySpan(entries) : byService(entries, by === "stage")), [entries, by]);
  const view = useMemo(() => looked(story, entries, state.zoom), [story, state.zoom]);
  const rows = useMemo(() => seen(entries, lanes, state, story), [entries, lanes, state.lane, state.level, state.zoom]);
  const results = useMemo(() => new Listed(), [by, state.lane, state.level, state.zoom]);
  results.rows = rows;
  const table = useRef();
  const list = useRef();
  const [cursor, move] = useState(null);
  useEffect(() => {
    const index = state.at === null ? -1 : rows.findIndex((each) => each.id === state.at);
    move(index < 0 ? null : index);
    if (index >= 0) list.current.scrollIntoView({ block: "nearest" });
  }, [state.at, results]);
  const followed = state.live && (table.current?.atEnd ?? true); // before what came is drawn
  useEffect(() => {
    if (followed) table.current?.toEnd();
  }, [rows.length]);

  const set = (changes) => change(changes, { replace: true });
  const to = {
    open: (entry, index) => {
      const open = new Set(state.open);
      if (!open.delete(entry.id)) open.add(entry.id);
      move(index);
      set({ open: [...open].join(",") });
    },
    pick: (entry, { open = false } = {}) => {
      const hidden = rows.includes(entry) ? {} : { lane: null, level: null, zoom: null };
      if (rows.includes(entry)) move(rows.indexOf(entry));
      set({ ...hidden, at: entry.id, open: open ? [...new Set([...state.open, entry.id])].join(",") : [...state.open].join(",") });
      list.current.scrollIntoView({ block: "nearest" });
    },
    zoom: (from, until) => set({ zoom: [from, until].map((time) => Math.round((time - story.start) * 1_000) / 1_000).join("~") }),
    lane: (lane) => set({ lane }),
    columns: (columns) => set({ cols: columnsText(columns, firstColumns()) }),
    filter: (added) => go("explorer", { q: narrowed(search, added), ...span(story) }),
  };
  const chosen = lanes.find(({ key }) => key === state.lane);
  const explorer = link("explorer", { q: filtered(search, state.level, chosen), ...span(story) });
  const nextError = (by_) => () => {
    const errors = rows.filter(failing);
    const from = rows[cursor] ? entries.indexOf(rows[cursor]) : by_ > 0 ? -1 : entries.length;
    const next = by_ > 0 ? errors.find((each) => entries.indexOf(each) > from) : errors.findLast((each) => entries.indexOf(each) < from);
    if (next) to.pick(next);
  };
  const closer = (times) => () => {
    const middle = rows[cursor] ? at(rows[cursor]) : (view.from + view.to) / 2;
    const half = (view.to - view.from) / 2 / times;
    if (middle - half <= story.start && middle + half >= story.end) set({ zoom: null });
    else to.zoom(middle - half, middle + half);
  };
  const toggles = {
    expand: () => set({ expand: state.expand ? null : "trace" }),
    live: () => set({ live: state.live ? null : "1" }),
    wrap: () => set({ wrap: state.wrap ? null : "1" }),
    density: () => set({ density: state.density === "dense" ? "roomy" : null }),
    utc: () => set({ tz: state.utc ? null : "utc" }),
  };
  useKeys("Story", [
    { keys: ["n"], does: "Next error", run: nextError(1) },
    { keys: ["p"], does: "Error before", run: nextError(-1) },
    ...(kind === "trace" ? [] : [{ keys: ["x"], does: "With every trace it touched", run: toggles.expand }]),
    { keys: ["l"], does: "Follow what comes", run: toggles.live },
    { keys: ["+", "="], does: "Closer, around the record", run: closer(2) },
    { keys: ["-"], does: "From further away", run: closer(0.5) },
    { keys: ["0"], does: "All of the story again", run: () => set({ zoom: null, lane: null, level: null }) },
    { keys: ["e"], does: "Open in the explorer", run: () => go("explorer", Object.fromEntries(new URLSearchParams(explorer))) },
  ]);
  useKeys("Table", [
    ...moving({ rows, cursor, move, table, ends: ["First record", "Last record"] }),
    opening(() => rows[cursor] && to.open(rows[cursor], cursor)),
    { keys: ["Escape"], does: "Close all records", run: () => set({ open: null }) },
    { keys: ["w"], does: "Wrap lines", run: toggles.wrap },
    { keys: ["d"], does: "Dense or roomy", run: toggles.density },
    { keys: ["u"], does: "Local times or UTC", run: toggles.utc },
  ]);
  const least = leastGap(story.end - story.start);
  const cells = useMemo(() => ({
    elapsed: (entry) => elapsed(at(entry) - story.start),
    since: (entry, before) => passed(entry, before, least),
  }), [story.start, least]);
  const height = FRAME + rows.length * ROW[state.density] + (state.open.size ? 400 : 0);

  return html`<div class="story" aria-busy=${found.loading}>
    <header class="story-head"><${Title} kind=${kind} id=${id} />
      <${Outcome} story=${story} onPick=${(entry) => to.pick(entry)} />
      <span class="gap"></span>
      <button type="button" onClick=${() => copy(location.href, "the link")}>Copy link</button>
      <a class="button" href=${explorer} title="Open in the explorer (e)">Open in the explorer</a></header>
    <${Facts} story=${story} count=${entries.length} utc=${state.utc} />
    <${FirstError} story=${story} onPick=${(entry) => to.pick(entry, { open: true })} />
    <div class="ties"><${Links} ids=${story.ids} search=${search} />
      ${kind !== "trace" && html`<label class="check"><input type="checkbox" checked=${state.expand} onChange=${toggles.expand} />
        With every trace it touched${state.expand && html` <small>+${counted(entries.length - story.own.length)} records</small>`}</label>`}</div>
    ${found.incomplete && html`<p class="cut banner" role="status">Not all of it is here: ${found.incomplete}. <a href=${explorer}>The explorer has all</a></p>`}
    ${found.failure && html`<p class="wrong banner" role="alert">${found.failure.message} <button type="button" onClick=${found.again}>Try again</button></p>`}
    <${Timeline} lanes=${lanes} story=${story} view=${view} lane=${state.lane} selected=${rows[cursor] ?? null}
      onLane=${to.lane} onZoom=${to.zoom} onPick=${to.pick} />
    <section class="records" aria-label="Records" ref=${list} style=${{ "--height": `${height}px` }}>
      <${Tools} state=${state} by=${by} known=${known} lane=${chosen ? [chosen.name, chosen.about].filter(Boolean).join(" · ") : state.lane} rows=${rows} count=${entries.length} tail=${found.tail}
        toggles=${toggles} search=${{ q: search }} onColumns=${to.columns} onSet=${set} />
      ${rows.length ? html`<${Table} handle=${table} results=${results} state=${state} cursor=${cursor} cells=${cells} known=${common}
          onOpen=${to.open} onColumns=${to.columns} onFilter=${to.filter} />`
        : html`<p class="end">No record of the story is that. <button type="button"
            onClick=${() => set({ zoom: null, lane: null, level: null })}>Show all</button></p>`}
    </section>
  </div>`;
}

/** Records that are all there, as the table wants them. */
class Listed {
  rows = [];
  loading = false;
  complete = true;
  more() {}
}

/** From when to when the timeline goes; what took a while may have begun before the first record. */
function looked({ start, end }, entries, zoom) {
  if (!Number.isFinite(start)) return { from: 0, to: 1 };
  if (zoom) return { from: start + zoom.from, to: start + zoom.to };
  const begun = entries.map((entry) => at(entry) - Math.max(0, entry.duration_ms ?? 0))
    .filter((time) => time >= start - (end - start) * SPREAD);
  return { from: begun.reduce((least, time) => Math.min(least, time), start), to: Math.max(end, start + 1) };
}

function seen(entries, lanes, { lane, level, zoom }, { start }) {
  const chosen = lane && lanes.find(({ key }) => key === lane);
  const least = LEVELS.find(({ name }) => name === level)?.least ?? 0;
  return (chosen ? chosen.entries : entries).filter((entry) => {
    if (entry.severity_number < least) return false;
    if (!zoom) return true;
    const since = at(entry) - start;
    return since >= zoom.from && since <= zoom.to;
  });
}

function passed(entry, before, least) {
  const ms = before ? at(entry) - at(before) : NaN;
  if (!Number.isFinite(ms)) return "";
  return ms >= least ? html`<b class="silence" title="Nothing was logged in this time">${duration(ms)}</b>` : ms < 0.05 ? "0" : duration(ms);
}

/** The fields that say nothing new in any record: the summary has their one value. */
function same(entries, kind) {
  const names = ["operation_type", "provider_id", "submission_id", "artifact_id", "request_id", "job_id", "user_id"];
  const shown = PARENTS.map((name) => `extra.${name}`); // by the lanes
  return [`${kind}_id`, ...shown, ...names.filter((name) => (
    new Set(entries.map((entry) => entry[name]).filter((value) => value != null)).size <= 1))];
}

/** The search of the explorer that finds what the list has. */
function filtered(search, level, lane) {
  const conditions = (lane?.fields ?? []).map(([name, value]) => condition(name, value));
  if (level) conditions.push(`level>=${level}`);
  return both(search, ...conditions);
}

/** The time of a story, for the explorer; one that may go on has no end. */
function span({ start, end, outcome }) {
  if (!Number.isFinite(start)) return { last: "all" };
  const open = outcome.name === "going";
  return { start: new Date(start).toISOString(), end: open ? null : new Date(Math.floor(end) + 1).toISOString() };
}
