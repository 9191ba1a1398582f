/** Operations: what comes in, what is refused, what is sent on, and what lies on disk. */

import { useReducer, useRef } from "preact/hooks";
import { html } from "../html.js";
import { useAnswer } from "../api.js";
import { useBeat } from "../beat.js";
import { TimePicker } from "../explorer/timepicker.js";
import { useKeys } from "../keyboard.js";
import { change } from "../router.js";
import { asked, milliseconds } from "../time.js";
import { DeadLetters } from "./deadletters.js";
import { Forwarders } from "./forwarders.js";
import { Intake } from "./intake.js";
import { Partitions } from "./partitions.js";
import { Refusals } from "./refusals.js";

const BEAT = 5_000; // milliseconds
const FIRST_SPAN = "6h";

export function Operations({ params }) {
  const utc = params.tz === "utc";
  const range = operationsRange(params);
  const [run, again] = useReducer((count) => count + 1, 0);
  const beat = `${run} ${useBeat(true, BEAT)}`;
  const openTimes = useRef();
  const forwarders = useAnswer("api/v1/forwarders", {}, beat);
  const to = {
    utc: () => change({ tz: utc ? null : "utc" }, { replace: true }),
    letters: (name) => change({ letters: name }),
  };
  useKeys("Operations", [
    { keys: ["t"], does: "Time", run: () => openTimes.current() },
    { keys: ["r"], does: "Look again", run: again },
    { keys: ["u"], does: "Local times or UTC", run: to.utc },
    { keys: ["Escape"], does: "Close the dead letters", run: () => to.letters(null) },
  ]);
  const seen = { run, utc, again };

  return html`<div class="cards-view">
    <h1 class="unseen">Operations</h1>
    <div class="searching"><span class="faint told">Shows itself anew every ${BEAT / 1_000} seconds.</span><span class="gap"></span>
      <${TimePicker} range=${range} utc=${utc} onRange=${change} onUtc=${to.utc} opener=${openTimes} ever=${false} />
      <button type="button" class="quiet" onClick=${again} title="Look again (r)" aria-label="Look again">↻</button>
    </div>
    <div class="cards">
      <${Intake} times=${asked(range)} beat=${beat} ...${seen} />
      <${Refusals} beat=${beat} ...${seen} />
      <${Forwarders} state=${forwarders} letters=${params.letters} onLetters=${to.letters} ...${seen} />
      ${params.letters && html`<${DeadLetters} key=${params.letters} name=${params.letters}
        forwarder=${forwarders.answer?.forwarders.find(({ name }) => name === params.letters)}
        onClose=${() => to.letters(null)} ...${seen} />`}
      <${Partitions} ...${seen} />
    </div>
  </div>`;
}

/** The range of an address; the last hours unless it says otherwise. */
function operationsRange({ last, start, end }) {
  if (start || end) return { start, end };
  return { last: Number.isNaN(milliseconds(last)) ? FIRST_SPAN : last };
}
