/**
 * The table of records: only the rows that are seen are there, however many are loaded.
 *
 * All rows are equally high, but those that are open, and in lines that wrap every one: these are
 * measured when they are drawn. Lines that wrap have the message below all else, where there is no
 * room for it beside.
 */

import { Component } from "preact";
import { html } from "../html.js";
import { Header } from "./columns.js";
import { Heights } from "./heights.js";
import { Row } from "./row.js";
import { widthOf } from "./state.js";

const ROW = { dense: 22, roomy: 30 }; // pixels, as in explorer.css
const CHARACTER = { dense: 6, roomy: 6.5 }; // pixels of a character, in the narrowest of the fonts
const CELL = 400; // characters that a cell has at most
const WIDE = 240; // pixels that the message has at least
const HEAD = 28;
const BEYOND = 8; // rows that are drawn above and below those that are seen
const REST = 200; // milliseconds without scrolling
const FILLED = 16; // rows that have all they have again, in each frame
const AHEAD = { resting: 500, moving: 2_000 }; // rows before the end at which more are loaded

/**
 * Props: `results` and its `version`, the explorer's `state`, `cursor` (the index of the row
 * that keys work on), `handle` (a ref to this), `end` (what stands below the rows), and what to
 * call: `onOpen`, `onColumns`, `onFilter`, `onScrolled` (with whether the first row is seen).
 * `cells` has columns that are no fields, each a function of a record and the one before it;
 * `known`, fields that all records have in common.
 */
export class Table extends Component {
  // Of what passes faster than it can be read, only the first `full` rows have all they have.
  state = { top: 0, height: 600, width: 800, moving: false, full: Infinity };
  heights = new Heights(ROW.dense);
  #first = null; // the record of the first row, to know how many came before it

  componentDidMount() {
    this.props.handle.current = this;
    this.resized = new ResizeObserver(() => this.#measureView());
    this.resized.observe(this.grid);
    this.#measureView();
    this.#measureRows();
  }

  componentWillUnmount() {
    this.props.handle.current = null;
    this.resized.disconnect();
    cancelAnimationFrame(this.settling);
  }

  componentDidUpdate(before) {
    if (before.cursor !== this.props.cursor) this.#show(this.props.cursor);
    this.#measureRows();
  }

  render({ results, state, cursor }, { top, height, moving, full }) {
    this.#fit(results, state);
    const { heights } = this;
    const first = Math.max(0, heights.at(top) - BEYOND);
    // As many as can be seen at once, and always so many: a row that comes in takes the elements of
    // one that goes out. Of lines that wrap only those that are near.
    const slots = this.slots = Math.ceil(height / heights.usual) + 2 * BEYOND + 2;
    const near = state.wrap ? heights.at(top + height) + BEYOND : first + slots - 1;
    const last = Math.min(results.rows.length - 1, near);
    if (last > results.rows.length - AHEAD[moving ? "moving" : "resting"]) queueMicrotask(() => results.more());
    const { widths, fits, stacked } = this.#layout(state);
    this.variable = new Map(); // of the rows that are measured, their elements
    const rows = [];
    for (let index = first; index <= last; index += 1) {
      const entry = results.rows[index];
      const slot = index % slots;
      // While they move their elements stay in place, which is quicker; at rest, as they are read.
      rows[moving ? slot : index - first] = html`<${Row} key=${slot} index=${index} entry=${entry} before=${results.rows[index - 1]} top=${heights.top(index)}
        columns=${state.columns} fits=${fits} wrap=${state.wrap} brief=${index - first >= full && !state.wrap} utc=${state.utc} q=${state.q}
        open=${state.open.has(entry.id)} selected=${index === cursor} marked=${entry.id === state.around}
        table=${this} />`;
    }
    return html`<div ref=${(grid) => { this.grid = grid; }} tabindex="0" role="treegrid"
      class="table table-${state.density} ${state.wrap ? "table-wrap" : ""} ${stacked ? "table-stacked" : ""}" aria-label="Records"
      aria-rowcount=${results.complete ? results.rows.length + 1 : -1} aria-colcount=${state.columns.length}
      aria-busy=${results.loading} aria-activedescendant=${cursor === null ? undefined : `row-${cursor}`}
      style=${{ "--columns": grid(widths), "--least": `${stacked ? 0 : least(widths)}px` }}
      onScroll=${this.scrolled}>
      <${Header} columns=${state.columns} widths=${widths} utc=${state.utc} onColumns=${this.choose} />
      <div role="rowgroup" class="rows" style=${{ height: `${heights.total}px` }}>${rows}</div>
      ${this.props.end}
    </div>`;
  }

  /** The newest row, for who wants to see what comes. */
  toTop() {
    this.grid.scrollTop = 0;
  }

  /** Whether the last row is seen, and the way to it, for who wants to see what comes. */
  get atEnd() {
    return this.grid.scrollTop + this.grid.clientHeight > this.grid.scrollHeight - this.heights.usual;
  }

  toEnd() {
    this.grid.scrollTop = this.grid.scrollHeight;
  }

  focus() {
    this.grid.focus({ preventScroll: true });
  }

  /** How many rows a page has, for keys. */
  get page() {
    return Math.max(1, Math.floor((this.state.height - HEAD) / this.heights.usual) - 1);
  }

  /** The index of the first row that is wholly seen. */
  get firstSeen() {
    return this.heights.at(this.state.top + this.heights.usual - 1);
  }

  scrolled = () => {
    const top = this.grid.scrollTop;
    this.props.onScrolled?.(top < this.heights.usual);
    const fast = Math.abs(top - this.state.top) > this.state.height / 2;
    this.setState({ top, moving: true, full: fast ? 0 : this.state.full });
    this.scrolledAt = performance.now();
    if (fast) this.passedAt = this.scrolledAt;
    this.settling ??= requestAnimationFrame(this.settle);
  };

  /** Where nothing passed in this frame let some rows have all again; at rest put the elements in order. */
  settle = (now) => {
    const { moving, full } = this.state;
    if (full < Infinity && now > this.passedAt) this.setState({ full: full + FILLED < this.slots ? full + FILLED : Infinity });
    else if (now - this.scrolledAt > REST) this.setState({ moving: false });
    this.settling = moving || full < Infinity ? requestAnimationFrame(this.settle) : null;
  };

  choose = (columns) => this.props.onColumns(columns);

  /** The columns' widths in pixels, and how many characters may be seen in each: the same until they change. */
  #layout({ columns, range, density, wrap }) {
    const { width } = this.state;
    const made = [columns, range, density, wrap, width, innerWidth];
    if (!this.made || made.some((each, at) => each !== this.made[at])) {
      const widths = columns.map((column) => widthOf(column, range));
      const rest = width - widths.reduce((sum, each) => sum + (each ?? 0), 0);
      const fits = widths.map((each) => Math.min(CELL, Math.ceil((each ?? Math.max(WIDE, rest)) / CHARACTER[density])));
      Object.assign(this, { made, laid: { widths, fits, stacked: wrap && least(widths) > width } });
    }
    return this.laid;
  }

