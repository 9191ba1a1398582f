/** A story at the first glance: what it was, how it ended, how long it took, what went wrong first. */

import { html } from "../html.js";
import { STORIES } from "../fields.js";
import { Level, levelOf } from "../levels.js";
import { link } from "../router.js";
import { condition } from "../search.js";
import { line } from "../text.js";
import { counted, duration, EVER, told } from "../time.js";
import { at } from "./account.js";
import { elapsed } from "./scale.js";

const OUTCOMES = {
  succeeded: { sign: "✓", says: () => "Succeeded", tone: "good" },
  failed: { sign: "✕", says: ({ status }) => (status ? `Failed with ${status}` : "Failed"), tone: "bad" },
  going: { sign: "▶", says: () => "Still going", tone: "open" },
  silent: { sign: "?", says: () => "No end logged", tone: "open" },
  answered: { sign: "✓", says: ({ status }) => `Answered ${status}`, tone: "good" },
  refused: { sign: "!", says: ({ status }) => `Refused with ${status}`, tone: "warn" },
  errors: { sign: "✕", says: () => "With errors", tone: "bad" },
  clean: { sign: "✓", says: () => "Without an error", tone: "good" },
};
const NAMES = {
  job_id: "Job", request_id: "Request", trace_id: "Trace", submission_id: "Submission", provider_job_id: "Provider job",
  artifact_id: "Artifact", generation_id: "Generation", user_id: "User",
};
export const KINDS = [["job", "Job"], ["request", "Request"], ["trace", "Trace"]];
const MOST_CHIPS = 4; // of one kind
const VALUE = 60; // characters of a value

export function Title({ kind, id }) {
  return html`<h1><span>${NAMES[`${kind}_id`]}</span> <bdi>${line(id, 120)}</bdi></h1>`;
}

/** How it ended, and the record that says so. */
export function Outcome({ story, onPick }) {
  const { outcome, start } = story;
  const { sign, says, tone } = OUTCOMES[outcome.name];
  const { entry } = outcome;
  return html`<span class="outcome outcome-${tone}"><i aria-hidden="true">${sign}</i> ${says(outcome)}</span>
    ${entry && html`<button type="button" class="quiet by" onClick=${() => onPick(entry)}
      title="The record that says so"><span><bdi>${line([entry.service, entry.stage].filter(Boolean).join(" · "), VALUE)}</bdi> at ${elapsed(at(entry) - start)} s</span></button>`}`;
}

/** Props: `story` (its account), `count` of its records, `utc`. */
export function Facts({ story, count, utc }) {
  const { start, end, outcome, attempts, errors, warnings, services, operations, providers } = story;
  const tried = new Set(attempts.map(({ job, attempt }) => `${job} ${attempt}`)).size;
  const failed = attempts.filter((each) => each.failed).length;
  const open = outcome.name === "going" || outcome.name === "silent";
  const facts = [
    ["Operation", list(operations)],
    [providers.length > 1 ? "Providers" : "Provider", list(providers)],
    [outcome.name === "going" ? "So far" : "Took", Number.isFinite(end - start) && duration(end - start)],
    ["Attempts", tried > 0 && html`${tried}${failed > 0 && html` <span class="wrong">✕ ${failed} with an error</span>`}`],
    ["Records", html`${counted(count)}${errors > 0 && html` <span class="wrong">■ ${counted(errors)} ${errors === 1 ? "error" : "errors"}</span>`}${
      warnings > 0 && html` <span class="cut">▲ ${counted(warnings)} ${warnings === 1 ? "warning" : "warnings"}</span>`}`],
    ["Services", list(services)],
    ["When", Number.isFinite(start) && html`${told({ start: iso(start), end: iso(end) }, utc)}${
      open && html` <span class="faint">last word ${duration(Math.max(0, Date.now() - end))} ago</span>`}`],
  ];
  return html`<dl class="facts">${facts.filter(([, value]) => value).map(([name, value]) => html`<div>
    <dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

const iso = (time) => new Date(time).toISOString();

function list(values) {
  if (!values.length) return null;
  const shown = values.slice(0, 6).map((value) => line(value, VALUE)).join(", ");
  return html`<bdi>${shown}${values.length > 6 ? ` and ${values.length - 6} more` : ""}</bdi>`;
}

/** What went wrong first, and where; it leads to the record. */
export function FirstError({ story, onPick }) {
  const { firstError: entry, start, outcome } = story;
  if (!entry) return null;
  const overcome = outcome.name === "succeeded" && at(outcome.entry) > at(entry);
  const place = [entry.service, entry.stage, entry.attempt != null && `attempt ${entry.attempt}`]
    .filter(Boolean).map((each) => line(each, VALUE)).join(" · ");
  const said = entry.error ?? entry.msg ?? entry.event_name ?? "";
  return html`<button type="button" class="first-error ${overcome ? "overcome" : ""}" onClick=${() => onPick(entry)}>
    <${Level} level=${levelOf(entry)} />
    <span><small>First error${overcome && ", before it succeeded"}, at ${elapsed(at(entry) - start)} s · <bdi>${place}</bdi></small>
      <bdi class="said">${entry.error_type && html`<b>${line(entry.error_type, VALUE)}: </b>`}${line(said, 500)}</bdi></span></button>`;
}

/** What the story is tied to, each a way on. `search` finds the records of it. */
export function Links({ ids, search }) {
  return html`<ul class="chips" aria-label="Tied to">${ids.map(({ name, values }) => html`
    ${values.slice(0, MOST_CHIPS).map((value) => html`<li key=${`${name} ${value}`}><a class="chip" href=${leading(name, value)}>
      <small>${NAMES[name]}</small> <bdi>${line(value, VALUE)}</bdi></a></li>`)}
    ${values.length > MOST_CHIPS && html`<li><a class="chip" href=${link("explorer", { q: search, last: EVER, cols: `timestamp,level,${name},msg` })}>
      ${counted(values.length - MOST_CHIPS)} more of ${NAMES[name].toLowerCase()}</a></li>`}`)}</ul>`;
}

function leading(name, value) {
  const view = STORIES[name];
  return view ? link(view, { id: value }) : link("explorer", { q: condition(name, value), last: EVER });
}
