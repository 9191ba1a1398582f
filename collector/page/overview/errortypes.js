/** The types of errors there are, those first that the day before did not have. */

import { html } from "../html.js";
import { LOGS, useAnswer } from "../api.js";
import { Card, Rows } from "../card.js";
import { both, condition } from "../search.js";
import { Sparkline } from "../sparkline.js";
import { line } from "../text.js";
import { counted } from "../time.js";
import { When } from "../when.js";

const MOST = 100; // that are asked for
const SHOWN = 8;
const BUCKETS = 49;
const NAME = 80; // characters
const GIVEN = "error_type:*";
const NEW = "not in the 24 hours before this time";

export function ErrorTypes({ q, times, run, utc, logs, again }) {
  const state = useAnswer(`${LOGS}/histogram`, {
    q: both(q, GIVEN), ...times.now, by: "error_type", top: MOST, buckets: BUCKETS }, run);
  const { answer: before } = useAnswer(`${LOGS}/facets`, {
    q: both(q, GIVEN), ...times.dayBefore, fields: "error_type", limit: MOST, records: 1_000_000 }, run);
  return html`<${Card} title="Error types" told=${`new: ${NEW}`} state=${state} again=${again}
    empty=${({ values }) => !values.length && "No record of this time has an error type."}>
    ${({ values, other, starts, since, complete }) => {
      const found = sorted(values, before);
      const part = complete ? {} : { start: since };
      const rest = found.slice(SHOWN);
      return html`<${Rows} label="Error types" heads=${["error type", "over time", "first seen", " records"]} rows=${found.slice(0, SHOWN).map(
        ({ fresh, first, series }) => ({ key: series.value, cells: [
          html`${fresh && html`<span class="badge badge-new" title=${NEW}>new</span> `}<a
            href=${logs([condition("error_type", series.value, { cut: series.value_is_cut })], part)}><bdi>${line(series.value, NAME)}</bdi></a>`,
          html`<${Sparkline} counts=${series.counts} starts=${starts} what="records" utc=${utc} class="sparkline-error" />`,
          fresh ? html`after <${When} minute time=${starts[first] < times.now.start_time ? times.now.start_time : starts[first]} utc=${utc} />`
            : html`<span class="faint">${before ? "earlier" : ""}</span>`,
          counted(series.total),
        ] }))} />
        ${rest.length + other.total > 0 && html`<p class="faint">and ${other.total ? "at least " : ""}${counted(rest.length || 1)} more with
          ${" "}${counted(rest.reduce((sum, { series }) => sum + series.total, other.total))} records</p>`}`;
    }}
  </>`;
}

/** The new ones first, those that began last before the others; then by their number. */
function sorted(values, before) {
  const known = before?.facets[0].values.map(({ value }) => value);
  const all = before?.complete && before.facets[0].other === 0; // all of the day before is known
  return values.map((series) => ({
    series, fresh: Boolean(all && !known.includes(series.value)), first: series.counts.findIndex((count) => count > 0),
  })).sort((a, b) => b.fresh - a.fresh || (a.fresh && b.first - a.first) || b.series.total - a.series.total);
}
