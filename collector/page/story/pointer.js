/** What the pointer does on a timeline: it tells of a record, goes to it, or drags out a span. */

import { useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { Level, levelOf } from "../levels.js";
import { line } from "../text.js";
import { counted, duration } from "../time.js";
import { at } from "./account.js";
import { nearest } from "./marks.js";
import { elapsed } from "./scale.js";

const DRAG = 5; // pixels from which on a click is none any more
const TIP = { width: 330, height: 110 }; // pixels, at most

/** Props: `lanes`, the `height` of one, `scale`, `start`, `onZoom`, and `onPick`. */
export function Pointer({ lanes, height, scale, start, onZoom, onPick }) {
  const [hovered, hover] = useState(null); // { entry, count, left, y }, in pixels of the window
  const [dragged, drag] = useState(null); // { from, to }, in pixels
  const begun = useRef(null);

  const meant = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const index = Math.floor(y / height);
    const found = lanes[index] && nearest(lanes[index].entries, x, scale);
    return { x, y: box.top + (index + 1) * height, left: event.clientX, found };
  };
  const move = (event) => {
    const { x, y, left, found } = meant(event);
    if (begun.current !== null && Math.abs(x - begun.current) > DRAG) {
      drag({ from: Math.min(x, begun.current), to: Math.max(x, begun.current) });
      hover(null);
    } else hover(found && { ...found, left, y });
  };
  const down = (event) => {
    if (event.button !== 0) return;
    begun.current = meant(event).x;
    if (event.pointerType === "mouse") event.currentTarget.setPointerCapture(event.pointerId);
  };
  const up = (event) => {
    const { found } = meant(event);
    if (dragged) onZoom(scale.time(dragged.from), scale.time(dragged.to));
    else if (found && begun.current !== null) onPick(found.entry);
    leave();
  };
  const leave = () => {
    begun.current = null;
    drag(null);
    hover(null);
  };
  return html`<div class="pointer ${hovered ? "pointer-on" : ""}" aria-hidden="true" onPointerMove=${move} onPointerDown=${down} onPointerUp=${up}
      onPointerLeave=${leave} onPointerCancel=${leave}>
    ${dragged && html`<i class="dragged" style=${{ left: `${dragged.from}px`, width: `${dragged.to - dragged.from}px` }}></i>`}
    ${hovered && html`<${Tip} ...${hovered} start=${start} height=${height} />`}
  </div>`;
}

function Tip({ entry, count, left, y, start, height }) {
  const x = Math.max(4, Math.min(left + 12, innerWidth - TIP.width));
  const above = y + TIP.height > innerHeight;
  const place = above ? { bottom: `${innerHeight - y + height + 4}px` } : { top: `${y + 4}px` };
  return html`<div class="tip" style=${{ left: `${x}px`, ...place }}>
    <p><${Level} level=${levelOf(entry)} /> <b>${elapsed(at(entry) - start)} s</b> <bdi>${line(entry.service, 40)}</bdi>
      ${entry.stage && html` <span class="stage">${line(entry.stage, 40)}</span>`}</p>
    <p><bdi>${line(entry.msg ?? entry.event_name ?? "", 140)}</bdi>
      ${entry.duration_ms != null && html` <b>${duration(entry.duration_ms)}</b>`}</p>
    ${entry.error && html`<p class="wrong"><bdi>${line(entry.error, 140)}</bdi></p>`}
    ${count > 1 && html`<p class="faint">and ${counted(count - 1)} more here</p>`}
  </div>`;
}
