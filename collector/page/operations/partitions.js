/** What lies on disk: each day's records and bytes, and how much room is left. */

import { html } from "../html.js";
import { useAnswer } from "../api.js";
import { Card, Rows } from "../card.js";
import { percent } from "../numbers.js";
import { link } from "../router.js";
import { size } from "../text.js";
import { counted } from "../time.js";

const FULL = 0.9; // share of a disk from which on it is said to be full
const DAY = 86_400_000;
const INDEXES = { whole: "sealed", parts: "in parts", none: "–" };

export function Partitions({ run, again }) {
  const state = useAnswer("api/v1/partitions", {}, run);
  return html`<${Card} title="On disk" told="a table for each day (UTC)" state=${state} again=${again} rows=${10} class="card-side">
    ${({ records, bytes, database_bytes: database, disk, partitions }) => {
      // Days to come have tables already, without records.
      const shown = partitions.filter((each) => each.records !== 0);
      return html`
      <p class="faint">${records === null ? "Records are being counted." : `${counted(records)} records`} in ${size(bytes)}${" "}
        with their indexes; the whole database has ${size(database)}.</p>
      ${disk && html`<${Disk} disk=${disk} />`}
      <div class="scrolls" tabindex="0" role="region" aria-label="Partitions"><${Rows} label="Partitions" heads=${["day", " records", " bytes", " of these indexes", " a record", "index of texts"]} rows=${shown.map((each) => ({
        key: each.name, cells: [
          html`<span title=${each.name}>${each.day ?? "all other days"}</span>`,
          each.records === null ? "…" : each.day && each.records ? html`<a href=${logsOf(each.day)}>${counted(each.records)}</a>` : counted(each.records),
          size(each.bytes),
          html`<span class="faint">${size(each.index_bytes)}</span>`,
          html`<span class="faint">${each.records ? size(Math.round(each.bytes / each.records)) : ""}</span>`,
          html`<span class="faint">${INDEXES[each.text_index]}</span>`,
        ] }))} /></div>
      ${partitions.length > shown.length && html`<p class="faint">and ${counted(partitions.length - shown.length)} that are empty yet</p>`}`;
    }}
  </>`;
}

function Disk({ disk: { bytes, free_bytes: free } }) {
  const used = 1 - free / bytes;
  const full = used > FULL;
  return html`<div class="disk"><i class="bar ${full ? "bar-full" : ""}" aria-hidden="true"><i style=${{ width: `${used * 100}%` }}></i></i>
    <p class=${full ? "wrong" : "faint"}>${full ? "The disk is nearly full: " : "Disk: "}${size(free)} of ${size(bytes)} are free (${percent(free, bytes)})</p></div>`;
}

/** The way to the records of a day. */
function logsOf(day) {
  const start = Date.parse(`${day}T00:00:00Z`);
  return link("explorer", { start: new Date(start).toISOString(), end: new Date(start + DAY - 1).toISOString().replace("Z", "999Z"), tz: "utc" });
}
