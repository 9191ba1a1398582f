/**
 * A story over time: a lane for each service, stage or span, with its records, what took a while,
 * attempts, and silences. The list below says the same to who doesn't see it.
 */

import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { line } from "../text.js";
import { counted, duration } from "../time.js";
import { at } from "./account.js";
import { bar, bars, marks } from "./marks.js";
import { Pointer } from "./pointer.js";
import { axis, ticks } from "./scale.js";

const LANE = 22; // pixels, as in story.css
const ROW = 20; // pixels of a row above the lanes
const BEYOND = 6; // lanes that are drawn above and below those that are seen
const NARROW = 600;
const LABELS = { wide: 260, narrow: 124 }; // pixels
const EDGE = 22; // pixels at the end in which no name has room
const LETTER = 6.4; // pixels of a letter, about
const MOST_JOBS = 4; // whose attempts are shown
const GAP_SHARE = 0.08; // of what is seen, from which on a silence has room for its name

/**
 * Props: `lanes`, `story` (its account), `view` ({ from, to }, milliseconds), `lane` (the key of the
 * one that is chosen, or ""), `selected` (a record or null), and what to call: `onLane`, `onZoom`
 * (with the ends of a span), `onPick` (with a record).
 */
export function Timeline({ lanes, story, view, lane, selected, onLane, onZoom, onPick }) {
  const place = useRef();
  const [{ top, width, height }, measure] = useState({ top: 0, width: 900, height: 400 });
  useLayoutEffect(() => {
    const look = () => {
      const { scrollTop, clientWidth, clientHeight } = place.current;
      measure({ top: scrollTop, width: clientWidth, height: clientHeight });
    };
    const resized = new ResizeObserver(look);
    resized.observe(place.current);
    look();
    return () => resized.disconnect();
  }, []);
  const labels = innerWidth < NARROW ? LABELS.narrow : LABELS.wide;
  const scale = useMemo(() => axis(view.from, view.to, width - labels), [view.from, view.to, width, labels]);
  const rows = useMemo(() => heads(story, scale), [story, scale]);
  const first = Math.max(0, Math.floor(top / LANE) - BEYOND);
  const last = Math.min(lanes.length, Math.ceil((top + height) / LANE) + BEYOND);
  const drawn = useMemo(() => lanes.slice(first, last).map((each, index) => (
    html`<${Lane} key=${each.key} lane=${each} scale=${scale} y=${(index + 0.5) * LANE} />`)), [lanes, first, last, scale]);
  const head = ROW * (rows.length + 1);
  const error = story.firstError && at(story.firstError);

  return html`<div class="timeline" ref=${place} tabindex="0" role="group" aria-label=${told(story, lanes)}
    style=${{ "--labels": `${labels}px` }}
    onScroll=${({ currentTarget }) => measure({ top: currentTarget.scrollTop, width, height })}>
    <div class="ruler" style=${{ height: `${head}px` }} aria-hidden="true">
      <div class="lane-names"><span>since the start</span>${rows.map(({ name }) => html`<span>${name}</span>`)}</div>
      <svg width=${scale.width} height=${head}>
        ${ticks(scale, story.start).filter(({ time }) => scale.x(time) < scale.width - EDGE).map(({ time, name }) => html`
          <text class="tick" x=${scale.x(time)} y="14">${name}</text>`)}
        ${rows.map(({ pieces }, row) => pieces.map((piece) => html`<${Piece} ...${piece} y=${(row + 1) * ROW} />`))}
      </svg>
    </div>
    <div class="lanes" style=${{ height: `${lanes.length * LANE}px` }}>
      <div class="lanes-drawn" style=${{ transform: `translateY(${first * LANE}px)` }}>
        <div class="lane-names">${lanes.slice(first, last).map((each) => html`<${Name} key=${each.key} lane=${each}
          chosen=${each.key === lane} onLane=${onLane} />`)}</div>
        <svg width=${scale.width} height=${(last - first) * LANE} aria-hidden="true">
          <defs><pattern id="silence" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <path d="M0 0v6" class="hatch" /></pattern></defs>
          ${rows.flatMap(({ pieces }) => pieces).map(({ left, right, kind }) => html`<rect class="band band-${kind}"
            x=${left} width=${right - left} y="0" height="100%" />`)}
          ${ticks(scale, story.start).map(({ time }) => html`<line class="grid" x1=${scale.x(time)} x2=${scale.x(time)} y1="0" y2="100%" />`)}
          ${drawn}
          <${Upright} time=${error} scale=${scale} name="first-error" />
          <${Upright} time=${selected && at(selected)} scale=${scale} name="selected" />
        </svg>
      </div>
      <${Pointer} lanes=${lanes} height=${LANE} scale=${scale} start=${story.start} onZoom=${onZoom} onPick=${onPick} />
    </div>
  </div>`;
}

