/** Text of the search language (docs/search.md): its parts, and how a click changes it. */

const PART = /(\s+)|([()])|((?:-|\b(?:AND|OR|NOT)\b)(?=.|$))|((?:"(?:\\.|[^"\\])*"|[A-Za-z][\w.\-/@]*)(?:[:]|[<>]=?))|("(?:\\.|[^"\\])*"?)|([^\s()"]+)/gsu;
const KINDS = ["space", "bracket", "keyword", "name", "quoted", "word"];

/** The parts of a search, for colours: a list of { text, kind }; together they are *text*. */
export function parts(text) {
  const found = [];
  let end = 0;
  for (const match of text.matchAll(PART)) {
    if (match.index > end) found.push({ text: text.slice(end, match.index), kind: "word" });
    found.push({ text: match[0], kind: KINDS[match.slice(1).findIndex((each) => each !== undefined)] });
    end = match.index + match[0].length;
  }
  if (end < text.length) found.push({ text: text.slice(end), kind: "word" });
  return found;
}

/** The condition that a field has a value, or where that is null that it has none. */
export function condition(field, value, { out = false, cut = false } = {}) {
  const name = /^[A-Za-z][\w.\-/@]*$/.test(field) ? field : quote(field);
  if (value == null) return `${out ? "" : "-"}${name}:*`;
  const text = String(value);
  const plain = /^[^\s()"*]+$/.test(text) && !/^(?:AND|OR|NOT)$/.test(text) && !text.startsWith("//");
  return `${out ? "-" : ""}${name}:${plain ? text : quote(text)}${cut ? "*" : ""}`;
}

/**
 * The search *text* narrowed by a condition.
 *
 * Where it has that already the condition is taken away, and where it has the opposite that is
 * turned around.
 */
export function narrowed(text, added) {
  const opposite = added.startsWith("-") ? added.slice(1) : `-${added}`;
  const terms = split(text);
  if (terms.includes(added)) return terms.filter((each) => each !== added).join(" ");
  if (terms.includes(opposite)) return terms.map((each) => (each === opposite ? added : each)).join(" ");
  if (terms.includes("OR")) return `(${text.trim()}) ${added}`;
  return [...terms, added].join(" ");
}

/** The search *text* with further conditions, which it may have already. */
export function both(text, ...conditions) {
  const terms = split(text);
  const first = terms.includes("OR") ? [`(${text.trim()})`] : terms;
  return [...first, ...conditions.filter((each) => !terms.includes(each))].join(" ");
}

/** Whether *text* has the condition by itself: "in", "out" or null. */
export function standing(text, field, value) {
  const terms = split(text);
  if (terms.includes(condition(field, value))) return "in";
  return terms.includes(condition(field, value, { out: true })) ? "out" : null;
}

/** The values of a field that *text* leaves out, each by a term of its own. */
export const leftOut = (text, field) => standingAt(text, `-${field}:`);

/** The values of a field that *text* asks for, each by a term of its own. */
export const wanted = (text, field) => (split(text).includes("OR") ? [] : standingAt(text, `${field}:`));

function standingAt(text, before) {
  return split(text).filter((term) => term.startsWith(before)).map((term) => term.slice(before.length))
    .filter((value) => /^(?:"(?:\\.|[^"\\])*"|[^"()]*[^"()*])$/su.test(value)) // one, and whole
    .map((value) => (value.startsWith('"') ? value.slice(1, -1).replace(/\\(["\\])/g, "$1") : value));
}

/** The terms of a search that stand side by side, each whole. */
function split(text) {
  const terms = [];
  let term = "";
  let depth = 0;
  for (const part of parts(text)) {
    if (part.kind === "space" && depth === 0) {
      if (term) terms.push(term);
      term = "";
      continue;
    }
    if (part.text === "(") depth += 1;
    if (part.text === ")") depth -= 1;
    term += part.text;
  }
  return term ? [...terms, term] : terms;
}

function quote(text) {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

/** The index in UTF-16 of the API's *column*, which counts characters from 1. */
export function indexOf(text, column) {
  return [...text].slice(0, column - 1).join("").length;
}

/** The API's column of an index in UTF-16. */
export function columnOf(text, index) {
  return [...text.slice(0, index)].length + 1;
}
