/** The axis of a timeline: where times stand on it, and how they are written. Without imports. */

export const PAD = 10; // pixels at both ends
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 43_200_000, 86_400_000];
const APART = 84; // pixels from one tick to the next, at least

/** An axis of *width* pixels from one time to another: { from, to, width, x, time }. */
export function axis(from, to, width) {
  const span = Math.max(to - from, 0.001);
  const inner = Math.max(1, width - 2 * PAD);
  return {
    from, to, width,
    x: (time) => PAD + ((time - from) / span) * inner,
    time: (x) => from + ((x - PAD) / inner) * span,
  };
}

/** The ticks of an axis: { time, name }, named by what has passed since *start*. */
export function ticks({ from, to, width }, start) {
  const wanted = ((to - from) * APART) / Math.max(1, width);
  const day = STEPS.at(-1);
  const step = STEPS.find((each) => each >= wanted) ?? Math.ceil(wanted / day) * day;
  const found = [];
  for (let at = Math.ceil((from - start) / step) * step; start + at <= to; at += step) {
    found.push({ time: start + at, name: passed(at, step) });
  }
  return found;
}

/** What has passed, as exact as *step*: "0", "20 ms", "1.5 s", "2:30", "1:00:00", "3 d". */
function passed(ms, step) {
  const sign = ms < 0 ? "−" : "";
  const size = Math.abs(ms);
  if (size === 0) return "0";
  if (step >= 86_400_000) return `${sign}${size / 86_400_000} d`;
  if (size < 1_000 && step < 100) return `${sign}${size} ms`;
  if (size < 60_000) return `${sign}${size / 1_000} s`;
  const seconds = step < 1_000 ? (size / 1_000) % 60 : Math.floor(size / 1_000) % 60;
  const rest = step < 1_000 ? seconds.toFixed(3).replace(/0+$/, "").replace(/\.$/, "") : String(seconds);
  return `${sign}${clockwise(Math.floor(size / 60_000), rest.padStart(/\./.test(rest) ? 4 : 2, "0"))}`;
}

/** The time since *start* as a list has it: "+12.345", "+2:05.120", "+1:02:05.120"; in seconds. */
export function elapsed(ms) {
  if (!Number.isFinite(ms)) return "";
  const whole = Math.round(Math.abs(ms));
  const sign = ms < 0 && whole ? "−" : "+";
  const rest = ((whole % 60_000) / 1_000).toFixed(3);
  if (whole < 60_000) return sign + rest;
  return sign + clockwise(Math.floor(whole / 60_000), rest.padStart(6, "0"));
}

function clockwise(minutes, seconds) {
  if (minutes < 60) return `${minutes}:${seconds}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${seconds}`;
}
