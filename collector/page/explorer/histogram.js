/** How many records there are over time, by level. What is dragged over is looked at closer. */

import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { LEVELS } from "../levels.js";
import { clock, counted, moment } from "../time.js";

const HEIGHT = 84; // pixels
const EDGES = { left: 44, right: 16, top: 4, bottom: 20 }; // pixels around the bars
const DRAG = 3; // pixels from which on a click is none any more
const TICKS = 74; // pixels from one time below to the next, at least
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800]; // seconds

/**
 * Props: `answer` of /histogram, or null, and `failure`, why there is none; `ever`, whether all time
 * was asked for; `utc`; `onRange`, called with the start and end of a range.
 */
export function Histogram({ answer, failure, ever, utc, onRange }) {
  const place = useRef();
  const [width, setWidth] = useState(0);
  const [hovered, hover] = useState(null);
  useLayoutEffect(() => {
    const resized = new ResizeObserver(() => setWidth(place.current.clientWidth));
    resized.observe(place.current);
    setWidth(place.current.clientWidth);
    return () => resized.disconnect();
  }, []);
  const drawn = useMemo(() => answer?.starts.length > 0 && width > 0 && draw(answer, width, utc), [answer, width, utc]);
  return html`<section class="histogram" aria-label="Histogram">
    <p class="legend" aria-hidden=${hovered !== null}>
      ${answer && legend(answer, hovered, utc)}
      ${answer && ever && html`<span class="cut">of the last day</span>`}
      ${failure && failure.status !== 422 && html`<span class="wrong">${failure.message}</span>`}</p>
    <div class="plot" ref=${place} role="img" aria-label=${answer ? summary(answer, utc) : "Histogram"}>
      ${drawn}
      ${drawn && html`<${Over} answer=${answer} width=${width - EDGES.left - EDGES.right} onHover=${hover} onRange=${onRange} />`}
    </div>
  </section>`;
}

function legend(answer, hovered, utc) {
  const at = hovered === null ? null : hovered;
  const total = at === null ? answer.total : answer.counts[at];
  const levels = series(answer).filter(({ total: all }) => all > 0);
  return html`
    <b>${counted(total)}</b> ${total === 1 ? "record" : "records"}
    ${at !== null && html` <span>${between(answer, at, utc)}</span>`}
    ${!answer.complete && html` <span class="cut" title=${answer.reason}>since ${clock(answer.since, { utc })}: ${answer.reason}</span>`}
    <span class="gap"></span>
    ${levels.map(({ name, letter, counts, total: all }) => html`<span class="key">
      <i class="swatch swatch-${name}" aria-hidden="true">${letter}</i> ${name} ${counted(at === null ? all : counts[at])}</span>`)}`;
}

function between({ starts, interval_seconds: seconds }, at, utc) {
  const start = new Date(starts[at]).getTime();
  const write = (time) => moment(time, { utc, seconds: true });
  return `${write(start)} – ${write(start + seconds * 1_000).slice(11)}`;
}

function summary(answer, utc) {
  const levels = series(answer).filter(({ total }) => total > 0)
    .map(({ name, total }) => `${counted(total)} ${name}`).join(", ");
  return `${counted(answer.total)} records from ${moment(answer.start, { utc, seconds: true })}`
    + ` to ${moment(answer.end, { utc, seconds: true })}${levels && `: ${levels}`}`;
}

/** The series of each level, the mildest first, and of what has none. */
function series(answer) {
  const none = answer.counts.map((_, at) => answer.missing.counts[at] + answer.other.counts[at]);
  return [
    { name: "unknown", letter: "?", counts: none, total: answer.missing.total + answer.other.total },
    ...[...LEVELS].reverse().map(({ name, letter }) => {
      const found = answer.values.find(({ value }) => value === name);
      return { name, letter, counts: found?.counts ?? none.map(() => 0), total: found?.total ?? 0 };
    }),
  ];
}

