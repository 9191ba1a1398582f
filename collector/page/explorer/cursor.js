/** The row that keys work on, and the keys that move it. */

/**
 * The keys of a table: bindings for useKeys.
 *
 * `rows` and `cursor`, the index of one or null; `move`, called with another; `table`, a ref to it;
 * `ends`, how the first and the last row are called.
 */
export function moving({ rows, cursor, move, table, ends: [first, last] }) {
  const step = (by) => {
    const from = cursor ?? (by > 0 ? (table.current?.firstSeen ?? 0) - 1 : 0);
    to(Math.max(0, Math.min(rows.length - 1, from + by)));
  };
  // What has the focus is what is moved in: Tab leads on from there, and screen readers follow.
  const to = (index) => {
    move(index);
    table.current?.focus();
  };
  const page = () => table.current?.page ?? 20;
  return [
    { keys: ["j", "ArrowDown"], does: "Next record", run: () => step(1) },
    { keys: ["k", "ArrowUp"], does: "Record before", run: () => step(-1) },
    { keys: ["PageDown"], does: "Page down", run: () => step(page()) },
    { keys: ["PageUp"], does: "Page up", run: () => step(-page()) },
    { keys: ["g", "Home"], does: first, run: () => to(0) },
    { keys: ["G", "End"], does: last, run: () => to(rows.length - 1) },
  ];
}

/** The key that opens or closes a record, but where it would press what has the focus. */
export const opening = (run) => ({
  keys: ["Enter", "o"], does: "Open or close the record",
  run: ({ target }) => (target.closest("a, button, summary") ? false : run()),
});
