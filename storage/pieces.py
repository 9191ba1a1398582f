"""The statement that reads a piece of what a follower has before it."""

from __future__ import annotations

import itertools
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from storage.moments import literal, time_within
from storage.pages import BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asyncpg import Record

    from storage.extents import Reach
    from storage.where import Where

# Columns behind those that are selected; the first three only where not all rows are wanted, for
# else they are counted: a window and a sort by other columns less, and each column takes its time.
WANTED, PLACE, NUMBER, XID, LAST = range(-5, 0)
NUMBERED = itemgetter(NUMBER)
COUNTED = """, row_number() OVER walk AS place,
        row_number() OVER (PARTITION BY xid ORDER BY timestamp, id) AS number"""


class Statement(msgspec.Struct, frozen=True):
    """
    What a piece is made of: what is selected, arguments, a column, and the condition on it.

    Without a condition all rows are wanted. *place* gives the time and id of what is selected.
    """

    selected: str
    where: Where
    place: Callable[[Any], tuple[bytes, int]]
    column: str = ""
    wanted: str = ""


def select(statement: Statement, reach: Reach, records: int, bytes: int, *, divided: bool) -> str:  # noqa: A002
    """Give the statement that reads *reach*; *divided* are rows among servers, by Citus."""
    where = statement.where
    first, last = (
        reach.extents[0].first if reach.extents else 0,
        max((e.last for e in reach.extents), default=0),
    )
    conditions = [f"xid = ANY ({where.bind(reach.xids)}::xid8[])"]
    if (after := reach.after) is not None:
        first = max(first, after.moment)
        beside = f"{where.bind(literal(after.moment))}::text::timestamptz, {where.bind(after.id)}"
        conditions.append(f"(timestamp, id) > ({beside}::bigint)")
    # Only of a constant Postgres knows early which partitions it needs.
    for sign, limit in ((">=", time_within(first)), ("<=", time_within(last))):
        if limit is not None:
            conditions.append(f"timestamp {sign} {where.bind(limit)}")
    condition = " AND ".join(conditions)
    if reach.along:
        source = (
            f"(SELECT * FROM log_entries WHERE {condition}"
            f" AND timestamp >= {where.bind(literal(first))}::text::timestamptz"
            f" AND timestamp <= {where.bind(literal(last))}::text::timestamptz"
            f" ORDER BY timestamp, id LIMIT {where.bind(records)}::bigint)"
        )
    elif divided:  # whose planner knows of no LATERAL; by OFFSET it reads this first
        times = " OR ".join(
            f"(timestamp >= {where.bind(literal(each.first))}::text::timestamptz"
            f" AND timestamp <= {where.bind(literal(each.last))}::text::timestamptz)"
            for each in reach.extents
        )
        source = f"(SELECT * FROM log_entries WHERE {condition} AND ({times or 'false'}) OFFSET 0)"
    else:
        firsts, lasts = (
            f"{where.bind([literal(each) for each in ends])}::text[]::timestamptz[]"
            for ends in (
                [each.first for each in reach.extents],
                [each.last for each in reach.extents],
            )
        )
        source = (
            f"(SELECT e.* FROM unnest({firsts}, {lasts}) extent (first, last) CROSS JOIN LATERAL"
            f" (SELECT * FROM log_entries WHERE timestamp >= first AND timestamp <= last"
            f" AND {condition} OFFSET 0) e)"
        )
    behind, counted, condition, size = "", "", "", BYTES
    if wanted := statement.wanted:
        source = f"(SELECT *, {statement.column} FROM {source} e)"
        behind, counted = f", {wanted}, place, number", COUNTED
        condition, size = f"({wanted} OR last) AND", f"CASE WHEN {wanted} THEN {BYTES} ELSE 0 END"
    return f"""
SELECT {statement.selected}{behind}, xid, last
FROM (
    SELECT *, lead(true) OVER walk IS NULL AS last, sum(size) OVER walk - size AS before{counted}
    FROM (SELECT *, {size} AS size FROM {source} e) e
    WINDOW walk AS (ORDER BY xid, timestamp, id ROWS UNBOUNDED PRECEDING)
) e
WHERE {condition} before < {where.bind(bytes)}::bigint
ORDER BY xid, timestamp, id
"""


def numbers(rows: Sequence[Record]) -> Callable[[Record], int]:
    """Give what tells the number of each of *rows*, which are all, within its transaction."""
    found: dict[int, int] = {}

    def number(row: Record) -> int:
        if not found:  # nearly nobody asks
            for _, group in itertools.groupby(rows, itemgetter(XID)):
                found.update((id(each), place) for place, each in enumerate(group, 1))
        return found[id(row)]

    return number
