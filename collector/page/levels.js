/** Levels, each known by its letter and its shape, and not by its colour alone. */

import { html } from "./html.js";

// The least severity number of each, the worst first.
export const LEVELS = [
  { name: "critical", letter: "C", least: 21 },
  { name: "error", letter: "E", least: 17 },
  { name: "warning", letter: "W", least: 13 },
  { name: "info", letter: "I", least: 9 },
  { name: "debug", letter: "D", least: 5 },
  { name: "trace", letter: "T", least: 1 },
];
const UNKNOWN = { name: "unknown", letter: "?", least: 0 };

/** The level of a record. */
export function levelOf(entry) {
  return LEVELS.find(({ least }) => entry.severity_number >= least) ?? UNKNOWN;
}

export function Level({ level }) {
  return html`<span class="level level-${level.name}" title=${level.name} role="img"
    aria-label=${level.name}>${level.letter}</span>`;
}
