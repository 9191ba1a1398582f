/** Records that a destination did not take, with the reasons, to be sent again or given up. */

import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";
import { ask, useAnswer } from "../api.js";
import { Card } from "../card.js";
import { levelOf, Level } from "../levels.js";
import { notify } from "../notices.js";
import { link } from "../router.js";
import { line, visible } from "../text.js";
import { counted } from "../time.js";
import { When } from "../when.js";
import { Confirm } from "./asking.js";
import { pathOf } from "./forwarders.js";

const PAGE = 50;
const SAID = 300; // characters

export function DeadLetters({ name, forwarder, run, utc, again, onClose }) {
  const [first, setFirst] = useState(null); // the id that a page is before
  const [doing, does] = useState(null);
  const number = forwarder?.dead_letters;
  // They go one after the other when they are sent again.
  const state = useAnswer(`${pathOf(name)}/dead-letters`, { limit: PAGE, before: first }, `${run} ${number}`);
  useEffect(() => setFirst(null), [name]);
  const tell = (asking, told) => asking.then(() => {
    does(null);
    notify(told);
    again();
  });
  const retry = (ids, told) => tell(ask(`${pathOf(name)}/dead-letters/retry`, { id: ids }, { method: "POST" }), told);
  const dialogs = {
    all: () => html`<${Confirm} title="Send all dead letters again?" verb="Send again" onClose=${() => does(null)}
      run=${() => retry([], "The dead letters are sent again")}>
      All ${number === undefined ? "" : counted(number)} are sent to ${name} again, as they are in the table now. Those it takes
      are no dead letters any more.</>`,
    one: (id) => html`<${Confirm} title="Send dead letter ${id} again?" verb="Send again" onClose=${() => does(null)}
      run=${() => retry([id], `Dead letter ${id} is sent again`)}>The record is sent to ${name} again, as it is in the table now.</>`,
    delete: (id) => html`<${Confirm} title="Give up dead letter ${id}?" verb="Give up" grave onClose=${() => does(null)}
      run=${() => tell(ask(`${pathOf(name)}/dead-letters/${id}`, {}, { method: "DELETE" }), `Gave up dead letter ${id}`)}>
      The record will not be sent to ${name}. It stays in the table.</>`,
  };
  return html`<${Card} title="Dead letters of ${name}" told=${number !== undefined && counted(number)} state=${state} again=${again} class="card-all"
    empty=${(answer) => !answer.dead_letters.length && "There are none."}>
    ${({ dead_letters: letters, next_before: next }) => html`
      <div class="asking"><button type="button" onClick=${() => does(["all"])}>Send all again…</button>
        ${first !== null && html`<button type="button" onClick=${() => setFirst(null)}>Newest</button>`}
        ${next !== null && html`<button type="button" onClick=${() => setFirst(next)}>Older</button>`}
        <span class="gap"></span><button type="button" onClick=${onClose}>Close</button></div>
      <ul class="letters">${letters.map((each) => html`<li key=${each.id}>
        <p class="why"><span class="wrong">${visible(each.reason)}</span> <span class="faint">·${" "}
          ${each.attempts > 1 ? `${counted(each.attempts)} times · ` : ""}<${When} time=${each.created_at} utc=${utc} />${each.retry ? " · is to be sent again" : ""}</span></p>
        ${each.entry ? html`<${Said} entry=${each.entry} utc=${utc} />` : html`<p class="faint">the record is deleted</p>`}
        <div class="asking"><button type="button" aria-label="Send dead letter ${each.id} again" onClick=${() => does(["one", each.id])}>Again…</button>
          <button type="button" aria-label="Give up dead letter ${each.id}" onClick=${() => does(["delete", each.id])}>Give up…</button></div>
      </li>`)}</ul>`}
  </>
  ${doing && dialogs[doing[0]](doing[1])}`;
}

function Said({ entry, utc }) {
  return html`<p class="said"><${Level} level=${levelOf(entry)} /> <${When} time=${entry.timestamp} utc=${utc} /> ${line(entry.service, SAID)}
    ${" "}<a href=${link("explorer", { around: entry.id, open: entry.id })}><bdi>${line(entry.msg ?? entry.event_name ?? entry.error ?? "the record", SAID)}</bdi></a></p>`;
}
