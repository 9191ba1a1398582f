/** All that a record has, each field a way to narrow the search; and the ways on from it. */

import { useState } from "preact/hooks";
import { html } from "../html.js";
import { copy } from "../clipboard.js";
import { curlOf, fieldsOf, sqlOf, STORIES, storyOf, written } from "../fields.js";
import { address, link } from "../router.js";
import { condition, standing } from "../search.js";
import { cutAt, size, visible } from "../text.js";
import { moment } from "../time.js";
import { added } from "./columns.js";

const SHOWN = 4_000; // characters of a value, until more are asked for
const MOST = 1_000_000;
const MINUTE = 60_000;

export function Detail({ entry, q, utc, columns, onFilter, onColumns, onClose, onGrown }) {
  const at = new Date(entry.timestamp).getTime();
  const near = Number.isNaN(at) ? null : {
    start: new Date(at - MINUTE).toISOString(), end: new Date(at + MINUTE).toISOString(), last: null };
  const here = address();
  const stories = Object.entries(STORIES).map(([field, view]) => ({ view, id: storyOf(entry, field) }))
    .filter(({ view, id }) => id != null && !(here.view === view && here.params.id === String(id)));
  return html`<div role="row" class="detail"><div role="gridcell" aria-colspan=${columns.length}>
    <div class="actions">
      ${stories.map(({ view, id }) => html`<a class="button" href=${link(view, { id })}>
        Story of this ${view}</a>`)}
      <a class="button" href=${link("explorer", { around: entry.id, open: entry.id })}>Lines around it</a>
      ${near && html`<a class="button" href=${link("explorer", { q, ...near, open: entry.id })}>± 1 minute</a>`}
      <span class="gap"></span>
      <button type="button" onClick=${() => copy(JSON.stringify(entry, null, 2), "JSON")}>Copy JSON</button>
      <button type="button" onClick=${() => copy(curlOf(entry), "the curl command")}>curl</button>
      <button type="button" onClick=${() => copy(sqlOf(entry), "the SQL")}>SQL</button>
      <button type="button" class="quiet" aria-label="Close" onClick=${onClose}>✕</button>
    </div>
    <dl class="fields">${fieldsOf(entry).map(({ name, value, plain }) => html`<div key=${name}>
      <dt><bdi>${visible(name)}</bdi></dt>
      <dd class="tools ${plain ? "" : "tools-few"}">
        ${plain && html`<${Tools} name=${name} value=${value} q=${q} onFilter=${onFilter} />`}
        <button type="button" class="tool" title="Show as a column" aria-label="Show ${name} as a column"
          disabled=${columns.some((each) => each.name === name)}
          onClick=${() => onColumns(added(columns, name))}>▥</button></dd>
      <dd class="value"><${Value} name=${name} value=${value} utc=${utc} onGrown=${onGrown} /></dd>
    </div>`)}</dl>
  </div></div>`;
}

function Tools({ name, value, q, onFilter }) {
  const now = standing(q, name, value);
  const shown = cutAt(visible(written(value)), 40);
  return html`
    <button type="button" class="tool" title="Only such" aria-pressed=${now === "in"}
      aria-label="Only ${name} ${shown}" onClick=${() => onFilter(condition(name, value))}>+</button>
    <button type="button" class="tool" title="None of such" aria-pressed=${now === "out"}
      aria-label="No ${name} ${shown}" onClick=${() => onFilter(condition(name, value, { out: true }))}>−</button>`;
}

function Value({ name, value, utc, onGrown }) {
  const [all, showAll] = useState(false);
  const text = written(value);
  if (name === "timestamp") return html`<time datetime=${text}>${moment(text, { utc })}</time> <small>${text}</small>`;
  const most = all ? MOST : SHOWN;
  const more = () => {
    showAll(true);
    setTimeout(onGrown);
  };
  const shown = html`<bdi class=${typeof value}>${visible(cutAt(text, most))}</bdi>`;
  const view = STORIES[name];
  return html`${view ? html`<a href=${link(view, { id: text })}>${shown}</a>` : shown}
    ${text.length > most && html` <button type="button" onClick=${all ? () => copy(text, name) : more}>
      ${all ? "Copy all" : "Show all"} ${size(text.length)}</button>`}`;
}
