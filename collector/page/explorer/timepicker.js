/** The range of time: a span up to now, or from one time to another. */

import { useState } from "preact/hooks";
import { html } from "../html.js";
import { Panel } from "../dialog.js";
import { EVER, milliseconds, moment, SPANS, told, typed } from "../time.js";

/**
 * Props: `range`, `utc`, `onRange`, called with the parameters of another; `onUtc`; `opener`; and
 * `ever`, whether all time may be chosen.
 */
export function TimePicker({ range, utc, onRange, onUtc, opener, ever = true }) {
  return html`<${Panel} label=${html`<span class="sign" aria-hidden="true">◷</span> ${told(range, utc)}`}
    title="Time (t)" opener=${opener} class="times">
    ${(close) => {
      const take = (changes) => {
        onRange(changes);
        close();
      };
      return html`
        <div class="spans">${[...SPANS, ...(ever ? [[EVER, "All time"]] : [])].map(([last, name]) => html`<button type="button"
          aria-pressed=${range.last === last} onClick=${() => take({ last, start: null, end: null })}>
          ${last === EVER ? name : `Last ${name}`}</button>`)}</div>
        <${Between} range=${range} utc=${utc} onRange=${take} />
        <label class="check"><input type="checkbox" checked=${utc} onChange=${() => onUtc(!utc)} />
          Times in UTC</label>`;
    }}
  </>`;
}

function Between({ range, utc, onRange }) {
  const first = (time) => (time ? moment(time, { utc, seconds: true }) : "");
  const [span, setSpan] = useState("");
  const [start, setStart] = useState(first(range.start));
  const [end, setEnd] = useState(first(range.end));
  const wrong = (text) => text.trim() !== "" && typed(text, utc) === null;
  const take = () => onRange({ last: null, start: typed(start, utc), end: typed(end, utc) });
  const bad = wrong(start) || wrong(end) || !(start.trim() || end.trim());
  const badSpan = Number.isNaN(milliseconds(span.trim()));
  const onEnter = (unfit, run) => (event) => {
    if (event.key !== "Enter" || unfit) return;
    event.preventDefault(); // or it would press the button that has the focus then
    run();
  };
  const other = () => onRange({ last: span.trim(), start: null, end: null });
  return html`<div class="between">
    <label>Last <input value=${span} placeholder="90s, 45m, 2d" aria-invalid=${span !== "" && badSpan}
      onInput=${(event) => setSpan(event.target.value)} onKeyDown=${onEnter(badSpan, other)} /></label>
    <button type="button" disabled=${badSpan} onClick=${other}>Show</button>
    <label>From <input value=${start} placeholder="2026-11-28 12:00" aria-invalid=${wrong(start)}
      onInput=${(event) => setStart(event.target.value)} onKeyDown=${onEnter(bad, take)} /></label>
    <label>To <input value=${end} placeholder="now" aria-invalid=${wrong(end)}
      onInput=${(event) => setEnd(event.target.value)} onKeyDown=${onEnter(bad, take)} /></label>
    <button type="button" disabled=${bad} onClick=${take}>Show</button>
  </div>`;
}
