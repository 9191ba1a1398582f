/** Text of logs, which can be anybody's: made visible, never obeyed. */

// eslint-disable-next-line no-control-regex
const ANSI = /\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])/g;
// Control characters, and those that turn the direction of text around or have no width.
// eslint-disable-next-line no-control-regex
const HIDDEN = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

/** *text* with what would be obeyed or not be seen written out, but for ends of lines and tabs. */
export function visible(text) {
  return String(text).replace(/\r\n/g, "\n").replace(HIDDEN, (each) => {
    const code = each.codePointAt(0);
    if (code < 32) return String.fromCodePoint(0x2400 + code); // ␛ and its like
    return `⟨${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

/** The beginning of *text* on one line, for a cell: without colours of a terminal. */
export function line(text, most) {
  const whole = String(text);
  const cut = whole.length > most * 2 ? whole.slice(0, most * 2) : whole; // before the rest is looked at
  const flat = visible(cut.replace(ANSI, "").replace(/\s*\n\s*/g, " ↵ "));
  return flat.length > most || cut.length < whole.length ? `${cutAt(flat, most)}…` : flat;
}

/** At most *most* units of *text*, without half a character at the end. */
export function cutAt(text, most) {
  const cut = text.slice(0, most);
  return /[\ud800-\udbff]$/.test(cut) ? cut.slice(0, -1) : cut;
}

/** A size in bytes as people say it. */
export function size(bytes) {
  if (bytes < 1_000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${(bytes / 1_000).toFixed(bytes < 10_000 ? 1 : 0)} kB`;
  const [unit, name] = [[1e6, "MB"], [1e9, "GB"], [1e12, "TB"]].findLast(([least]) => bytes >= least);
  return `${(bytes / unit).toFixed(1)} ${name}`;
}
