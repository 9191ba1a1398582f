/**
 * Records as they are stored, over Server-Sent Events.
 *
 * The browser connects again by itself. Where it gives up, and while nobody sees the page, this
 * does, from the last position: nothing is missed. A position that is none any more, as after the
 * database was restored from a backup, is given up.
 */

import { LOGS, url } from "../api.js";

const EVERY = 150; // milliseconds: what comes meanwhile is shown at once
const REFUSED = 400; // the status
const AGAIN = 3_000; // milliseconds until a connection that was refused is tried again

/**
 * Follows a search.
 *
 * Calls `onRecords` with records, the newest first; `onState` with { name, told }, where the name
 * is "connecting", "behind" or "live"; and `onLost` when its position is none any more.
 */
export class Tail {
  #search;
  #calls;
  #position = ""; // after the last event
  #source = null;
  #again = null;
  #waiting = [];
  #timer = null;

  constructor({ q }, calls) {
    this.#search = { q };
    this.#calls = calls;
    document.addEventListener("visibilitychange", this.#seen);
    this.#connect();
  }

  close() {
    document.removeEventListener("visibilitychange", this.#seen);
    this.#disconnect();
    clearTimeout(this.#timer);
  }

  /** A browser has few connections to one place, for all its tabs: who isn't seen has none. */
  #seen = () => {
    if (document.hidden) this.#disconnect();
    else this.#connect();
  };

  #disconnect() {
    this.#source?.close();
    this.#source = null;
    clearTimeout(this.#again);
  }

  #connect() {
    this.#disconnect();
    const source = this.#source = new EventSource(this.#address());
    const on = (event, does) => source.addEventListener(event, (given) => {
      this.#position = given.lastEventId || this.#position;
      does(given);
    });
    this.#state("connecting");
    on("message", ({ data }) => this.#take(data));
    on("position", () => {});
    on("caught_up", () => this.#state("live"));
    on("behind", ({ data }) => this.#state("behind", behind(JSON.parse(data))));
    source.onerror = () => {
      this.#state("connecting");
      if (source.readyState === EventSource.CLOSED) this.#refused(source);
    };
  }

  #address() {
    return url(`${LOGS}/tail`, { ...this.#search, from: this.#position });
  }

  async #refused(source) {
    const lost = this.#position && await isLost(this.#address());
    if (this.#source !== source) return; // it has ended, or begun anew, meanwhile
    if (lost) this.#calls.onLost();
    else this.#again = setTimeout(() => this.#connect(), AGAIN);
  }

  #state(name, told = "") {
    this.#calls.onState({ name, told });
  }

  #take(data) {
    this.#waiting.push(JSON.parse(data));
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      const records = this.#waiting.reverse();
      this.#waiting = [];
      this.#calls.onRecords(records);
    }, EVERY);
  }
}

/** Whether a position is refused for good, which an EventSource doesn't tell from what passes. */
async function isLost(target) {
  const stop = new AbortController();
  try {
    return (await fetch(target, { signal: stop.signal })).status === REFUSED;
  } catch {
    return false;
  } finally {
    stop.abort();
  }
}

function behind({ reason, records, seconds }) {
  const much = records ? `${records} records` : seconds && `${Math.round(seconds)} s`;
  return [much && `${much} behind`, reason].filter(Boolean).join(": ");
}
