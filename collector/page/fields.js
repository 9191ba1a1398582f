/** The fields of a record, by the names that a search has for them. */

// In the order in which they are shown; what is not here comes behind, by its name.
const ORDER = [
  "id", "timestamp", "level", "service", "env", "instance_id", "msg", "error_type", "error", "event_name",
  "stage", "operation_type", "provider_id", "provider_job_id", "job_id", "request_id", "submission_id",
  "artifact_id", "generation_id", "user_id", "attempt", "duration_ms", "channel", "domain",
  "trace_id", "span_id",
];
// What says the same as another field, and what is no use to a search.
const REPEATED = ["trace_flags", "observed_timestamp", "timestamp_unix_nano", "severity_number"];
const OBJECTS = ["extra", "resource", "scope"];

// Fields whose value leads to a view of its own, and the name of that view.
export const STORIES = { job_id: "job", request_id: "request", trace_id: "trace" };

/**
 * All fields of a record that have a value: a list of { name, value, plain }.
 *
 * A name is as a search takes it; `plain` says whether a search can ask for the value.
 */
export function fieldsOf(entry) {
  const rest = Object.keys(entry).filter((name) => !ORDER.includes(name) && !OBJECTS.includes(name));
  const columns = [...ORDER, ...rest].filter((name) => entry[name] != null);
  return [
    ...columns.map((name) => ({ name, value: entry[name], plain: !REPEATED.includes(name) })),
    ...under("extra", entry.extra),
    ...under("resource", entry.resource),
    ...under("scope", scope(entry)),
  ];
}

/** The value of the field *name*, or undefined. */
export function valueOf(entry, name) {
  if (name in entry) return entry[name] ?? undefined;
  const [place, key] = [name.slice(0, name.indexOf(".")), name.slice(name.indexOf(".") + 1)];
  if (place === "extra" || place === "resource") return entry[place]?.[key];
  if (place === "scope") return scope(entry)?.[key];
  return entry.extra?.[name] ?? entry.resource?.[name];
}

/** The id of the story that *field* leads to; one that is no number is among what else was sent. */
export function storyOf(entry, field) {
  const id = entry[field] ?? entry.extra?.[field];
  return typeof id === "object" ? null : id;
}

/** A value as text; an object as JSON. */
export function written(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

/** The command that asks for one record. */
export function curlOf(entry) {
  const url = new URL("api/v1/logs/query", location.href).href;
  return `curl -sG ${quoted(url)} --data-urlencode ${quoted(`id=${entry.id}`)}`;
}

/** The statement that finds one record. */
export function sqlOf(entry) {
  return `SELECT * FROM logs WHERE id = ${entry.id} AND "timestamp" = '${entry.timestamp}';`;
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function under(place, object) {
  return Object.entries(object ?? {}).filter(([, value]) => value != null).map(([key, value]) => (
    { name: `${place}.${key}`, value, plain: typeof value !== "object" }));
}

function scope({ scope: found }) {
  return found && { name: found.name || null, version: found.version || null, ...found.attributes };
}
