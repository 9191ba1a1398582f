/** Which share of the records of each provider, and of each stage, are errors. */

import { html } from "../html.js";
import { LOGS, useAnswer } from "../api.js";
import { Card, Rows } from "../card.js";
import { percent } from "../numbers.js";
import { both, condition } from "../search.js";
import { line } from "../text.js";
import { counted } from "../time.js";

const SHOWN = 8;
const NAME = 60; // characters
const RECORDS = 1_000_000; // that are read at most
const ERRORS = "level>=error";
const GIVEN = "(provider_id:* OR stage:*)";
const FIELDS = [["provider_id", "provider"], ["stage", "stage"]];

export function ErrorRates({ q, times, run, logs, again }) {
  // One question for both: the records are read once.
  const state = useAnswer(`${LOGS}/facets`, { q: both(q, GIVEN), ...times.now,
    fields: FIELDS.map(([field]) => field).join(","), limit: 100, records: RECORDS, matching: ERRORS }, run);
  return FIELDS.map(([field, name]) => html`<${Rates} key=${field} field=${field} name=${name} state=${state}
    logs=${logs} again=${again} />`);
}

function Rates({ field, name, state, logs, again }) {
  const facet = ({ facets }) => facets.find((each) => each.field === field);
  return html`<${Card} title="Errors by ${name}" told="errors among its records" state=${state} again=${again}
    empty=${(answer) => !facet(answer).values.length && `No record of this time has a ${name}.`}>
    ${(answer) => {
      const { values, distinct } = facet(answer);
      const { since, complete } = answer;
      const part = complete ? {} : { start: since };
      const found = [...values].sort((a, b) => b.matching - a.matching || b.count - a.count);
      const shown = found.slice(0, SHOWN);
      const highest = Math.max(...shown.map(({ matching, count }) => matching / count));
      return html`<${Rows} label="Errors by ${name}" heads=${[name, "", " share", " errors", " records"]} rows=${shown.map(
        ({ value, value_is_cut: cut, count, matching }) => {
          const is = condition(field, value, { cut });
          return { key: value, cells: [
            html`<a href=${logs([is], part)}><bdi>${line(value, NAME)}</bdi></a>`,
            html`<i class="bar" aria-hidden="true"><i style=${{ width: `${highest ? (matching / count / highest) * 100 : 0}%` }}></i></i>`,
            percent(matching, count),
            matching ? html`<a class="wrong" href=${logs([is, ERRORS], part)}>${counted(matching)}</a>` : html`<span class="faint">0</span>`,
            html`<span class="faint">${counted(count)}</span>`,
          ] };
        })} />
        ${distinct > shown.length && html`<p class="faint">and ${counted(distinct - shown.length)} more</p>`}`;
    }}
  </>`;
}
