/**
 * Records as they are stored, over Server-Sent Events.
 *
 * The browser connects again by itself. Where it gives up, and while nobody sees the page, this
 * does, from the last position: nothing is missed.
 */

import { LOGS, url } from "../api.js";

const EVERY = 150; // milliseconds: what comes meanwhile is shown at once
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
    clearTimeout(this.#again);
  }

  #connect() {
    this.#disconnect();
    const source = this.#source = new EventSource(url(`${LOGS}/tail`, { ...this.#search, from: this.#position }));
    const begun = this.#position;
    let opened = false;
    const on = (event, does) => source.addEventListener(event, (given) => {
      this.#position = given.lastEventId || this.#position;
      does(given);
    });
    this.#state("connecting");
    source.onopen = () => { opened = true; };
    on("message", ({ data }) => this.#take(data));
    on("position", () => {});
    on("caught_up", () => this.#state("live"));
    on("behind", ({ data }) => this.#state("behind", behind(JSON.parse(data))));
    source.onerror = () => {
      this.#state("connecting");
      if (source.readyState !== EventSource.CLOSED) return;
      if (begun && !opened) this.#position = "";
      this.#again = setTimeout(() => (begun && !opened ? this.#calls.onLost() : this.#connect()), AGAIN);
    };
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

function behind({ reason, records, seconds }) {
  const much = records ? `${records} records` : seconds && `${Math.round(seconds)} s`;
  return [much && `${much} behind`, reason].filter(Boolean).join(": ");
}