  /** Let the heights fit the rows; those of a new search begin at the top. */
  #fit(results, { density, wrap }) {
    const { rows } = results;
    const layout = `${density} ${wrap}`;
    if (this.layout !== layout || this.shown !== results) this.heights.clear(ROW[density]);
    if (this.shown !== results) {
      this.#first = null;
      if (this.grid) this.grid.scrollTop = 0;
    }
    const added = this.#first && rows[0] !== this.#first ? rows.indexOf(this.#first) : 0;
    this.heights.resize(rows.length, Math.max(0, added));
    [this.layout, this.shown, this.#first] = [layout, results, rows[0] ?? null];
  }

  #measureView() {
    if (!this.grid) return;
    const { clientHeight: height, clientWidth: width } = this.grid;
    if (width !== this.state.width && this.props.state.wrap) this.heights.clear();
    if (height !== this.state.height || width !== this.state.width) this.setState({ height, width });
  }

  /** Row elements tell of themselves here when they are drawn; those that vary are measured. */
  drawn(index, element) {
    if (element) this.variable.set(index, element);
  }

  #measureRows() {
    let changed = false;
    let above = 0;
    for (const [index, element] of this.variable) {
      if (!element.isConnected) continue;
      const more = this.heights.set(index, element.offsetHeight);
      changed ||= more !== 0;
      if (more && this.heights.top(index + 1) - more <= this.grid.scrollTop) above += more;
    }
    if (above) this.grid.scrollTop += above; // what is seen stays where it is
    if (changed) this.setState({ top: this.grid.scrollTop });
  }

  #show(index) {
    if (index === null) return;
    const { grid, heights } = this;
    const seen = grid.clientHeight - HEAD;
    const [top, bottom] = [heights.top(index), heights.top(index) + heights.usual];
    const away = Math.max(grid.scrollTop - top, bottom - grid.scrollTop - seen);
    const marked = this.props.results.rows[index]?.id === this.props.state.around;
    // What is far away, or is looked at for what is around it, is put in the middle.
    if (away > seen || marked) grid.scrollTop = top - seen / 2;
    else if (top < grid.scrollTop) grid.scrollTop = top;
    else if (away > 0) grid.scrollTop = bottom - seen;
  }
}

function grid(widths) {
  return widths.map((width) => (width === null ? `minmax(${WIDE}px, 1fr)` : `${width}px`)).join(" ");
}

function least(widths) {
  return widths.reduce((sum, width) => sum + (width ?? WIDE), 0);
}