/** The bars of each level, one upon the other with the worst at the bottom, and the axes. */
function draw(answer, width, utc) {
  const { starts, counts, interval_seconds: seconds } = answer;
  const [inner, floor] = [width - EDGES.left - EDGES.right, HEIGHT - EDGES.bottom];
  const most = Math.max(1, ...counts) * 1.05;
  const y = (count) => floor - (count / most) * (floor - EDGES.top);
  const step = inner / starts.length;
  const below = counts.map(() => 0); // what is drawn already
  const bars = series(answer).filter(({ total }) => total > 0).reverse().map(({ name, counts: own }) => {
    const d = own.map((count, at) => {
      if (!count) return "";
      const bottom = y(below[at]);
      below[at] += count;
      const x = EDGES.left + at * step;
      return `M${x.toFixed(1)} ${bottom.toFixed(1)}V${y(below[at]).toFixed(1)}h${Math.max(1, step * 0.86).toFixed(1)}V${bottom.toFixed(1)}z`;
    }).join("");
    return html`<path class="bar-${name}" d=${d} />`;
  });
  const from = new Date(starts[0]).getTime() / 1_000;
  const x = (time) => EDGES.left + ((time - from) / (seconds * starts.length)) * inner;
  return html`<svg width=${width} height=${HEIGHT} aria-hidden="true">
    ${levels(most).map((count) => html`<path class="grid" d="M${EDGES.left} ${Math.round(y(count)) + 0.5}h${inner}" />
      <text class="tick tick-count" x=${EDGES.left - 6} y=${y(count) + 4}>${short(count)}</text>`)}
    ${bars}
    ${times(from, seconds * starts.length, inner, utc).map(({ time, name }) => html`
      <text class="tick" x=${x(time)} y=${HEIGHT - 5}>${name}</text>`)}</svg>`;
}

/** What the pointer does: it tells of a bar, and drags out a range. */
function Over({ answer: { starts, interval_seconds: seconds }, width, onHover, onRange }) {
  const [dragged, drag] = useState(null); // { from, to }, in pixels
  const from = new Date(starts[0]).getTime();
  const iso = (x) => new Date(from + (x / width) * starts.length * seconds * 1_000).toISOString();
  const place = (event) => Math.max(0, Math.min(width, event.clientX - event.currentTarget.getBoundingClientRect().left));
  const bucket = (x) => Math.min(starts.length - 1, Math.floor((x / width) * starts.length));
  const down = (event) => {
    if (event.button !== 0) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    drag({ from: place(event), to: place(event) });
  };
  const move = (event) => {
    const x = place(event);
    if (dragged) drag({ ...dragged, to: x });
    onHover(bucket(x));
  };
  const up = () => {
    if (!dragged) return;
    const ends = [dragged.from, dragged.to].sort((a, b) => a - b);
    if (ends[1] - ends[0] > DRAG) onRange(...ends.map(iso));
    drag(null);
  };
  const twice = (event) => {
    const at = bucket(place(event));
    onRange(...[at, at + 1].map((each) => iso((each * width) / starts.length)));
  };
  return html`<div class="over" style=${{ left: `${EDGES.left}px`, width: `${width}px` }} onPointerDown=${down} onPointerMove=${move}
    onPointerUp=${up} onPointerCancel=${() => drag(null)} onPointerLeave=${() => onHover(null)} onDblClick=${twice}>
    ${dragged && html`<i class="dragged" style=${{
      left: `${Math.min(dragged.from, dragged.to)}px`, width: `${Math.abs(dragged.to - dragged.from)}px` }}></i>`}</div>`;
}

/** The counts that have a line: two or three round ones. */
function levels(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  const step = Math.max(1, [0.5, 1, 2, 5].map((each) => each * power).find((each) => most / each < 3.5));
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, at) => at * step);
}

/** The times below the bars, { time, name }: round ones of the browser's zone, or of UTC. */
function times(from, span, width, utc) {
  const step = STEPS.find((each) => each >= (span * TICKS) / width) ?? STEPS.at(-1);
  const zone = utc ? 0 : new Date(from * 1_000).getTimezoneOffset() * 60;
  const found = [];
  for (let time = Math.ceil((from - zone) / step) * step + zone; time <= from + span; time += step) {
    found.push({ time, name: written(time, step, utc) });
  }
  return found;
}

/** A time below the histogram, as exact as the step from one to the next needs. */
function written(tick, step, utc) {
  const text = moment(tick * 1_000, { utc, seconds: true });
  if (step >= 86_400 || text.endsWith("00:00:00")) return text.slice(5, 10);
  return step >= 60 ? text.slice(11, 16) : text.slice(11);
}

function short(number) {
  if (number >= 1_000_000) return `${number / 1_000_000}M`;
  return number >= 1_000 ? `${number / 1_000}k` : String(number);
}
