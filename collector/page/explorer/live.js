/** Live: what comes in is put on top of the table, or waits while somebody reads further down. */

import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { notify } from "../notices.js";
import { counted } from "../time.js";
import { Tail } from "./tail.js";

const MOST = 50_000; // records that wait, and that the table has at most

/**
 * Let *results* have what the tail of the state's search brings.
 *
 * Gives { name, told, waiting, show }: how the tail is, how many records wait, and what lets them
 * in. The results are loaded when the tail has begun, so that nothing is missed between them;
 * `again` begins both anew.
 */
export function useLive(state, results, paused, again) {
  const [tail, setTail] = useState(null);
  const [waiting, setWaiting] = useState(0);
  const held = useRef([]);
  const pausing = useRef(paused);
  pausing.current = paused;

  const show = () => {
    const records = held.current;
    held.current = [];
    setWaiting(0);
    if (records.length) results.prepend(records, MOST);
  };
  useEffect(() => {
    held.current = [];
    setWaiting(0);
    setTail(null);
    if (!state.live || state.around !== null) return undefined;
    let begun = false;
    const following = new Tail(state, {
      onState: (found) => {
        setTail(found);
        if (found.name !== "live" || begun) return;
        begun = true;
        results.load();
      },
      onLost: () => {
        notify("The place in what is stored is gone, as after a restore: live again from now");
        again();
      },
      onRecords: (records) => {
        held.current = records.concat(held.current).slice(0, MOST);
        if (pausing.current || results.loading) setWaiting(held.current.length);
        else show();
      },
    });
    return () => following.close();
  }, [state.live, results]);
  useEffect(() => {
    if (!paused && !results.loading) show();
  }, [paused, results.loading]);
  return tail && { ...tail, waiting, show };
}

const NAMES = { connecting: "Connecting…", behind: "Catching up", live: "Live" };

/** How the tail is: for the toolbar. */
export function LiveState({ live, paused }) {
  const name = paused && live.name === "live" ? "Paused" : NAMES[live.name];
  return html`<span class="live live-${paused ? "paused" : live.name}" role="status" title=${live.told}>
    <i aria-hidden="true"></i>${name}${live.name === "behind" && live.told ? ` · ${live.told}` : ""}</span>`;
}

/** What lets in the records that wait. */
export function Waiting({ live, onShow }) {
  if (!live?.waiting) return null;
  const more = live.waiting === MOST ? "+" : "";
  return html`<button type="button" class="new-lines" onClick=${onShow}>
    ↑ ${counted(live.waiting)}${more} new ${live.waiting === 1 ? "line" : "lines"}</button>`;
}
