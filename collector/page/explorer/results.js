/** The records of a search or around a line, loaded page by page; the newest are first. */

import { ask, LOGS } from "../api.js";
import { asked } from "../time.js";

const FIRST_PAGE = 100; // records: what is seen at once
const PAGE = 500;
const AROUND = 100; // records on either side of a line

/** What a state asks for, as a text that is another when it asks for something else, or once more. */
export function questionOf({ q, range, around, scope, live }, run = 0) {
  return JSON.stringify([q, range, around, scope, live, run]);
}

/** Loads records, and calls `changed` whenever there is something new to see. */
export class Results {
  rows = [];
  begun = false;
  loading = true;
  complete = false; // whether there is nothing older
  failure = null;
  incomplete = null;
  seconds = null; // that the first page took
  version = 0;
  #stop = new AbortController();
  #cursor = null;
  #newer = null; // around a line only

  constructor({ q, range, around, scope }, changed = () => {}) {
    this.search = { q, ...asked(range) };
    this.around = around;
    this.scope = scope;
    this.changed = changed;
  }

  /** Load the first records, or after a failure the next. */
  async load() {
    const from = performance.now();
    this.begun = true;
    this.loading = true;
    this.failure = null;
    this.#tell();
    try {
      if (this.around === null) await this.#page();
      else await this.#surroundings();
      this.seconds ??= (performance.now() - from) / 1_000;
    } catch (failure) {
      if (this.#stop.signal.aborted) return;
      this.failure = failure;
    }
    this.loading = false;
    this.#tell();
  }

  /** Load more, older ones, unless that happens already. */
  more() {
    if (!this.loading && !this.complete && !this.failure) this.load();
  }

  /** Put new records before all others, but those that are there; keep *most* of all. */
  prepend(entries, most) {
    const known = new Set(this.rows.slice(0, PAGE).map(({ id }) => id));
    const rows = entries.filter(({ id }) => !known.has(id)).concat(this.rows);
    if (rows.length > most) {
      this.complete = true; // what is older than these cannot be loaded behind them any more
      this.incomplete = `only the newest ${most} are kept here while live; search again for older ones`;
    }
    this.rows = rows.slice(0, most);
    this.#tell();
  }

  /** Load lines that are newer than those around a line. */
  async newer() {
    if (this.#newer === null) return;
    const { answer } = await ask(`${LOGS}/context/${this.around}`, {
      before: 0, after: AROUND, scope: this.scope, cursor: this.#newer,
    }, { signal: this.#stop.signal });
    this.#newer = answer.newer_cursor;
    this.rows = [...answer.after].reverse().concat(this.rows);
    this.#tell();
  }

  get hasNewer() {
    return this.#newer !== null;
  }

  close() {
    this.#stop.abort();
    this.changed = () => {};
  }

  async #page() {
    const limit = this.rows.length ? PAGE : FIRST_PAGE;
    const { answer, incomplete } = await ask(`${LOGS}/query`, {
      ...this.search, limit, cursor: this.#cursor, total: "none", under: "logs",
    }, { signal: this.#stop.signal });
    this.#add(answer.logs, answer.next_cursor);
    // A page that is cut short for its size goes on at the next.
    if (this.complete) this.incomplete = incomplete;
  }

  async #surroundings() {
    const { answer, incomplete } = await ask(`${LOGS}/context/${this.around}`, {
      before: AROUND, after: this.#cursor ? 0 : AROUND, scope: this.scope, cursor: this.#cursor,
    }, { signal: this.#stop.signal });
    const first = this.#cursor ? [] : [...answer.after].reverse().concat(answer.line);
    if (!this.#cursor) this.#newer = answer.newer_cursor;
    this.#add(first.concat([...answer.before].reverse()), answer.older_cursor);
    this.incomplete = incomplete;
  }

  #add(entries, cursor) {
    // Not `push(...entries)`, which has an end at some size of the stack.
    for (const each of entries) this.rows.push(each);
    this.#cursor = cursor;
    this.complete = cursor === null;
  }

  #tell() {
    this.version += 1;
    this.changed();
  }
}
