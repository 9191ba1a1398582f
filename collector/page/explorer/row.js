/** A record as a row, and when it is open with all its fields below. */

import { Component } from "preact";
import { html } from "../html.js";
import { Level, levelOf } from "../levels.js";
import { valueOf, written } from "../fields.js";
import { line, visible } from "../text.js";
import { clock, duration, moment } from "../time.js";
import { Detail } from "./detail.js";

const CELL = 400; // characters that a cell has at most
const WRAPPED = 4_000; // where lines wrap
const VALUE = 60; // characters of a value behind a message
// What stands behind a message, in this order, as at a terminal.
const BESIDE = ["job_id", "request_id", "submission_id", "provider_id", "operation_type", "user_id", "attempt"];
const MOST_EXTRA = 12; // keys behind a message
const REPEATING = ["event", "exception", "stacktrace", "exception.stacktrace", "exception.message", "exception.type"];

export class Row extends Component {
  shouldComponentUpdate(next) {
    const now = this.props;
    return Object.keys(next).some((name) => next[name] !== now[name]);
  }

  render({ entry, index, before, top, columns, wrap, utc, q, open, selected, marked, table }) {
    const level = levelOf(entry);
    const most = wrap ? WRAPPED : CELL;
    const { onOpen, onFilter, onColumns, cells, known = [] } = table.props;
    const measured = (element) => (open || wrap) && table.drawn(index, element);
    return html`<div class="row-place" role="presentation" ref=${measured}
      style=${{ transform: `translateY(${top}px)` }}>
      <div role="row" id="row-${index}" aria-rowindex=${index + 2} aria-selected=${selected} aria-expanded=${open}
        class="row row-${level.name} ${selected ? "row-selected" : ""} ${marked ? "row-marked" : ""}"
        onClick=${() => clicked() && onOpen(entry, index)}>
        ${columns.map(({ name }, column) => html`<div role="gridcell" aria-colindex=${column + 1}
          class="cell cell-${name.replaceAll(".", "-")}">${cells?.[name]?.(entry, before) ?? cell(name, entry, { level, most, utc, columns, known })}</div>`)}
      </div>
      ${open && html`<${Detail} key=${entry.id} entry=${entry} q=${q} utc=${utc} columns=${columns}
        onFilter=${onFilter} onColumns=${onColumns} onClose=${() => onOpen(entry, index)}
        onGrown=${() => table.forceUpdate()} />`}
    </div>`;
  }
}

/** Whether a click means the row, and not the end of a selection of text. */
function clicked() {
  return getSelection().isCollapsed;
}

function cell(name, entry, { level, most, utc, columns, known }) {
  if (name === "timestamp") {
    return html`<time datetime=${entry.timestamp} title=${moment(entry.timestamp, { utc })}>
      ${clock(entry.timestamp, { utc })}</time>`;
  }
  if (name === "level") return html`<${Level} level=${level} />`;
  if (name === "msg") return html`<${Message} entry=${entry} most=${most} columns=${columns} known=${known} />`;
  const value = valueOf(entry, name);
  return value === undefined ? null : html`<bdi>${line(written(value), most)}</bdi>`;
}

/** What is said, and behind it what else is known, but for what has a column of its own. */
function Message({ entry, most, columns, known }) {
  const message = entry.msg ?? entry.event_name ?? "";
  const elsewhere = (field) => known.includes(field) || columns.some(({ name }) => name === field);
  const beside = BESIDE.filter((name) => entry[name] != null && !elsewhere(name)).map((name) => [name, entry[name]]);
  const extra = Object.entries(entry.extra ?? {})
    .filter(([name]) => !REPEATING.includes(name) && !elsewhere(`extra.${name}`)).slice(0, MOST_EXTRA);
  return html`
    ${entry.stage && entry.stage !== message && !elsewhere("stage") && html`<span class="stage">${line(entry.stage, VALUE)}</span>${" "}`}
    <bdi class="said">${line(message, most)}</bdi>
    ${entry.duration_ms != null && !elsewhere("duration_ms") && html`${" "}<span class="took">${duration(entry.duration_ms)}</span>`}
    ${entry.error && !elsewhere("error") && html`${" "}<bdi class="wrong">${entry.error_type && `${visible(entry.error_type)}: `}${line(entry.error, most)}</bdi>`}
    ${[...beside, ...extra].map(([name, value]) => html`${" "}<span class="beside"><i>${line(name, VALUE)}=</i><bdi>${line(written(value), VALUE)}</bdi></span>`)}`;
}
