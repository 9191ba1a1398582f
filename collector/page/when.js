/** Times as the page shows them: local, or in UTC where that is wanted, and in UTC when pointed at. */

import { html } from "./html.js";
import { clock, duration, moment } from "./time.js";

const inUtc = (time) => `${moment(time, { utc: true, seconds: true })} UTC`;

/** A time to the second, or to the minute. */
export function When({ time, utc, minute = false }) {
  return html`<time datetime=${time} title=${inUtc(time)}>${clock(time, { utc }).slice(0, minute ? -7 : -4)}</time>`;
}

/** How long ago a time was. */
export function Ago({ time, now = Date.now() }) {
  const ms = Math.max(0, now - new Date(time));
  return html`<time datetime=${time} title=${inUtc(time)}>${ms < 1_000 ? "just now" : `${duration(ms)} ago`}</time>`;
}
