/**
 * The lanes of a timeline: records by service and stage, or by span.
 *
 * A lane is { key, name, about, depth, fields, entries }; that of a span has `start` and `end` too,
 * in milliseconds. The key is what the address has of it; `fields`, names and values, find it.
 */

import { at } from "./account.js";

// What services call the span that a span is in; OpenTelemetry's records have no word for it.
export const PARENTS = ["parent_span_id", "parent_id", "parent.id", "span.parent_id", "parentSpanId", "parentId"];
const NAMES = ["span.name", "span_name"];
const SPAN = /^(?!0+$)[0-9a-f]{16}$/i;

/** Lanes by service, in the order of their first records, and with *stages* those within each. */
export function byService(entries, stages) {
  const lanes = [];
  for (const [service, records] of grouped(entries, ({ service: name }) => name)) {
    lanes.push({ key: service, name: service, depth: 0, fields: [["service", service]], entries: records });
    if (!stages) continue;
    for (const [stage, own] of grouped(records, ({ stage: name }) => name)) {
      if (stage) lanes.push({ key: `${service}>${stage}`, name: stage, depth: 1, fields: [["service", service], ["stage", stage]], entries: own });
    }
  }
  return lanes;
}

/** How many services, stages of these, and spans there are. */
export function counts(entries) {
  const many = (names) => new Set(names).size;
  return {
    services: many(entries.map(({ service }) => service)),
    stages: many(entries.filter(({ stage }) => stage).map(({ service, stage }) => `${service}>${stage}`)),
    spans: many(entries.map(({ span_id: id }) => id).filter(Boolean)),
  };
}

/**
 * Lanes by span, each below the one that its records name as its parent; and by service what is in
 * no span. What no record says is not made up: such a span stands by itself.
 */
export function bySpan(entries) {
  const spans = new Map();
  const others = [];
  for (const entry of entries) {
    const id = entry.span_id;
    if (!id) others.push(entry);
    else if (spans.has(id)) spans.get(id).entries.push(entry);
    else spans.set(id, { key: id, fields: [["span_id", id]], entries: [entry], children: [] });
  }
  for (const span of spans.values()) tell(span);
  const alone = byService(others, false).map((lane) => (
    { ...lane, about: spans.size ? "in no span" : "", children: [], start: at(lane.entries[0]) }));
  const roots = [...alone];
  for (const span of spans.values()) {
    const above = spans.get(span.parent);
    if (above && above !== span) above.children.push(span);
    else roots.push(span);
  }
  return ordered(roots, spans);
}

/** Let a span know its name, its parent, and from when to when its records know of it. */
function tell(span) {
  const said = (names, fits) => {
    for (const { extra } of span.entries) {
      for (const name of names) if (fits(extra?.[name])) return extra[name];
    }
    return undefined;
  };
  const [first] = span.entries;
  span.parent = said(PARENTS, (value) => typeof value === "string" && SPAN.test(value))?.toLowerCase();
  span.name = first.service;
  span.about = said(NAMES, (value) => typeof value === "string" && value)
    ?? span.entries.find(({ stage }) => stage)?.stage ?? first.msg ?? first.event_name ?? "";
  span.start = Infinity;
  span.end = -Infinity;
  for (const entry of span.entries) {
    const time = at(entry);
    if (!Number.isFinite(time)) continue;
    span.start = Math.min(span.start, time - Math.max(0, entry.duration_ms ?? 0));
    span.end = Math.max(span.end, time);
  }
}

/** All spans from the roots down, those beside each other by their beginning. */
function ordered(roots, spans) {
  const lanes = [];
  const seen = new Set();
  const walk = (from) => {
    const waiting = [[from, 0]]; // not recursive: somebody may send a chain of thousands
    while (waiting.length) {
      const [span, depth] = waiting.pop();
      if (seen.has(span)) continue;
      seen.add(span);
      const { children, parent, ...lane } = span;
      lanes.push({ ...lane, depth, lost: parent && !spans.has(parent) ? parent : null });
      for (const child of children.sort(byStart).reverse()) waiting.push([child, depth + 1]);
    }
  };
  roots.sort(byStart).forEach(walk);
  // Spans that name each other in a circle have no root.
  [...spans.values()].sort(byStart).forEach((span) => seen.has(span) || walk(span));
  return lanes;
}

const byStart = (a, b) => a.start - b.start || 0;

function grouped(entries, key) {
  const found = new Map();
  for (const entry of entries) {
    const name = key(entry);
    if (found.has(name)) found.get(name).push(entry);
    else found.set(name, [entry]);
  }
  return found;
}
