/** Records as they are stored, over Server-Sent Events; the browser connects again by itself. */

import { LOGS, url } from "../api.js";

const EVERY = 150; // milliseconds: what comes meanwhile is shown at once
const AGAIN = 5_000; // milliseconds until a connection that was refused is tried again

/**
 * Follows a search.
 *
 * Calls `onRecords` with records, the newest first, and `onState` with { name, told }, where the
 * name is "connecting", "behind" or "live".
 */
export class Tail {
  #waiting = [];
  #timer = null;

  constructor({ q }, { onRecords, onState }) {
    this.target = url(`${LOGS}/tail`, { q });
    this.onRecords = onRecords;
    this.onState = onState;
    this.#connect();
  }

  close() {
    this.source.close();
    clearTimeout(this.#timer);
    clearTimeout(this.again);
  }

  #connect() {
    const source = this.source = new EventSource(this.target);
    const state = (name, told = "") => this.onState({ name, told });
    state("connecting");
    source.addEventListener("message", (event) => this.#take(event));
    source.addEventListener("caught_up", () => state("live"));
    source.addEventListener("behind", ({ data }) => state("behind", behind(JSON.parse(data))));
    source.addEventListener("error", () => {
      state("connecting");
      // Of an answer that is none the browser makes an end; of a cut connection it doesn't.
      if (source.readyState === EventSource.CLOSED) this.again = setTimeout(() => this.#connect(), AGAIN);
    });
  }

  #take({ data }) {
    this.#waiting.push(JSON.parse(data));
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      const records = this.#waiting.reverse();
      this.#waiting = [];
      this.onRecords(records);
    }, EVERY);
  }
}

function behind({ reason, records, seconds }) {
  const much = records ? `${records} records` : seconds && `${Math.round(seconds)} s`;
  return [much && `${much} behind`, reason].filter(Boolean).join(": ");
}
