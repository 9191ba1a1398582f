/** The records of a search or around a line, loaded page by page; the newest are first. */

import { ask, LOGS } from "../api.js";
import { asked } from "../time.js";

const FIRST_PAGE = 200; // records: what is seen at once
const PAGE = 1_000;
const AROUND = 100; // records on either side of a line

/** Loads records, and calls `changed` whenever there is something new to see. */
export class Results {
  rows = [];
  loading = true;
  complete = false; // whether there is nothing older
  failure = null;
  incomplete = null;
  seconds = null; // that the first page took
  version = 0;
  #stop = new AbortController();
  #cursor = null;

  constructor({ q, range, around, scope }, changed) {
    this.search = { q, ...asked(range) };
    this.around = around;
    this.scope = scope;
    this.changed = changed;
  }

  /** Load the first records, or after a failure the next. */
  async load() {
    const from = performance.now();
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

  /** Put records that are newer than all others before them. */
  prepend(entries) {
    this.rows = entries.concat(this.rows);
    this.#tell();
  }

  close() {
    this.#stop.abort();
    this.changed = () => {};
  }

  async #page() {
    const limit = this.rows.length ? PAGE : FIRST_PAGE;
    const { answer, incomplete } = await ask(`${LOGS}/query`, {
      ...this.search, limit, cursor: this.#cursor, total: "none",
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
