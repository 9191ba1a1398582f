/** A small picture of counts over time, for beside a number that says the same. */

import { html } from "./html.js";
import { counted, moment } from "./time.js";

const HEIGHT = 20; // units; the style says how many pixels
const LEAST = 1.5; // units of a bar that stands for something

/** Props: `counts` and `starts` of the buckets; `what` is counted; `utc`. */
export function Sparkline({ counts, starts, what, utc, class: name = "" }) {
  const most = Math.max(1, ...counts);
  const bars = counts.map((count, at) => {
    if (!count) return "";
    const height = Math.max(LEAST, (count / most) * HEIGHT);
    return `M${at + 0.1} ${HEIGHT}v-${height.toFixed(2)}h0.8v${height.toFixed(2)}z`;
  }).join("");
  const at = counts.indexOf(Math.max(...counts));
  const label = `${what} over time, most at ${at < 0 ? "no time" : moment(starts[at], { utc, seconds: true }).slice(0, 16)}:`
    + ` ${counted(counts[at] ?? 0)}`;
  return html`<svg class="sparkline ${name}" viewBox=${`0 0 ${counts.length || 1} ${HEIGHT}`} preserveAspectRatio="none"
    role="img" aria-label=${label}><title>${label}</title><path d=${bars} /></svg>`;
}
