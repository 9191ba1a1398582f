/** The line above the table: what is seen, and how. */

import { html } from "../html.js";
import { Panel } from "../dialog.js";
import { STORIES } from "../fields.js";
import { link } from "../router.js";
import { wanted } from "../search.js";
import { line } from "../text.js";
import { counted, duration } from "../time.js";
import { ColumnChoice } from "./columns.js";
import { Export } from "./exporting.js";
import { LiveState } from "./live.js";
import { SavedViews } from "./saved.js";

export function Toolbar({ state, results, total, toggles, onColumns, openers, search, live, paused }) {
  return html`<div class="toolbar" role="toolbar" aria-label="Table">
    <button type="button" class="quiet" aria-pressed=${state.facets} onClick=${toggles.facets}
      title="Fields (f)" aria-label="Fields">☰ <span class="fields-name">Fields</span></button>
    <span class="faint" role="status">${summary(results, total)}</span>
    ${stories(state.q).map(({ view, id }) => html`<a class="button quiet" href=${link(view, { id })}>
      Story of ${view} <bdi>${line(id, 40)}</bdi></a>`)}
    ${live && html`<${LiveState} live=${live} paused=${paused} />`}
    <span class="gap"></span>
    <button type="button" class="quiet" aria-pressed=${state.live} onClick=${toggles.live} title="Live (l)">▶ Live</button>
    <button type="button" class="quiet" aria-pressed=${state.wrap} onClick=${toggles.wrap} title="Wrap lines (w)">Wrap</button>
    <button type="button" class="quiet" aria-pressed=${state.density === "roomy"} onClick=${toggles.density}
      title="Dense or roomy (d)">Roomy</button>
    <${Panel} label="Columns" title="Columns (c)" opener=${openers.columns}>
      ${() => html`<${ColumnChoice} columns=${state.columns} search=${search} onColumns=${onColumns} />`}
    </>
    <${Panel} label="Export" title="Export (e)" opener=${openers.export}>
      ${() => html`<${Export} search=${search} total=${total} />`}
    </>
    <${Panel} label="Views" title="Saved views (v)" opener=${openers.views}>
      ${(close) => html`<${SavedViews} onClose=${close} />`}
    </>
  </div>`;
}

/** The stories that a search asks for by their id. */
function stories(q) {
  return Object.entries(STORIES).flatMap(([field, view]) => wanted(q, field).filter((id) => !id.includes("*"))
    .map((id) => ({ view, id })));
}

function summary(results, total) {
  const { rows, loading, seconds, complete } = results;
  if (loading && !rows.length) return "Searching…";
  const loaded = counted(rows.length);
  const of = total != null && !complete ? `${loaded} of ${counted(total)}` : loaded;
  return `${of} records${seconds === null ? "" : ` · ${duration(seconds * 1_000)}`}`;
}