function Name({ lane, chosen, onLane }) {
  const { key, name, about, depth, entries, lost, start, end } = lane;
  const wrong = entries.filter(({ severity_number: severity }) => severity >= 17).length;
  const title = [name, about, lost && `its parent ${lost} has no record here`].filter(Boolean).map((each) => line(each, 200)).join(" · ");
  const took = end > start ? `, ${duration(end - start)}` : "";
  const told = `Only ${title}${took}: ${entries.length} ${entries.length === 1 ? "record" : "records"}${wrong ? `, ${wrong} of errors` : ""}`;
  return html`<button type="button" class="lane-name depth-${depth ? 1 : 0}" aria-pressed=${chosen} title=${title} aria-label=${told}
    style=${{ paddingLeft: `${8 + Math.min(depth, 8) * 12}px` }} onClick=${() => onLane(chosen ? "" : key)}>
    ${depth > 0 && html`<i class="branch" aria-hidden="true"></i>`}
    ${lost && html`<i class="lost" aria-hidden="true">⋯</i>`}
    <bdi>${line(name, 80)}${about && html` <span>${line(about, 80)}</span>`}</bdi>
    ${wrong > 0 && html`<i class="wrongs">✕${wrong > 1 ? counted(wrong) : ""}</i>`}</button>`;
}

/** What a lane has; a span's bar goes from the first to the last that is known of it. */
function Lane({ lane, scale, y }) {
  const { entries, start, end } = lane;
  const span = end !== undefined && Number.isFinite(end - start) && start <= scale.to && end >= scale.from;
  const [left, right] = span ? [Math.max(0, scale.x(start)), Math.min(scale.width, scale.x(end))] : [];
  const after = span && right + 70 < scale.width;
  return html`
    ${span && html`<path class="span" d=${bar(left, right, y, 12)} />`}
    ${bars(entries, scale, y, 6).map(({ failed, d }) => html`<path class="took ${failed ? "took-failed" : ""}" d=${d} />`)}
    ${marks(entries, scale, y).map(({ name, d }) => html`<path class="mark mark-${name}" d=${d} />`)}
    ${span && end > start && html`<text class="length" y=${y + 4} x=${after ? right + 9 : left - 9}
      text-anchor=${after ? "start" : "end"}>${duration(end - start)}</text>`}`;
}

/** A piece of a row above the lanes, with its name where there is room for it. */
function Piece({ left, right, name, short, kind, y }) {
  const room = right - left - 6;
  const shown = [name, short].find((each) => each.length * LETTER <= room);
  return html`<g class="piece piece-${kind}"><title>${name}</title>
    <rect x=${left} y=${y + 2} width=${Math.max(2, right - left)} height=${ROW - 5} rx="3" />
    ${shown && html`<text x=${(left + right) / 2} y=${y + 13}>${shown}</text>`}</g>`;
}

function Upright({ time, scale, name }) {
  if (time === null || !(time >= scale.from && time <= scale.to)) return null;
  const x = Math.round(scale.x(time)) + 0.5;
  return html`<line class="upright upright-${name}" x1=${x} x2=${x} y1="0" y2="100%" />`;
}

/** The rows above the lanes: the attempts of each job, and the silences. */
function heads({ attempts, gaps }, scale) {
  const cut = ({ start, end, ...piece }) => ({
    ...piece, left: Math.max(0, scale.x(start)), right: Math.min(scale.width, scale.x(end)) });
  const seen = ({ start, end }) => end >= scale.from && start <= scale.to;
  const jobs = [...new Set(attempts.map(({ job }) => job))].slice(0, MOST_JOBS);
  const rows = jobs.map((job) => ({
    name: jobs.length > 1 ? `attempts of ${line(job, 20)}` : "attempts",
    pieces: attempts.filter((each) => each.job === job && seen(each)).map(({ start, end, attempt, failed }) => cut({
      start, end, kind: failed ? "failed" : "tried", short: `${failed ? "✕ " : ""}${attempt}`,
      name: `${failed ? "✕ " : ""}attempt ${attempt} · ${duration(end - start)}` })),
  }));
  const silences = gaps.filter((each) => seen(each) && each.end - each.start >= (scale.to - scale.from) * GAP_SHARE).map(({ start, end }) => cut({
    start, end, kind: "silence", short: duration(end - start), name: `${duration(end - start)} without a record` }));
  return silences.length ? [...rows, { name: "silence", pieces: silences }] : rows;
}

function told({ attempts, gaps, errors, start, end }, lanes) {
  const parts = [`${lanes.length} lanes over ${duration(end - start || 0)}`];
  if (attempts.length) parts.push(`${attempts.length} attempts, ${attempts.filter(({ failed }) => failed).length} with an error`);
  if (errors) parts.push(`${errors} errors`);
  if (gaps.length) parts.push(`the longest silence ${duration(gaps[0].end - gaps[0].start)}`);
  return `Timeline: ${parts.join("; ")}. The records below say the same.`;
}
