/** A story that is loaded: its summary, its timeline, and its records. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { copy } from "../clipboard.js";
import { Table } from "../explorer/table.js";
import { link } from "../router.js";
import { counted } from "../time.js";
import { actions, useStoryKeys } from "./actions.js";
import { bySpan, byService, counts } from "./lanes.js";
import { filtered, looked, same, seen, span, timesOf } from "./selection.js";
import { usualLanes } from "./state.js";
import { Facts, FirstError, Links, Outcome, Title } from "./summary.js";
import { Timeline } from "./timeline.js";
import { Tools } from "./tools.js";

const ROW = { dense: 22, roomy: 30 }; // pixels, as in explorer.css
const FRAME = 64; // pixels above and below the rows
const OPEN = 400; // pixels for a record that is open

export function Told({ kind, id, state, found, story }) {
  const { entries, search } = found;
  const known = useMemo(() => counts(entries), [entries]);
  const by = state.by ?? usualLanes(kind, known);
  const lanes = useMemo(() => (by === "span" ? bySpan(entries) : byService(entries, by === "stage")), [entries, by]);
  const lane = lanes.find(({ key }) => key === state.lane);
  const zoom = state.zoom && `${state.zoom.from} ${state.zoom.to}`; // the same text, where the address says the same
  const view = useMemo(() => looked(story, entries, state.zoom), [story, zoom]);
  const rows = useMemo(() => seen(lane?.entries ?? entries, state, story), [lane, entries, state.level, zoom]);
  const common = useMemo(() => same(entries, kind), [entries, kind]);
  const times = useMemo(() => timesOf(story), [story]);
  const results = useMemo(() => new Listed(), [by, state.lane, state.level, zoom]);
  results.rows = rows;
  const [table, list] = [useRef(), useRef()];
  const [cursor, move] = useState(null);
  const reveal = () => list.current.scrollIntoView({ block: "nearest" });
  useEffect(() => {
    const index = state.at === null ? -1 : rows.findIndex((each) => each.id === state.at);
    move(index < 0 ? null : index);
    if (index >= 0) reveal();
  }, [state.at, results]);
  const followed = state.live && (table.current?.atEnd ?? true); // before what came is drawn
  useEffect(() => {
    if (followed) table.current?.toEnd();
  }, [rows.length]);
  const to = actions({ state, story, rows, view, search, move, reveal: () => {
    reveal();
    table.current?.focus(); // or it would stay with what is out of sight now
  } });
  const explorer = { q: filtered(search, state.level, lane), ...span(story) };
  useStoryKeys({ kind, rows, cursor, move, table, to, explorer });
  const height = FRAME + rows.length * ROW[state.density] + (state.open.size ? OPEN : 0);

  return html`<div class="story" aria-busy=${found.loading}>
    <header class="story-head"><${Title} kind=${kind} id=${id} />
      <${Outcome} story=${story} onPick=${(entry) => to.pick(entry)} />
      <span class="gap"></span>
      <button type="button" onClick=${() => copy(location.href, "the link")}>Copy link</button>
      <a class="button" href=${link("explorer", explorer)} title="Open in the explorer (e)">Open in the explorer</a></header>
    <${Facts} story=${story} count=${entries.length} utc=${state.utc} />
    <${FirstError} story=${story} onPick=${(entry) => to.pick(entry, { open: true })} />
    <div class="ties"><${Links} ids=${story.ids} search=${search} />
      ${kind !== "trace" && html`<label class="check"><input type="checkbox" checked=${state.expand} onChange=${to.expand} />
        With every trace it touched${state.expand && html` <small>+${counted(entries.length - story.own.length)} records</small>`}</label>`}</div>
    ${found.incomplete && html`<p class="cut banner" role="status">Not all of it is here: ${found.incomplete}.
      <a href=${link("explorer", explorer)}>The explorer has all</a></p>`}
    <${Timeline} lanes=${lanes} story=${story} view=${view} lane=${state.lane} selected=${rows[cursor] ?? null}
      onLane=${to.lane} onZoom=${to.zoom} onPick=${to.pick} />
    <section class="records" aria-label="Records" ref=${list} style=${{ "--height": `${height}px` }}>
      <${Tools} state=${state} by=${by} known=${known} lane=${lane} rows=${rows} count=${entries.length} tail=${found.tail}
        search=${{ q: search }} to=${to} />
      ${rows.length ? html`<${Table} handle=${table} results=${results} state=${state} cursor=${cursor} cells=${times} known=${common}
          onOpen=${to.open} onColumns=${to.columns} onFilter=${to.filter} />`
        : html`<p class="end">No record of the story is that. <button type="button" onClick=${to.all}>Show all</button></p>`}
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
