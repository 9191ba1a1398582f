/** What somebody can do with a story: each changes the address, and the keys for it. */

import { moving, opening } from "../explorer/cursor.js";
import { columnsText } from "../explorer/state.js";
import { useKeys } from "../keyboard.js";
import { change, go } from "../router.js";
import { narrowed } from "../search.js";
import { at, failing } from "./account.js";
import { span } from "./selection.js";
import { firstColumns } from "./state.js";

const ALL = { zoom: null, lane: null, level: null };

const set = (changes) => change(changes, { replace: true });

/**
 * The actions on a story.
 *
 * `rows` are the records that are listed, `view` is the time that is looked at, `search` finds the
 * records in the explorer, `move` puts the cursor, and `reveal` brings the list into sight.
 */
export function actions({ state, story, rows, view, search, move, reveal }) {
  const opened = (ids) => [...ids].join(",");
  const to = {
    set,
    all: () => set(ALL),
    lane: (lane) => set({ lane }),
    columns: (columns) => set({ cols: columnsText(columns, firstColumns()) }),
    filter: (condition) => go("explorer", { q: narrowed(search, condition), ...span(story) }),
    expand: () => set({ expand: state.expand ? null : "trace", zoom: null }),
    live: () => set({ live: state.live ? null : "1" }),
    wrap: () => set({ wrap: state.wrap ? null : "1" }),
    density: () => set({ density: state.density === "dense" ? "roomy" : null }),
    utc: () => set({ tz: state.utc ? null : "utc" }),
    open: (entry, index) => {
      const open = new Set(state.open);
      if (!open.delete(entry.id)) open.add(entry.id);
      move(index);
      set({ open: opened(open) });
    },
    /** Go to a record, also where the list doesn't have it now. */
    pick: (entry, { open = false } = {}) => {
      const index = rows.indexOf(entry);
      if (index >= 0) move(index);
      set({ ...(index < 0 && ALL), at: entry.id, open: opened(open ? new Set([...state.open, entry.id]) : state.open) });
      reveal();
    },
    zoom: (from, until) => set({
      zoom: [from, until].map((time) => Math.round((time - story.start) * 1_000) / 1_000).join("~") }),
    /** Look at a part of what is seen, or at more of it, around the record or the middle. */
    closer: (times, entry) => {
      const middle = entry ? at(entry) : (view.from + view.to) / 2;
      const width = (view.to - view.from) / times;
      const from = Math.max(story.start, Math.min(middle - width / 2, story.end - width));
      if (width >= story.end - story.start) set({ zoom: null });
      else to.zoom(from, from + width);
    },
    /** Go to the next error, or to the one before. */
    error: (step, cursor) => {
      let index = (cursor ?? (step > 0 ? -1 : rows.length)) + step;
      while (rows[index] && !failing(rows[index])) index += step;
      if (rows[index]) to.pick(rows[index]);
    },
  };
  return to;
}

/** The keys of a story; `explorer` are the parameters of the explorer that has what is seen. */
export function useStoryKeys({ kind, rows, cursor, move, table, to, explorer }) {
  const entry = rows[cursor];
  useKeys("Story", [
    { keys: ["n"], does: "Next error", run: () => to.error(1, cursor) },
    { keys: ["p"], does: "Error before", run: () => to.error(-1, cursor) },
    ...(kind === "trace" ? [] : [{ keys: ["x"], does: "With every trace it touched", run: to.expand }]),
    { keys: ["l"], does: "Follow what comes", run: to.live },
    { keys: ["+", "="], does: "Closer, around the record", run: () => to.closer(2, entry) },
    { keys: ["-"], does: "From further away", run: () => to.closer(0.5, entry) },
    { keys: ["0"], does: "All of the story again", run: to.all },
    { keys: ["e"], does: "Open in the explorer", run: () => go("explorer", explorer) },
  ]);
  useKeys("Table", [
    ...moving({ rows, cursor, move, table, ends: ["First record", "Last record"] }),
    opening(() => entry && to.open(entry, cursor)),
    { keys: ["Escape"], does: "Close all records", run: () => to.set({ open: null }) },
    { keys: ["w"], does: "Wrap lines", run: to.wrap },
    { keys: ["d"], does: "Dense or roomy", run: to.density },
    { keys: ["u"], does: "Local times or UTC", run: to.utc },
  ]);
}
