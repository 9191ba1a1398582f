/** Views that were saved under a name, for all who use this collector. */

import { useState } from "preact/hooks";
import { html } from "../html.js";
import { ask, useAnswer } from "../api.js";
import { copy } from "../clipboard.js";
import { notify } from "../notices.js";

const VIEWS = "api/v1/views";

export function SavedViews({ onClose }) {
  const [run, again] = useState(0);
  const [name, setName] = useState("");
  const [failure, fail] = useState(null);
  const { answer, failure: away } = useAnswer(VIEWS, {}, run);
  const views = answer?.views ?? [];
  const known = views.some((view) => view.name === name.trim());

  async function act(method, which, body, told) {
    try {
      await ask(`${VIEWS}/${encodeURIComponent(which)}`, {}, { method, body });
      fail(null);
      again(run + 1);
      notify(told);
    } catch (error) {
      fail(error);
    }
  }
  const save = () => {
    act("PUT", name.trim(), { query: location.search.slice(1) }, `Saved “${name.trim()}”`);
    setName("");
  };

  return html`<div class="saved">
    <button type="button" onClick=${() => copy(location.href, "the link")}>Copy a link to what is seen</button>
    <h2>Saved views</h2>
    ${away && html`<p class="wrong">${away.message}</p>`}
    ${answer && !views.length && html`<p class="faint">None yet. All who use this collector see what is saved here.</p>`}
    <ul>${views.map((view) => html`<li key=${view.name}>
      <a href=${`./?${view.query}`} onClick=${onClose}><bdi>${view.name}</bdi></a>
      <button type="button" class="tool" aria-label="Delete ${view.name}"
        onClick=${() => act("DELETE", view.name, undefined, `Deleted “${view.name}”`)}>✕</button></li>`)}</ul>
    <label>Save what is seen as <input value=${name} maxlength="100" onInput=${(event) => setName(event.target.value)}
      onKeyDown=${(event) => event.key === "Enter" && name.trim() && save()} /></label>
    <button type="button" class="main" disabled=${!name.trim()} onClick=${save}>${known ? "Replace" : "Save"}</button>
    ${failure && html`<p class="wrong" role="alert">${failure.message}</p>`}
  </div>`;
}
