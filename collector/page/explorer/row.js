/** A record as a row, and when it is open with all its fields below. */

import { Component } from "preact";
import { differs, html } from "../html.js";
import { Level, levelOf } from "../levels.js";
import { valueOf, written } from "../fields.js";
import { line, visible } from "../text.js";
import { clock, duration } from "../time.js";
import { Detail } from "./detail.js";

const WRAPPED = 4_000; // characters that a cell has at most where lines wrap
const VALUE = 60; // characters of a value behind a message
// What stands behind a message, in this order, as at a terminal.
const BESIDE = ["job_id", "request_id", "submission_id", "provider_id", "operation_type", "user_id", "attempt"];
const PLAIN = /^[ -~]*$/;
const MOST_EXTRA = 12; // keys behind a message
const REPEATING = ["event", "exception", "stacktrace", "exception.stacktrace", "exception.message", "exception.type"];

export class Row extends Component {
  shouldComponentUpdate(next) {
    return differs(next, this.props);
  }

  render({ entry, index, before, top, columns, fits, wrap, brief, utc, q, open, selected, marked, table }) {
    const level = levelOf(entry);
    const { onOpen, onFilter, onColumns, cells, known = [] } = table.props;
    const measured = (element) => (open || wrap) && table.drawn(index, element);
    return html`<div class="row-place ${open || wrap ? "" : "row-usual"}" role="presentation" ref=${measured} style=${{ top: `${top}px` }}>
      <div role="row" id="row-${index}" aria-rowindex=${index + 2} aria-selected=${selected} aria-expanded=${open}
        class="row row-${level.name} ${selected ? "row-selected" : ""} ${marked ? "row-marked" : ""}"
        onClick=${() => clicked() && onOpen(entry, index)}>
        ${columns.map(({ name }, column) => html`<div role="gridcell" aria-colindex=${column + 1} data-name=${wrap ? name : undefined}
          class="cell cell-${name.replaceAll(".", "-")}">${cells?.[name]?.(entry, before)
            ?? cell(name, entry, { level, most: wrap ? WRAPPED : fits[column], brief, utc, columns, known })}</div>`)}
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

function cell(name, entry, { level, most, brief, utc, columns, known }) {
  if (name === "timestamp") return clock(entry.timestamp, { utc });
  if (name === "level") return html`<${Level} level=${level} />`;
  if (name === "msg") return message(entry, { most, brief }, [...known, ...columns.map((column) => column.name)]);
  const value = valueOf(entry, name);
  return value === undefined ? null : piece("value", line(written(value), most));
}

/**
 * What is said, and behind it what else is known: as much of it as can be seen; of `brief`
 * rows nothing.
 *
 * Every row has the same few elements side by side, which the next record takes over.
 */
function message(entry, { most, brief }, elsewhere) {
  const drawn = [];
  let left = most; // characters
  for (const { kind, name = "", text } of brief ? [said(entry, most)] : pieces(entry, most, elsewhere)) {
    if (left <= 0) {
      drawn.push(" …");
      break;
    }
    if (!name) drawn.push(drawn.length ? " " : "");
    else if (PLAIN.test(name)) drawn.push(` ${name}=`);
    else drawn.push(" ", piece("", name), "=");
    drawn.push(piece(kind, text));
    left -= name.length + text.length + 2;
  }
  return drawn;
}

/** Text by itself; what may run from right to left must not turn around what stands beside it. */
function piece(kind, text) {
  return PLAIN.test(text) ? html`<span class=${kind}>${text}</span>` : html`<bdi class=${kind}>${text}</bdi>`;
}

const told = (entry) => entry.msg ?? entry.event_name ?? "";
const said = (entry, most) => ({ kind: "said", text: line(told(entry), most) });

/** The pieces of a message: { kind, text }, and of what stands behind it also its `name`. */
function* pieces(entry, most, elsewhere) {
  const here = (field) => entry[field] != null && !elsewhere.includes(field);
  if (entry.stage && entry.stage !== told(entry) && here("stage")) yield { kind: "stage", text: line(entry.stage, VALUE) };
  yield said(entry, most);
  if (here("duration_ms")) yield { kind: "took", text: duration(entry.duration_ms) };
  if (entry.error && here("error")) {
    const type = entry.error_type ? `${visible(entry.error_type)}: ` : "";
    yield { kind: "wrong", text: `${type}${line(entry.error, most)}` };
  }
  const beside = (name, value) => ({ kind: "beside", name: line(name, VALUE), text: line(written(value), VALUE) });
  for (const name of BESIDE) if (here(name)) yield beside(name, entry[name]);
  const extra = Object.entries(entry.extra ?? {})
    .filter(([name]) => !REPEATING.includes(name) && !elsewhere.includes(`extra.${name}`));
  for (const [name, value] of extra.slice(0, MOST_EXTRA)) yield beside(name, value);
}
