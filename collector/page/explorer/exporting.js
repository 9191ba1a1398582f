/** Exports of what is seen: loaded with progress, kept only when they are whole. */

import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { LOGS, stream } from "../api.js";
import { size } from "../text.js";
import { counted } from "../time.js";

const FORMATS = [["jsonl", "JSON lines"], ["csv", "CSV"], ["spreadsheet", "CSV for spreadsheets"]];
const NEWLINE = 10;
const SHOWN = 100; // milliseconds between two words on progress
const LAST = 4_000_000; // bytes at the end that have the last record

/** Props: `search`, parameters of the API; `total`, how many records it finds if that is known. */
export function Export({ search, total }) {
  const [format, setFormat] = useState("jsonl");
  const [state, set] = useState(null); // { records, bytes }, and at the end { done } or { failed }
  const stop = useRef(null);
  useEffect(() => () => stop.current?.abort(), []);

  async function run() {
    const abort = stop.current = new AbortController();
    const progress = (found) => set({ ...found, running: true });
    progress({ records: 0, bytes: 0 });
    try {
      const found = await load({ ...search, format }, abort.signal, progress);
      save(found.blob, found.name);
      set({ ...found, done: true });
    } catch (error) {
      set(abort.signal.aborted ? null : { failed: error.message });
    }
  }

  const running = state?.running;
  return html`<div class="export">
    <h2>Export all that the search finds</h2>
    <label>As <select value=${format} disabled=${running} onChange=${(event) => setFormat(event.target.value)}>
      ${FORMATS.map(([value, name]) => html`<option value=${value}>${name}</option>`)}</select></label>
    ${running
      ? html`<button type="button" onClick=${() => stop.current.abort()}>Stop</button>`
      : html`<button type="button" class="main" onClick=${run}>Export</button>`}
    ${running && html`<progress aria-label="Export" max=${total || undefined}
      value=${total ? Math.min(state.records, total) : undefined}></progress>`}
    <p role="status" class=${state?.failed ? "wrong" : "faint"}>${told(state, total)}</p>
  </div>`;
}

function told(state, total) {
  if (!state) return total == null ? "" : `${counted(total)} records by now`;
  if (state.failed) return `Nothing was saved: ${state.failed}`;
  const much = `${counted(state.records)}${state.running && total ? ` of ${counted(total)}` : ""} records, ${size(state.bytes)}`;
  return state.done ? `Saved whole: ${much}` : much;
}

/** Load a file; throws where it is not whole, as its last record says (docs/export.md). */
async function load(question, signal, progress) {
  const response = await stream(`${LOGS}/export`, question, { signal });
  const reader = response.body.getReader();
  const chunks = [];
  let [lines, bytes, shown] = [0, 0, 0];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    bytes += value.length;
    for (let at = value.indexOf(NEWLINE); at >= 0; at = value.indexOf(NEWLINE, at + 1)) lines += 1;
    if (performance.now() - shown > SHOWN) {
      shown = performance.now();
      progress({ records: lines, bytes });
    }
  }
  const blob = new Blob(chunks, { type: response.headers.get("Content-Type") });
  const records = complete(await blob.slice(-LAST).text(), question.format, lines);
  if (records === null) throw new Error("the file was cut short");
  const name = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition"))?.[1] ?? `logs.${question.format}`;
  return { blob, name, records, bytes };
}

/** The number of records that the end of a file tells, or null where it isn't the end. */
function complete(end, format, lines) {
  if (format === "jsonl") {
    if (!end) return 0;
    const found = /"_complete":\{"count":(\d+)\}\}\n$/.exec(end);
    return found && Number(found[1]);
  }
  const found = /,(?:(\d+)|_complete)\r\n$/.exec(end);
  if (!found) return null;
  return found[1] === undefined ? (lines === 1 ? 0 : null) : Number(found[1]);
}

function save(blob, name) {
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(blob);
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 60_000);
}
