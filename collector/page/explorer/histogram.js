/** How many records there are over time, by level. What is dragged over is looked at closer. */

import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { LEVELS } from "../levels.js";
import { color, useTheme } from "../theme.js";
import { clock, counted, moment } from "../time.js";

const { uPlot } = globalThis;
const HEIGHT = 84; // pixels

/**
 * Props: `answer` of /histogram, or null, and `failure`, why there is none; `ever`, whether all time
 * was asked for; `utc`; `onRange`, called with the start and end of a range.
 */
export function Histogram({ answer, failure, ever, utc, onRange }) {
  const place = useRef();
  const newest = useRef(onRange);
  newest.current = onRange;
  const { dark, name } = useTheme();
  const [hovered, hover] = useState(null);
  useEffect(() => {
    if (!answer?.starts.length) return undefined;
    const { current: element } = place;
    const plot = draw(element, answer, { utc, hover, range: (...ends) => newest.current(...ends) });
    const resized = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      plot.destroy();
    };
  }, [answer, utc, dark, name]);
  return html`<section class="histogram" aria-label="Histogram">
    <p class="legend" aria-hidden=${hovered !== null}>
      ${answer && legend(answer, hovered, utc)}
      ${answer && ever && html`<span class="cut">of the last day</span>`}
      ${failure && failure.status !== 422 && html`<span class="wrong">${failure.message}</span>`}</p>
    <div class="plot" ref=${place} role="img" aria-label=${answer ? summary(answer, utc) : "Histogram"}></div>
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

function draw(place, answer, { utc, hover, range }) {
  const times = answer.starts.map((start) => new Date(start).getTime() / 1_000);
  const seconds = answer.interval_seconds;
  const levels = series(answer).filter(({ total }) => total > 0).reverse(); // the worst at the bottom
  const sums = [];
  levels.forEach(({ counts }, at) => sums.push(counts.map((count, bucket) => count + (sums[at - 1]?.[bucket] ?? 0))));
  const bars = uPlot.paths.bars({ size: [0.86, 60], align: 1, radius: 0.12 });
  const [text, edge] = [color("--faint"), color("--edge")];
  const axis = { stroke: text, font: "11px system-ui, sans-serif", ticks: { show: false } };
  return new uPlot({
    width: place.clientWidth,
    height: HEIGHT,
    padding: [4, 16, 0, 0],
    legend: { show: false },
    tzDate: (stamp) => (utc ? uPlot.tzDate(new Date(stamp * 1_000), "UTC") : new Date(stamp * 1_000)),
    scales: {
      x: { time: true, range: [times[0], times.at(-1) + seconds] },
      y: { range: (_, __, most) => [0, Math.max(1, most * 1.05)] },
    },
    axes: [
      { ...axis, size: 20, gap: 3, grid: { show: false }, space: 70,
        values: (_, ticks, __, ___, step) => ticks.map((tick) => written(tick, step, utc)) },
      { ...axis, size: 44, gap: 4, grid: { stroke: edge, width: 1 }, space: 26,
        values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? short(tick) : "")) },
    ],
    // The highest sum is drawn first, and the lower ones over it.
    series: [{}, ...[...levels].reverse().map(({ name }) => (
      { fill: color(`--bar-${name}`), stroke: null, width: 0, paths: bars, points: { show: false } }))],
    cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
    hooks: {
      setCursor: [({ cursor }) => hover(cursor.left < 0 ? null : bucket(cursor, times, seconds, place))],
      setSelect: [(plot) => {
        const { left, width } = plot.select;
        if (width < 3) return;
        const ends = [left, left + width].map((x) => plot.posToVal(x, "x"));
        plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        range(...ends.map((end) => new Date(end * 1_000).toISOString()));
      }],
      ready: [(plot) => {
        plot.over.addEventListener("dblclick", () => {
          const at = bucket(plot.cursor, times, seconds, place);
          if (at !== null) range(iso(times[at]), iso(times[at] + seconds));
        });
        bucketOf.set(place, plot);
      }],
    },
  }, [times, ...[...sums].reverse()], place);
}

/** A time below the histogram, as exact as the step from one to the next needs. */
function written(tick, step, utc) {
  const text = moment(tick * 1_000, { utc, seconds: true });
  if (step >= 86_400 || text.endsWith("00:00:00")) return text.slice(5, 10);
  return step >= 60 ? text.slice(11, 16) : text.slice(11);
}

const bucketOf = new WeakMap(); // the plot in its place
const iso = (time) => new Date(time * 1_000).toISOString();

/** The index of the bucket under the pointer. */
function bucket({ left }, times, seconds, place) {
  const plot = bucketOf.get(place);
  if (!plot || left < 0) return null;
  const at = Math.floor((plot.posToVal(left, "x") - times[0]) / seconds);
  return at >= 0 && at < times.length ? at : null;
}

function short(number) {
  if (number >= 1_000_000) return `${number / 1_000_000}M`;
  return number >= 1_000 ? `${number / 1_000}k` : String(number);
}
