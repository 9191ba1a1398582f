"""The statement that reads a piece of what a follower has before it."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

import msgspec

from storage import positions as p
from storage.pages import BYTES

if TYPE_CHECKING:
    from storage.extents import Reach
    from storage.where import Where

# Columns before those of the record.
WANTED, LAST, NUMBER, PLACE, XID, MOMENT, ID = range(7)
BEHIND = 7
PLACED = itemgetter(XID, MOMENT, ID, NUMBER)  # quicker than four times from the row


class Statement(msgspec.Struct, frozen=True):
    """What a piece is made of: a column, the condition on it, what is selected, and arguments."""

    column: str
    wanted: str
    selected: str
    where: Where


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
        beside = f"{where.bind(p.literal(after.moment))}::text::timestamptz, {where.bind(after.id)}"
        conditions.append(f"(timestamp, id) > ({beside}::bigint)")
    # Only of a constant Postgres knows early which partitions it needs.
    for sign, limit in ((">=", p.time(first)), ("<=", p.time(last))):
        if limit is not None:
            conditions.append(f"timestamp {sign} {where.bind(limit)}")
    condition = " AND ".join(conditions)
    if reach.along:
        source = (
            f"(SELECT * FROM log_entries WHERE {condition}"
            f" AND timestamp >= {where.bind(p.literal(first))}::text::timestamptz"
            f" AND timestamp <= {where.bind(p.literal(last))}::text::timestamptz"
            f" ORDER BY timestamp, id LIMIT {where.bind(records)}::bigint)"
        )
    elif divided:  # whose planner knows of no LATERAL; by OFFSET it reads this first
        times = " OR ".join(
            f"(timestamp >= {where.bind(p.literal(each.first))}::text::timestamptz"
            f" AND timestamp <= {where.bind(p.literal(each.last))}::text::timestamptz)"
            for each in reach.extents
        )
        source = f"(SELECT * FROM log_entries WHERE {condition} AND ({times or 'false'}) OFFSET 0)"
    else:
        firsts, lasts = (
            f"{where.bind([p.literal(each) for each in ends])}::text[]::timestamptz[]"
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
    return f"""
SELECT {statement.wanted}, last, number, place, xid, timestamptz_send(timestamp), id,
    {statement.selected}
FROM (
    SELECT *, lead(true) OVER walk IS NULL AS last, row_number() OVER walk AS place,
        row_number() OVER (PARTITION BY xid ORDER BY timestamp, id) AS number,
        sum(size) OVER walk - size AS before
    FROM (SELECT *, CASE WHEN {statement.wanted} THEN {BYTES} ELSE 0 END AS size
        FROM (SELECT *, {statement.column} FROM {source} e) e) e
    WINDOW walk AS (ORDER BY xid, timestamp, id ROWS UNBOUNDED PRECEDING)
) e
WHERE ({statement.wanted} OR last) AND before < {where.bind(bytes)}::bigint
ORDER BY xid, timestamp, id
"""
