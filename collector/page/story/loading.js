/** The records of a story: all that there are, and while it is followed those that come. */

import { useEffect, useMemo, useReducer, useState } from "preact/hooks";
import { LOGS, useAnswer } from "../api.js";
import { Tail } from "../explorer/tail.js";
import { condition } from "../search.js";
import { at } from "./account.js";

const MOST_TRACES = 20; // in a search

/**
 * { entries, incomplete, failure, loading, tail, search, again } of a story.
 *
 * `entries` are in the order of time, and null until there is an answer; `search` is what finds
 * them in the explorer, and `tail` how following them is, or null.
 */
export function useStory(kind, id, { expand, live }) {
  const [run, again] = useReducer((count) => count + 1, 0);
  const [lost, restart] = useReducer((count) => count + 1, 0); // times that the tail lost its place
  const [come, take] = useState([]);
  const [tail, setTail] = useState(null);
  const { answer, incomplete, failure, loading } = useAnswer(
    `${LOGS}/trace/${kind}/${encodeURIComponent(id)}`, { expand: expand ? "trace" : null }, run);
  const entries = useMemo(() => answer && merged(answer, come), [answer, come]);
  const search = useMemo(() => searchOf(kind, id, expand ? entries ?? [] : []), [kind, id, expand, entries]);
  const follows = live && entries !== null;
  useEffect(() => {
    if (!follows) return setTail(null);
    let begun = false;
    const following = new Tail({ q: search }, {
      onState: (found) => {
        setTail(found);
        if (found.name !== "live" || begun) return;
        begun = true;
        again(); // what came between the answer and the tail
      },
      onLost: restart,
      onRecords: (records) => take((before) => before.concat(records)),
    });
    return () => following.close();
  }, [follows, search, lost]);
  return { entries, incomplete, failure, loading, tail, search, again };
}

function merged(answer, come) {
  if (!come.length) return answer;
  const known = new Set(answer.map(({ id }) => id));
  const added = come.filter(({ id }) => !known.has(id) && known.add(id));
  return added.length ? answer.concat(added).sort((a, b) => at(a) - at(b) || a.id - b.id) : answer;
}

function searchOf(kind, id, entries) {
  const traces = [...new Set(entries.map(({ trace_id: trace }) => trace))].filter(Boolean).slice(0, MOST_TRACES);
  return [condition(`${kind}_id`, id), ...traces.map((trace) => condition("trace_id", trace))].join(" OR ");
}
