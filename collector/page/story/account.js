/**
 * What the records of a story tell: how it ended, how often it was tried, when nothing was said.
 *
 * Pure, and without imports. A record is given as `readers` have it, in the order of time; `at`
 * are milliseconds since 1970, with a fraction.
 */

const ERROR = 17; // the least severity number of one
const WARNING = 13;
const LEAST_GAP = 1_000; // milliseconds; a silence is named from here on, and from a share of all
const GAP_SHARE = 0.05;
const QUIET = 15 * 60_000; // milliseconds without a word, after which nothing is going on any more

// The stages that say how a job goes (pixsim_otel.spec); all other words are free.
const REACHED = ["provider:complete", "pipeline:artifact"];
const UNDER_WAY = /^(?:pipeline:start$|provider:)/;
const BROKEN = /:(?:error|failed)$/;
const DECISION = "retry:decision";
const STATUS = ["status_code", "http.response.status_code", "http.status_code"];

const IDS = ["job_id", "request_id", "trace_id", "submission_id", "provider_job_id", "artifact_id", "generation_id", "user_id"];

const times = new WeakMap(); // of records: a long story asks for each many times

/** The time of a record in milliseconds, with the microseconds that Date doesn't have; or NaN. */
export function at(entry) {
  let time = times.get(entry);
  if (time === undefined) {
    const micro = /\.\d{3}(\d{3})Z$/.exec(entry.timestamp);
    time = Date.parse(entry.timestamp) + (micro ? Number(micro[1]) / 1_000 : 0);
    times.set(entry, time);
  }
  return time;
}

/** Whether a record tells of a failure. */
export const failing = (entry) => entry.severity_number >= ERROR || BROKEN.test(entry.stage ?? "");

/** The job of a record, as text; one that is no number is among what else was sent. */
export const jobOf = (entry) => text(entry.job_id ?? entry.extra?.job_id);

/** Whether a record names the story itself, and is not only of a trace that touched it. */
export function belongs(entry, kind, id) {
  if (kind === "job") return jobOf(entry) === id;
  return text(entry[`${kind}_id`]) === id;
}

/**
 * The account of a story: { start, end, outcome, attempts, gaps, errors, warnings, firstError,
 * services, ids, operations, providers, own }, where `own` are the records that name it.
 */
export function account(kind, id, entries, now) {
  const known = entries.map(at).filter(Number.isFinite);
  const [start, end] = [known[0] ?? NaN, known.at(-1) ?? NaN];
  const own = entries.filter((entry) => belongs(entry, kind, id));
  const told = own.length ? own : entries;
  const lead = told.find((entry) => entry.severity_number >= ERROR) ?? told.find(failing);
  return {
    start,
    end,
    own,
    outcome: outcome(kind, told, now),
    attempts: attempts(told),
    gaps: gaps(known, end - start),
    errors: entries.filter(({ severity_number: severity }) => severity >= ERROR).length,
    warnings: entries.filter(({ severity_number: severity }) => severity >= WARNING && severity < ERROR).length,
    firstError: lead ?? entries.find(failing) ?? null,
    services: values(entries, "service"),
    operations: values(told, "operation_type"),
    providers: values(told, "provider_id"),
    ids: linked(kind, id, entries),
  };
}

/**
 * How a story ended: { name, entry }, and with an answer its `status`.
 *
 * The name is "succeeded", "failed", "going", "silent" (no record says how it ended), "answered",
 * "refused", or of a trace "errors" or "clean"; `entry` is the record that says so, or null.
 */
export function outcome(kind, entries, now) {
  if (kind === "trace") {
    const entry = entries.find(failing) ?? null;
    return { name: entry ? "errors" : "clean", entry };
  }
  const answer = kind === "request" ? answered(entries) : null;
  if (answer) return answer;
  const verdict = judged(entries);
  if (verdict.name !== "going") return verdict;
  const last = at(entries.at(-1));
  return now - last < QUIET ? verdict : { name: "silent", entry: null };
}

/** What the last record that has a say about the job says. */
function judged(entries) {
  let verdict = { name: "silent", entry: null };
  for (const entry of entries) {
    const stage = entry.stage ?? "";
    const again = entry.extra?.will_retry ?? entry.extra?.retry;
    if (stage === DECISION && typeof again === "boolean") verdict = { name: again ? "going" : "failed", entry };
    else if (failing(entry)) {
      // What goes wrong after the end, and is no stage of the job, doesn't undo it.
      if (verdict.name !== "succeeded" || stage) verdict = { name: "failed", entry };
    } else if (REACHED.includes(stage)) verdict = { name: "succeeded", entry };
    else if (UNDER_WAY.test(stage) && verdict.name !== "succeeded") verdict = { name: "going", entry };
  }
  return verdict;
}

/** The answer of the first service that tells of one: that is nearest to who asked. */
function answered(entries) {
  const status = (entry) => Number(STATUS.map((name) => entry.extra?.[name]).find((value) => value != null));
  const telling = entries.filter((entry) => status(entry) >= 100);
  const service = values(entries, "service").find((name) => telling.some((entry) => entry.service === name));
  const entry = telling.findLast((each) => each.service === service);
  if (!entry) return null;
  const found = status(entry);
  return { name: found >= 500 ? "failed" : found >= 400 ? "refused" : "answered", entry, status: found };
}

/** The attempts of each job: { job, attempt, start, end, failed, records }, by their beginning. */
export function attempts(entries) {
  const found = new Map();
  for (const entry of entries) {
    const time = at(entry);
    if (entry.attempt == null || !Number.isFinite(time)) continue;
    const key = `${entry.attempt} ${jobOf(entry)}`;
    const known = found.get(key);
    if (!known) {
      found.set(key, { job: jobOf(entry), attempt: entry.attempt, start: time, end: time, failed: failing(entry), records: 1 });
      continue;
    }
    known.end = time;
    known.failed ||= failing(entry);
    known.records += 1;
  }
  return [...found.values()];
}

/** From how many milliseconds a silence is long, in a story of that length. */
export const leastGap = (whole) => Math.max(LEAST_GAP, whole * GAP_SHARE);

/** The silences that are long: { start, end }, the longest first. */
export function gaps(moments, whole) {
  const least = leastGap(whole);
  const found = [];
  for (let place = 1; place < moments.length; place += 1) {
    const [start, end] = [moments[place - 1], moments[place]];
    if (end - start >= least) found.push({ start, end });
  }
  return found.sort((a, b) => (b.end - b.start) - (a.end - a.start));
}

/** The ids that the records name besides that of the story: { name, values }. */
function linked(kind, id, entries) {
  const artifacts = values(entries, "artifact_id");
  return IDS.map((name) => ({ name, values: name === "job_id" ? distinct(entries.map(jobOf)) : values(entries, name) }))
    .map(({ name, values: all }) => ({
      name, values: all.filter((value) => !(name === `${kind}_id` && value === id)) }))
    // One id under two names: each shows the other's.
    .filter(({ name, values: all }) => all.length && !(name === "generation_id" && all.join() === artifacts.join()));
}

function values(entries, name) {
  return distinct(entries.map((entry) => text(entry[name])));
}

const distinct = (all) => [...new Set(all)].filter((value) => value !== "");
const text = (value) => (value == null || typeof value === "object" ? "" : String(value));
