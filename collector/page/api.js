/** Questions to the collector. */

import { useEffect, useState } from "preact/hooks";

export const LOGS = "api/v1/logs";
export const UNAUTHORIZED = "unauthorized"; // an event of the window: a key is needed

/** Why a question has no answer: `message` is for people, `mistake` tells where a search is wrong. */
export class Failure extends Error {
  constructor(message, status = 0, mistake = null) {
    super(message);
    this.status = status; // 0 where the collector could not be reached
    this.mistake = mistake; // { column, length, suggestion, message }, in characters from 1
  }

  /** Whether the same question may have an answer later. */
  get passing() {
    return this.status === 0 || this.status >= 500;
  }
}

/** The URL of a question, from the page's own folder; values may be lists. */
export function url(path, params = {}) {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    for (const each of [value].flat()) if (each != null && each !== "") given.append(name, each);
  }
  const text = given.toString();
  return text ? `${path}?${text}` : path;
}

/**
 * Ask, and give the answer as JSON, with `incomplete`: why it has less than was asked for, or null.
 *
 * Throws a Failure, or an AbortError when `signal` said so.
 */
export async function ask(path, params = {}, { signal, method = "GET", body } = {}) {
  const response = await reach(url(path, params), { signal, method, body });
  if (!response.ok) throw await failure(response);
  const answer = response.status === 204 ? null : await response.json();
  return { answer, incomplete: response.headers.get("X-Incomplete") };
}

/** Ask for something whose body is read piece by piece; throws as `ask` does. */
export async function stream(path, params = {}, { signal } = {}) {
  const response = await reach(url(path, params), { signal });
  if (!response.ok) throw await failure(response);
  return response;
}

/**
 * The answer to a question in a component: { answer, incomplete, failure, loading }.
 *
 * While a new question is under way the answer is that of the last one. Another `run` asks anew;
 * a path of null asks nothing.
 */
export function useAnswer(path, params = {}, run = 0) {
  const [state, set] = useState({ answer: null, incomplete: null, failure: null, loading: true });
  const wanted = path && url(path, params);
  useEffect(() => {
    if (wanted === null) return set({ answer: null, incomplete: null, failure: null, loading: false });
    const stop = new AbortController();
    set((before) => ({ ...before, loading: true }));
    ask(path, params, { signal: stop.signal }).then(
      (found) => set({ ...found, failure: null, loading: false }),
      (failure) => stop.signal.aborted || set({ answer: null, incomplete: null, failure, loading: false }),
    );
    return () => stop.abort();
  }, [wanted, run]);
  return state;
}

async function reach(target, { body, ...options }) {
  const json = body === undefined ? {} : {
    body: JSON.stringify(body), headers: { "Content-Type": "application/json" },
  };
  let response;
  try {
    response = await fetch(target, { ...options, ...json });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("the collector cannot be reached");
  }
  if (response.status === 401) dispatchEvent(new Event(UNAUTHORIZED));
  return response;
}

async function failure(response) {
  const text = await response.text();
  let detail = text.trim() || response.statusText;
  try {
    detail = JSON.parse(text).detail ?? detail;
  } catch { /* then the text itself says it */ }
  if (typeof detail === "string") return new Failure(detail, response.status);
  const [first] = detail;
  const mistake = first.ctx && "column" in first.ctx ? { ...first.ctx, message: first.msg } : null;
  const place = first.loc?.at(-1);
  return new Failure(mistake ? first.msg : `${place}: ${first.msg}`, response.status, mistake);
}
