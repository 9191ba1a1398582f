/** How much each service logs, over time and beside the range before. */

import { html } from "../html.js";
import { LOGS, useAnswer } from "../api.js";
import { Card, Rows } from "../card.js";
import { change } from "../numbers.js";
import { condition } from "../search.js";
import { Sparkline } from "../sparkline.js";
import { line } from "../text.js";
import { counted } from "../time.js";

const MOST = 6; // beside those without a service and all others
const BUCKETS = 49;
const NAME = 60; // characters

export function Services({ q, times, run, utc, logs, again }) {
  const state = useAnswer(`${LOGS}/histogram`, { q, ...times.now, by: "service", top: MOST, buckets: BUCKETS }, run);
  const { answer: before } = useAnswer(`${LOGS}/histogram`, { q, ...times.before, by: "service", top: 100, buckets: 1 }, run);
  const was = (value) => before?.values.find((each) => each.value === value)?.total ?? 0;
  return html`<${Card} title="Volume by service" told="beside the same time before" state=${state} again=${again}
    empty=${({ total }) => !total && "No records in this time."}>
    ${({ values, other, missing, starts, since, complete }) => {
      const part = complete ? {} : { start: since };
      const cells = (name, series, href) => [
        href ? html`<a href=${href}><bdi>${name}</bdi></a>` : html`<span class="faint">${name}</span>`,
        html`<${Sparkline} counts=${series.counts} starts=${starts} what="records" utc=${utc} />`,
        counted(series.total),
      ];
      return html`<${Rows} label="Volume by service" heads=${["service", "over time", " records", " change"]} rows=${[
        ...values.map((series) => ({ key: series.value, cells: [
          ...cells(line(series.value, NAME), series, logs([condition("service", series.value, { cut: series.value_is_cut })], part)),
          before && complete ? html`<span class="faint" title="${counted(was(series.value))} before">${change(series.total, was(series.value))}</span>` : "",
        ] })),
        ...(missing.total ? [{ key: 1, cells: [...cells("without", missing, logs([condition("service", null)], part)), ""] }] : []),
        ...(other.total ? [{ key: 2, cells: [...cells("all others", other), ""] }] : []),
      ]} />`;
    }}
  </>`;
}
