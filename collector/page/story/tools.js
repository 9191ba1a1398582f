/** The line between the timeline and the list: what of the story is seen, and how. */

import { html } from "../html.js";
import { Panel } from "../dialog.js";
import { ColumnChoice } from "../explorer/columns.js";
import { LiveState } from "../explorer/live.js";
import { line } from "../text.js";
import { counted, duration } from "../time.js";
import { firstColumns } from "./state.js";

const LEVELS = [["", "All levels"], ["info", "Info and worse"], ["warning", "Warning and worse"], ["error", "Errors only"]];
const LANES = [["service", "Services"], ["stage", "Stages"], ["span", "Spans"]];

/** Props: the `state`, `by` what lanes are, the `lane` that is chosen in words, `known` ({ services, stages, spans }), and what to call. */
export function Tools({ state, by, known, lane, rows, count, tail, toggles, search, onColumns, onSet }) {
  const lanes = LANES.filter(([name]) => name === "service" || known[`${name}s`] > 0);
  return html`<div class="toolbar" role="toolbar" aria-label="Story">
    ${lanes.length > 1 && html`<span class="choices" role="group" aria-label="Lanes by">${lanes.map(([name, title]) => html`
      <button type="button" aria-pressed=${by === name} onClick=${() => onSet({ by: name, lane: null })}>${title}</button>`)}</span>`}
    <select aria-label="Level" value=${state.level} onChange=${(event) => onSet({ level: event.target.value })}>
      ${LEVELS.map(([value, name]) => html`<option value=${value} selected=${value === state.level}>${name}</option>`)}</select>
    ${state.lane && html`<${Taken} name=${line(lane, 40)} what="lane" onSet=${() => onSet({ lane: null })} />`}
    ${state.zoom && html`<${Taken} name=${`${duration(Math.max(0, state.zoom.from))} – ${duration(Math.max(0, state.zoom.to))}`} what="span of time"
      onSet=${() => onSet({ zoom: null })} />`}
    <span class="faint" role="status">${rows.length === count ? counted(count) : `${counted(rows.length)} of ${counted(count)}`} ${count === 1 ? "record" : "records"}</span>
    ${tail && html`<${LiveState} live=${tail} paused=${false} />`}
    <span class="gap"></span>
    <button type="button" class="quiet" aria-pressed=${state.live} onClick=${toggles.live} title="Follow what comes (l)">▶ Follow</button>
    <button type="button" class="quiet" aria-pressed=${state.wrap} onClick=${toggles.wrap} title="Wrap lines (w)">Wrap</button>
    <${Panel} label="Columns" title="Columns">
      ${() => html`<${ColumnChoice} columns=${state.columns} search=${search} first=${firstColumns()} onColumns=${onColumns} />`}
    </>
  </div>`;
}

function Taken({ name, what, onSet }) {
  return html`<button type="button" class="taken" aria-label="Without the ${what} ${name}" onClick=${onSet}><bdi>${name}</bdi> ✕</button>`;
}
