/** The columns: the table's head, in which they are resized and moved, and the panel that chooses them. */

import { useState } from "preact/hooks";
import { html, steady } from "../html.js";
import { useAnswer, LOGS } from "../api.js";
import { FIRST_COLUMNS, NARROWEST } from "./state.js";

const STEP = 16; // pixels, by a key
const NAMES = { timestamp: "time", level: "", msg: "message", since: "since last" };

export const Header = steady(({ columns, widths, utc, onColumns }) => {
  const [dragged, drag] = useState(null);
  const resize = (index, width) => onColumns(columns.map((column, at) => (
    at === index ? { ...column, width: Math.max(NARROWEST, width) } : column)));
  const move = (from, to) => onColumns(moved(columns, from, to));
  const key = (event, index) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !event.altKey) return;
    event.preventDefault();
    move(index, index + step);
  };
  return html`<div role="rowgroup" class="head"><div role="row" aria-rowindex="1">
    ${columns.map(({ name }, index) => html`<div role="columnheader" key=${name} aria-colindex=${index + 1}
      draggable="true" aria-label=${name} title=${hint(name, utc)}
      onKeyDown=${(event) => key(event, index)}
      onDragStart=${() => drag(index)} onDragOver=${(event) => event.preventDefault()}
      onDrop=${() => dragged !== null && move(dragged, index)} onDragEnd=${() => drag(null)}>
      <span>${NAMES[name] ?? name}</span>
      ${index < columns.length - 1 && html`<${Handle} name=${name} width=${widths[index]}
        onWidth=${(width) => resize(index, width)} />`}
    </div>`)}
  </div></div>`;
});

function Handle({ name, width, onWidth }) {
  const now = (event) => width ?? event.currentTarget.parentElement.offsetWidth;
  const down = (event) => {
    event.preventDefault();
    const [from, start, target] = [event.clientX, now(event), event.currentTarget];
    target.setPointerCapture(event.pointerId);
    target.onpointermove = ({ clientX }) => onWidth(start + clientX - from);
    target.onpointerup = () => { target.onpointermove = null; };
  };
  const key = (event) => {
    const step = { ArrowLeft: -STEP, ArrowRight: STEP }[event.key];
    if (!step || event.altKey) return; // with Alt it moves the column
    event.preventDefault();
    event.stopPropagation();
    onWidth(now(event) + step);
  };
  return html`<span class="handle" role="separator" tabindex="0" aria-orientation="vertical"
    aria-label="Width of ${name}" aria-valuenow=${Math.round(width ?? 0)} aria-valuemin=${NARROWEST}
    draggable="false" onPointerDown=${down} onKeyDown=${key}></span>`;
}

/** What stands in the panel: the columns in their order, and all other fields; `first` are those at first. */
export function ColumnChoice({ columns, search, onColumns, first = FIRST_COLUMNS }) {
  const [wanted, want] = useState("");
  const { answer } = useAnswer(`${LOGS}/fields`, { ...search, sample_limit: 1_000 });
  const names = columns.map(({ name }) => name);
  const keys = new Set(answer?.dynamic);
  const others = (answer?.fields ?? []).map((name) => (keys.has(name) ? `extra.${name}` : name))
    .filter((name) => !names.includes(name) && !UNFIT.includes(name) && name.includes(wanted.toLowerCase()));
  return html`<div class="choice">
    <h2>Columns</h2>
    <ol>${columns.map(({ name }, index) => html`<li key=${name}>
      <span>${name}</span>
      <button type="button" class="quiet" aria-label="Move ${name} up" disabled=${index === 0}
        onClick=${() => onColumns(moved(columns, index, index - 1))}>↑</button>
      <button type="button" class="quiet" aria-label="Move ${name} down" disabled=${index === columns.length - 1}
        onClick=${() => onColumns(moved(columns, index, index + 1))}>↓</button>
      <button type="button" class="quiet" aria-label="Remove ${name}" disabled=${columns.length === 1}
        onClick=${() => onColumns(columns.filter((each) => each.name !== name))}>✕</button>
    </li>`)}</ol>
    <h2>Others</h2>
    <input type="search" placeholder="Find a field" aria-label="Find a field" value=${wanted}
      onInput=${(event) => want(event.target.value)} />
    <ul>${others.map((name) => html`<li key=${name}><button type="button" class="quiet"
      onClick=${() => onColumns(added(columns, name))}>+ ${name}</button></li>`)}</ul>
    <button type="button" onClick=${() => onColumns(first)}>As at first</button>
  </div>`;
}

const UNFIT = ["extra", "created_at"];

/** *columns* with the field *name*, before the message if that is the last. */
export function added(columns, name) {
  const last = columns.at(-1);
  return last?.name === "msg" ? [...columns.slice(0, -1), { name }, last] : [...columns, { name }];
}

function moved(columns, from, to) {
  if (to < 0 || to >= columns.length) return columns;
  const found = [...columns];
  found.splice(to, 0, ...found.splice(from, 1));
  return found;
}

function hint(name, utc) {
  const zone = utc ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone;
  return `${name}${name === "timestamp" ? `, ${zone}` : ""}; drag to move it, its edge to resize it; or Alt+arrows and arrows on its edge`;
}
