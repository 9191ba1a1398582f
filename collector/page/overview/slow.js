/** How long operations take, the slowest first. */

import { html } from "../html.js";
import { LOGS, useAnswer } from "../api.js";
import { Card, Rows } from "../card.js";
import { both, condition } from "../search.js";
import { line } from "../text.js";
import { counted, duration } from "../time.js";

const SHOWN = 8;
const NAME = 60; // characters
const RECORDS = 200_000; // that are read at most
const FIELD = "operation_type";
const TIMED = "duration_ms:*";

export function SlowOperations({ q, times, run, logs, again }) {
  const state = useAnswer(`${LOGS}/stats`, { q: both(q, TIMED), ...times.now,
    of: "duration_ms", by: FIELD, limit: 100, records: RECORDS }, run);
  return html`<${Card} title="Slowest operations" told="durations that records have: half take p50 at most, 95 of 100 p95"
    state=${state} again=${again} rows=${5} class="card-wide"
    empty=${({ records }) => !records && "No record of this time has a duration."}>
    ${({ groups, more_groups: more, since, complete }) => {
      const part = complete ? {} : { start: since };
      const found = groups.map(({ by, records, of }) => ({ value: by[FIELD], records, ...of.duration_ms }))
        .sort((a, b) => b.p95 - a.p95);
      const rest = found.length - SHOWN;
      const slowest = found[0].max;
      return html`<${Rows} label="Slowest operations" heads=${["operation", "", " p50", " p95", " slowest", " records"]} rows=${found.slice(0, SHOWN).map(
        ({ value, records, p50, p95, max }) => {
          const is = [condition(FIELD, value), TIMED];
          const from = (ms) => logs([condition(FIELD, value), `duration_ms>=${ms}`], part);
          return { key: value, cells: [
            html`<a href=${logs(is, part)}>${value === null ? "without a name" : html`<bdi>${line(value, NAME)}</bdi>`}</a>`,
            html`<${Spread} p50=${p50} p95=${p95} most=${slowest} />`,
            duration(p50),
            html`<a href=${from(p95)} title="The records from ${duration(p95)} on">${duration(p95)}</a>`,
            html`<a href=${from(max)} title="The slowest record">${duration(max)}</a>`,
            html`<span class="faint">${counted(records)}</span>`,
          ] };
        })} />
        ${(rest > 0 || more) && html`<p class="faint">and ${more ? "at least " : ""}${counted(Math.max(rest, 1))} more that are quicker</p>`}`;
    }}
  </>`;
}

/** Where half and where 95 of 100 lie, on the way to the slowest of all. */
function Spread({ p50, p95, most }) {
  const at = (ms) => `${Math.min(100, (ms / most) * 100)}%`;
  return html`<i class="bar bar-spread" aria-hidden="true"><i style=${{ width: at(p95) }}></i><b style=${{ width: at(p50) }}></b></i>`;
}
