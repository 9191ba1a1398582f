/** What changes something is asked for once more, with what it will do. */

import { useState } from "preact/hooks";
import { html } from "../html.js";
import { Dialog } from "../dialog.js";
import { counted, moment, typed } from "../time.js";

const HOUR = 3_600_000;

/** Props: `action`, `of` which forwarder, `onClose`, and `tell`, which does it and gives a promise. */
export function Asking({ action, of, onClose, tell }) {
  const { waiting } = of;
  switch (action) {
    case "pause":
      return html`<${Confirm} title="Pause ${of.name}?" verb="Pause" onClose=${onClose} fields=${[["reason", "Why (is shown to others)", ""]]}
        run=${({ reason }) => tell("pause", { reason }, `Paused ${of.name}`)}>
        Nothing more is sent to it until it is resumed. Nothing is lost: what comes waits in the table.</>`;
    case "resume":
      return html`<${Confirm} title="Resume ${of.name}?" verb="Resume" onClose=${onClose}
        run=${() => tell("resume", {}, `Resumed ${of.name}`)}>
        It goes on where it was${waiting ? `, with ${counted(waiting.records)} records that wait` : ""}.</>`;
    case "skip":
      return html`<${Confirm} title="Skip what waits for ${of.name}?" verb="Skip" grave onClose=${onClose}
        run=${() => tell("skip", {}, `${of.name} goes on from now`)}>
        It goes on from now. ${waiting ? `${counted(waiting.records)} records that wait` : "What waits"} will never be sent to it,
        unless they are replayed. They stay in the table.</>`;
    default:
      return html`<${Confirm} title="Replay to ${of.name}?" verb="Replay" onClose=${onClose}
        fields=${[["start_time", "Received from", ago(HOUR), true], ["end_time", "to", ago(0), true]]}
        run=${(times) => tell("replay", times, `A replay to ${of.name} has begun`)}>
        What was received in this time, local, is sent once more, beside what is new. A destination that
        knows no doubles will have these records twice.</>`;
  }
}

const ago = (ms) => moment(Date.now() - ms, { seconds: true });

/**
 * A dialog that says what will be done, and does it.
 *
 * `fields` are lists of name, label, first value, and whether it is a time; `run` is called with their
 * values by name. `grave` marks what can't be undone.
 */
export function Confirm({ title, verb, grave = false, fields = [], run, onClose, children }) {
  const [values, set] = useState(Object.fromEntries(fields.map(([name, , first]) => [name, first])));
  const [running, begin] = useState(false);
  const [failure, fail] = useState(null);
  const wrong = fields.some(([name, , , time]) => time && typed(values[name]) === null);
  const act = async (event) => {
    event.preventDefault();
    begin(true);
    try {
      await run(Object.fromEntries(fields.map(([name, , , time]) => [name, time ? typed(values[name]) : values[name]])));
    } catch (error) {
      fail(error);
      begin(false);
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose}><form class="confirm" onSubmit=${act}>
    <p>${children}</p>
    ${fields.map(([name, label, , time]) => html`<label>${label} <input value=${values[name]}
      aria-invalid=${Boolean(time) && typed(values[name]) === null}
      onInput=${(event) => set({ ...values, [name]: event.target.value })} /></label>`)}
    ${failure && html`<p class="wrong" role="alert">${failure.message}</p>`}
    <div class="asking"><button type="button" onClick=${onClose}>Leave it</button>
      <button type="submit" class="main ${grave ? "grave" : ""}" disabled=${running || wrong}>${verb}</button></div>
  </form></>`;
}
