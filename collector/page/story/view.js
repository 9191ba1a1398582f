/** The story of a job, a request or a trace: the page that is sent to who asks what happened. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { go, link } from "../router.js";
import { EVER } from "../time.js";
import { account } from "./account.js";
import { useStory } from "./loading.js";
import { storyState } from "./state.js";
import { KINDS, Title } from "./summary.js";
import { Told } from "./told.js";

export const Job = ({ params }) => html`<${Story} kind="job" params=${params} />`;
export const Request = ({ params }) => html`<${Story} kind="request" params=${params} />`;
export const Trace = ({ params }) => html`<${Story} kind="trace" params=${params} />`;

function Story({ kind, params }) {
  const { id } = params;
  if (!id) return html`<div class="story"><${Asking} kind=${kind} /></div>`;
  return html`<${Of} key=${`${kind} ${id}`} kind=${kind} id=${id} params=${params} />`;
}

function Of({ kind, id, params }) {
  const state = useMemo(() => storyState(kind, params), [kind, params]);
  const found = useStory(kind, id, state);
  const { entries, failure, loading, again } = found;
  const story = useMemo(() => (entries?.length ? account(kind, id, entries, Date.now()) : null), [kind, id, entries]);
  if (story) return html`<${Told} kind=${kind} id=${id} state=${state} found=${found} story=${story} />`;
  return html`<div class="story" aria-busy=${loading}>
    <header class="story-head"><${Title} kind=${kind} id=${id} /></header>
    ${failure ? html`<${Failed} failure=${failure} again=${again} />`
      : entries ? html`<${None} kind=${kind} id=${id} again=${again} />` : html`<${Coming} />`}
  </div>`;
}

function Coming() {
  return html`<p class="unseen" role="status">Loading…</p>
    <div class="coming" aria-hidden="true"><i></i><i></i><i class="tall"></i></div>`;
}

function Failed({ failure, again }) {
  return html`<div class="message" role="alert"><h2>${failure.passing ? "No answer now" : "That was refused"}</h2>
    <p>${failure.message}</p>
    <p><button type="button" onClick=${again}>Try again</button></p></div>`;
}

function None({ kind, id, again }) {
  const others = KINDS.filter(([name]) => name !== kind);
  return html`<div class="message"><h2>No record names this ${kind}</h2>
    <p>Either nothing was logged about it, or its records are deleted already, or it is the id of something else.</p>
    <p class="ways">${others.map(([name]) => html`<a class="button" href=${link(name, { id })}>Look for a ${name}</a>`)}
      <a class="button" href=${link("explorer", { q: quoted(id), last: EVER })}>Search all logs for it</a>
      <button type="button" onClick=${again}>Look again</button></p></div>`;
}

const quoted = (text) => `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;

/** What asks for an id, where the address has none. */
function Asking({ kind }) {
  const [chosen, choose] = useState(kind);
  const [id, set] = useState("");
  const field = useRef();
  useEffect(() => field.current.focus(), []);
  const show = () => id.trim() && go(chosen, { id: id.trim() });
  return html`<div class="message whose"><h1>Whose story?</h1>
    <p>All that was logged about one job, one request or one trace, by all services, in the order in which it happened.</p>
    <div><select aria-label="Of what" value=${chosen} onChange=${(event) => choose(event.target.value)}>
        ${KINDS.map(([name, title]) => html`<option value=${name}>${title}</option>`)}</select>
      <input aria-label="Its id" placeholder="id" value=${id} ref=${field}
        onInput=${(event) => set(event.target.value)} onKeyDown=${(event) => event.key === "Enter" && show()} />
      <button type="button" class="main" disabled=${!id.trim()} onClick=${show}>Show</button></div></div>`;
}
