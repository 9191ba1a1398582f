/** Where records are sent on: how far each destination has come, and what can be said to it. */

import { useState } from "preact/hooks";
import { html } from "../html.js";
import { ask } from "../api.js";
import { Card } from "../card.js";
import { Asking } from "./asking.js";
import { notify } from "../notices.js";
import { rate } from "../numbers.js";
import { size, visible } from "../text.js";
import { counted, duration } from "../time.js";
import { Ago } from "../when.js";

export const pathOf = (name) => `api/v1/forwarders/${encodeURIComponent(name)}`;

/** Props: `state`, the answer of /forwarders; `letters`, whose dead letters are shown; `onLetters`. */
export function Forwarders({ state, letters, onLetters, again }) {
  return html`<${Card} title="Sent on" told="how far each destination has come" state=${state} again=${again} class="card-wide"
    empty=${({ forwarders }) => !forwarders.length && "Nothing is sent on: the configuration has no forwarders."}>
    ${({ forwarders }) => forwarders.map((each) => html`<${Forwarder} key=${each.name} of=${each}
      shown=${letters === each.name} onLetters=${onLetters} again=${again} />`)}
  </>`;
}

function Forwarder({ of, shown, onLetters, again }) {
  const [asking, askFor] = useState(null);
  const tell = (action, params, told) => ask(`${pathOf(of.name)}/${action}`, params, { method: "POST" }).then(() => {
    askFor(null);
    notify(told);
    again();
  });
  const failing = of.state === "running" && of.last_error && !(of.last_sent_at > of.last_error_at);
  const running = of.replays.filter(({ state }) => state === "running");
  return html`<article class="forwarder" aria-label=${of.name}>
    <header><h3><bdi>${visible(of.name)}</bdi></h3><span class="state state-${failing ? "failing" : of.state}">${of.state}${failing ? ", failing" : ""}</span>
      ${!of.configured && html`<span class="faint">not in the configuration</span>`}
      <span class="gap"></span>
      <div class="asking">
        ${of.state === "running"
          ? html`<button type="button" onClick=${() => askFor("pause")}>Pause…</button>`
          : html`<button type="button" onClick=${() => askFor("resume")}>Resume…</button>`}
        <button type="button" onClick=${() => askFor("skip")}>Skip…</button>
        <button type="button" onClick=${() => askFor("replay")}>Replay…</button>
        <button type="button" aria-expanded=${shown} onClick=${() => onLetters(shown ? null : of.name)}>
          Dead letters ${counted(of.dead_letters)}</button>
      </div></header>
    ${of.state !== "running" && html`<p class=${of.state === "stopped" ? "wrong" : "cut"}>${visible(of.reason ?? "without a reason")}</p>`}
    ${failing && html`<p class="wrong">It fails: ${visible(of.last_error)} (<${Ago} time=${of.last_error_at} />)</p>`}
    ${running.map(({ id, sent }) => html`<p>Replay ${id}: ${counted(sent)} sent so far</p>`)}
    <dl>
      <${Fact} name="waiting" value=${of.waiting ? counted(of.waiting.records) : "not known"} bad=${failing && of.waiting?.records > 0} />
      <${Fact} name="size of these" value=${of.waiting ? size(of.waiting.bytes) : "–"} />
      <${Fact} name="behind by" value=${of.waiting ? (of.waiting.records ? duration(of.waiting.seconds * 1_000) : "nothing") : "–"} />
      <${Fact} name="rate" value=${of.rate === null ? "–" : rate(of.rate)} />
      <${Fact} name="sent" value=${counted(of.sent)} />
      <${Fact} name="last sent" value=${of.last_sent_at ? html`<${Ago} time=${of.last_sent_at} />` : "never"} />
      <${Fact} name="left out" value=${counted(of.skipped + of.gone)}
        title="${counted(of.skipped)} too old or skipped, ${counted(of.gone)} deleted before" />
      <${Fact} name="rejected" value=${counted(of.rejected)} bad=${of.rejected > 0} />
    </dl>
    ${asking && html`<${Asking} action=${asking} of=${of} onClose=${() => askFor(null)} tell=${tell} />`}
  </article>`;
}

function Fact({ name, value, title, bad = false }) {
  return html`<div title=${title}><dt>${name}</dt><dd class=${bad ? "wrong" : ""}>${value}</dd></div>`;
}
