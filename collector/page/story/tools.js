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

/**
 * Props: the `state`, `by` what lanes are, the `lane` that is chosen, `known` ({ services, stages,
 * spans }), `rows` of `count` records, `tail`, `search`, and `to`, the actions.
 */
export function Tools({ state, by, known, lane, rows, count, tail, search, to }) {
  const lanes = LANES.filter(([name]) => name === "service" || known[`${name}s`] > 0);
  return html`<div class="toolbar" role="toolbar" aria-label="Story">
    ${lanes.length > 1 && html`<span class="choices" role="group" aria-label="Lanes by">${lanes.map(([name, title]) => html`
      <button type="button" aria-pressed=${by === name} onClick=${() => to.set({ by: name, lane: null })}>${title}</button>`)}</span>`}
    <select aria-label="Level" value=${state.level} onChange=${(event) => to.set({ level: event.target.value })}>
      ${LEVELS.map(([value, name]) => html`<option value=${value} selected=${value === state.level}>${name}</option>`)}</select>
    ${state.lane && html`<${Taken} name=${line([lane?.name ?? state.lane, lane?.about].filter(Boolean).join(" · "), 40)} what="lane"
      onClick=${() => to.set({ lane: null })} />`}
    ${state.zoom && html`<${Taken} name=${`${duration(Math.max(0, state.zoom.from))} – ${duration(Math.max(0, state.zoom.to))}`} what="span of time"
      onClick=${() => to.set({ zoom: null })} />`}
    <span class="faint" role="status">${rows.length < count && `${counted(rows.length)} of `}${counted(count)} ${count === 1 ? "record" : "records"}</span>
    ${tail && html`<${LiveState} live=${tail} paused=${false} />`}
    <span class="gap"></span>
    <button type="button" class="quiet" aria-pressed=${state.live} onClick=${to.live} title="Follow what comes (l)">▶ Follow</button>
    <button type="button" class="quiet" aria-pressed=${state.wrap} onClick=${to.wrap} title="Wrap lines (w)">Wrap</button>
    <${Panel} label="Columns" title="Columns">
      ${() => html`<${ColumnChoice} columns=${state.columns} search=${search} first=${firstColumns()} onColumns=${to.columns} />`}
    </>
  </div>`;
}

function Taken({ name, what, onClick }) {
  return html`<button type="button" class="taken" aria-label="Without the ${what} ${name}" onClick=${onClick}><bdi>${name}</bdi> ✕</button>`;
}
