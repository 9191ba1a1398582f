/** What comes in: how much now and over time, and from whom. */

import { html } from "../html.js";
import { useAnswer } from "../api.js";
import { Card, Rows } from "../card.js";
import { rate } from "../numbers.js";
import { Sparkline } from "../sparkline.js";
import { line } from "../text.js";
import { counted, duration, moment } from "../time.js";
import { Ago } from "../when.js";

const PATH = "api/v1/intake";
const BUCKETS = 73;
const LATELY = 60; // seconds that the rate now is the mean of
const NAME = 60; // characters

export function Intake({ times, beat, utc, again }) {
  const state = useAnswer(PATH, { ...times, buckets: BUCKETS }, beat);
  const { answer: lately } = useAnswer(PATH, { last: `${LATELY}s`, buckets: 1 }, beat);
  const cut = state.answer && !state.answer.complete
    && `what came before ${moment(state.answer.kept_since, { utc, seconds: true })} is not known any more`;
  return html`<${Card} title="Coming in" told="what was committed, by the time it was received"
    state=${{ ...state, incomplete: cut || null }} again=${again} rows=${9} class="card-wider">
    ${({ records, requests, refused, counts, starts, senders, interval_seconds: seconds, start, end }) => html`
      <p class="now"><b>${lately ? rate(lately.records / LATELY) : "…"}</b> in the last minute<span class="faint"> ·
        ${" "}${counted(records)} records in ${counted(requests)} requests in this time</span></p>
      <${Sparkline} counts=${counts} starts=${starts} what="records" utc=${utc} class="sparkline-large" />
      <p class="chart-ends"><span>${moment(start, { utc, seconds: true }).slice(0, 16)}</span>
        <span>most: ${counted(Math.max(0, ...counts))} in ${duration(seconds * 1_000).replace(/ 0 (?:s|min)$/, "").replace(".0", "")}</span>
        <span>${moment(end, { utc, seconds: true }).slice(0, 16)}</span></p>
      ${senders.length ? html`<div class="scrolls senders" tabindex="0" role="region" aria-label="Senders"><${Rows} label="Senders" heads=${["sender", "receiver", "over time", " requests", " records",
        ...(refused ? [" refused"] : []), "last"]} rows=${senders.map((each) => ({ key: `${each.receiver} ${each.sender}`, cells: [
        html`<bdi>${line(each.sender || "without a name", NAME)}</bdi>`,
        html`<span class="faint">${line(each.receiver, NAME)}</span>`,
        html`<${Sparkline} counts=${each.counts} starts=${starts} what="records" utc=${utc} />`,
        counted(each.requests),
        counted(each.records),
        ...(refused ? [html`<span class=${each.refused ? "wrong" : "faint"}>${counted(each.refused)}</span>`] : []),
        html`<span class="faint"><${Ago} time=${each.last_received_at} now=${new Date(end)} /></span>`,
      ] }))} /></div>` : html`<p class="nothing">Nothing came in this time.</p>`}`}
  </>`;
}
