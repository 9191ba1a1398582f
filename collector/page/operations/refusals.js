/** What was refused or changed, by reason: each was told to its sender. */

import { html } from "../html.js";
import { useAnswer } from "../api.js";
import { Card, Rows } from "../card.js";
import { line } from "../text.js";
import { counted, moment } from "../time.js";

const NAME = 80; // characters

export function Refusals({ beat, utc, again }) {
  const state = useAnswer("api/v1/refusals", {}, beat);
  const told = state.answer && `since the collector started, ${moment(state.answer.since, { utc, seconds: true }).slice(0, 16)}`;
  return html`<${Card} title="Refused" told=${told} state=${state} again=${again} rows=${5}
    empty=${(found) => !found.requests.length && !found.records.length && !found.changed.length && "Nothing was refused or changed."}>
    ${({ requests, records, changed }) => html`
      ${part("Requests", requests, "route", "requests")}
      ${part("Records", records, "receiver", "records")}
      ${part("Stored, but with a value changed", changed, "receiver", "records")}`}
  </>`;
}

function part(title, found, where, what) {
  if (!found.length) return null;
  return html`<h3 class="part">${title}</h3>
    <${Rows} label=${title} heads=${["reason", where, ` ${what}`]} rows=${found.map((each) => ({ key: `${each[where]} ${each.reason}`, cells: [
      html`<bdi>${line(each.reason, NAME)}</bdi>`,
      html`<span class="faint">${line(each[where], NAME)}</span>`,
      counted(each[what]),
    ] }))} />`;
}
