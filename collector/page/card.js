/** Cards: parts of a view that load side by side, each with its own loading, empty and failed state. */

import { html } from "./html.js";

/**
 * A part of a view with a title.
 *
 * `state` is that of a useAnswer. `children`, a function from the answer to what stands in it, is not
 * called while there is none; `empty`, from the answer, gives words where there is nothing to
 * show. `rows` is how many it has room for at first, so that nothing moves when the answer comes.
 */
export function Card({ title, told, state, empty, again, rows = 8, class: name = "", children }) {
  const { answer, failure, loading, incomplete } = state;
  const nothing = answer && empty?.(answer);
  return html`<section class="card ${name}" aria-label=${title} aria-busy=${loading}>
    <header><h2>${title}</h2>${told && html`<p class="faint">${told}</p>`}</header>
    ${incomplete && html`<p class="cut">${since(answer)}${incomplete}</p>`}
    <div class="card-body" style=${{ minHeight: `${HEAD + rows * ROW}px` }}>
      ${failure && html`<${Failed} failure=${failure} again=${again} />`}
      ${!answer && !failure && loading && html`<div class="waiting" aria-hidden="true">
        ${Array.from({ length: Math.min(rows, 6) }, () => html`<i></i>`)}</div>`}
      ${nothing && html`<p class="nothing">${nothing}</p>`}
      ${answer && !nothing && children(answer)}
    </div>
  </section>`;
}

const [HEAD, ROW] = [46, 28]; // pixels; the head with what may stand below all rows
const since = (answer) => (answer?.since ? `since ${answer.since.slice(0, 16).replace("T", " ")} UTC: ` : "");

function Failed({ failure, again }) {
  if (failure.mistake) return html`<p class="nothing">The search above is not one yet.</p>`;
  return html`<p class="nothing" role="alert"><span class="wrong">${failure.message}</span>
    <button type="button" onClick=${again}>Try again</button></p>`;
}

/**
 * A table: `heads` are names of columns, those of numbers with a space before them; `rows` are
 * lists of cells, of which the first names its row.
 */
export function Rows({ label, heads, rows }) {
  return html`<table class="rows-table" aria-label=${label}>
    <thead><tr>${heads.map((head) => (head
      ? html`<th scope="col" class=${number(head)}>${head.trim()}</th>` : html`<td></td>`))}</tr></thead>
    <tbody>${rows.map(({ key, cells, class: name }) => html`<tr key=${key} class=${name}>
      ${cells.map((cell, at) => (at === 0
        ? html`<th scope="row">${cell}</th>`
        : html`<td class=${number(heads[at])}>${cell}</td>`))}</tr>`)}</tbody>
  </table>`;
}

const number = (head) => (head.startsWith(" ") ? "number" : "");
