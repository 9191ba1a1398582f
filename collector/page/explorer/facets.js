/** The most frequent values of fields, each a way to narrow the search. */

import { html } from "../html.js";
import { LOGS, useAnswer } from "../api.js";
import { condition, leftOut, standing } from "../search.js";
import { line } from "../text.js";
import { asked, counted } from "../time.js";

const FIELDS = ["level", "service", "error_type", "stage", "provider_id", "operation_type", "channel", "env", "domain", "event_name"];
const VALUES = 8;

/** Props: `q`, `range`, `run` (another asks anew), `begun`, `onFilter`, called with a condition, `onSkip`. */
export function Facets({ q, range, run, begun, onFilter, onSkip }) {
  const { answer, failure, loading } = useAnswer(begun ? `${LOGS}/facets` : null, {
    q, ...asked(range), fields: FIELDS.join(","), limit: VALUES }, run);
  const shown = answer?.facets.filter(({ field, values }) => values.length || leftOut(q, field).length) ?? [];
  return html`<aside class="facets" aria-label="Fields" aria-busy=${loading || (!answer && !failure)}>
    <button type="button" class="skip" onClick=${onSkip}>Skip to the records</button>
    ${!answer && !failure && html`<div class="waiting" aria-hidden="true">${FIELDS.map(() => html`<i></i>`)}</div>`}
    ${failure && failure.status !== 422 && html`<p class="faint">${failure.message}</p>`}
    ${answer?.reason && html`<p class="faint">${answer.reason}</p>`}
    ${shown.map((facet) => html`<${Facet} key=${facet.field} facet=${facet} records=${answer.records}
      q=${q} onFilter=${onFilter} />`)}
  </aside>`;
}

function Facet({ facet, records, q, onFilter }) {
  const { field, values, distinct, other, missing } = facet;
  const out = leftOut(q, field).filter((left) => !values.some(({ value }) => String(value) === left));
  return html`<details open><summary>${field} <small>${counted(distinct)}</small></summary><ul>
    ${values.map(({ value, value_is_cut: cut, count }) => html`<${Choice} key=${value} field=${field} value=${value}
      cut=${cut} count=${count} share=${count / records} q=${q} onFilter=${onFilter} />`)}
    ${out.map((value) => html`<${Choice} key=${value} field=${field} value=${value} count=${0} share=${0}
      q=${q} onFilter=${onFilter} />`)}
    ${other > 0 && html`<li class="faint"><span>${counted(distinct - values.length)} others</span> <b>${counted(other)}</b></li>`}
    ${missing > 0 && html`<${Choice} field=${field} value=${null} count=${missing} share=${missing / records}
      q=${q} onFilter=${onFilter} />`}
  </ul></details>`;
}

function Choice({ field, value, cut, count, share, q, onFilter }) {
  const now = standing(q, field, value);
  const name = value === null ? "without" : line(value, 80);
  return html`<li class=${now ? `choice-${now}` : ""}>
    <button type="button" class="value ${value === null ? "faint" : ""}" aria-pressed=${now === "in"} title=${name}
      onClick=${() => onFilter(condition(field, value, { cut }))}>
      <i class="share" aria-hidden="true" style=${{ width: `${Math.max(1, share * 100)}%` }}></i>
      ${field === "level" && html`<i class="swatch swatch-${value}" aria-hidden="true">${String(value)[0].toUpperCase()}</i>`}
      <span class="unseen">Only ${field} </span><bdi>${name}</bdi>${" "}<b>${counted(count)}</b></button>
    <button type="button" class="tool" title="None of such" aria-pressed=${now === "out"}
      aria-label="No ${field} ${name}" onClick=${() => onFilter(condition(field, value, { out: true, cut }))}>−</button>
  </li>`;
}
