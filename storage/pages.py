"""
Pages of what a search finds, newest first.

A walk through many pages goes by cursors. Each says where the last page ended, and which
transactions the first page saw: so a page is the same whenever it is asked for, whatever has
been stored since, and the walk has each record once.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003  msgspec reads the annotations
import json
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from storage import counts, filters
from storage.entries import SELECTED, Entry, entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncpg import Record
    from asyncpg.pool import PoolConnectionProxy

    from storage.reader import Reader
    from storage.search import Search
    from storage.where import Where

Total: TypeAlias = Literal["exact", "estimate", "none"]

FURTHEST = 2**62  # rows from the first one; Citus adds the limit, and that must be a bigint too
MOST_BYTES = 32 * 1024 * 1024  # of an answer's records: many are at work at once

NEWEST = "e.timestamp DESC, e.id DESC"
OLDEST = "e.timestamp, e.id"
# The bytes of a row's texts, near enough; what isn't compressed need not be read for that.
BYTES = """200 + coalesce(octet_length(msg), 0) + coalesce(octet_length(error), 0)
    + CASE WHEN pg_column_compression(extra) IS NULL THEN coalesce(pg_column_size(extra), 0)
        ELSE octet_length(extra::text) END"""

FUTURE = "(SELECT pg_snapshot_xmax(pg_current_snapshot()))"


class Cursor(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """
    A place beside a record, and the walk that has come there.

    The page is of the records that are newer than that one, or else older.
    """

    newer: bool
    timestamp: str  # as `Entry` has it
    id: int
    now: dt.datetime  # when the walk began
    snapshot: str  # what it saw then: a pg_snapshot
    total: int | None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Part of what a search finds, newest first."""

    entries: list[Entry]
    total: int | None  # of all pages; None when it wasn't asked for
    older: Cursor | None  # to the next page, where there is one
    newer: Cursor | None  # to the page before
    cut: bool  # whether it has less than asked for, because that is too large for one answer


async def first(
    reader: Reader,
    search: Search,
    *,
    now: dt.datetime,
    limit: int,
    offset: int = 0,
    total: Total = "exact",
) -> Page:
    """Give *limit* entries of *search* at the time *now*, after the first *offset*."""
    where = filters.where(search, now)
    condition, arguments = str(where), tuple(where.arguments)
    # One row more tells whether there is a next page.
    beyond = where.bind(min(offset, FURTHEST))
    tail = f"LIMIT {where.bind(limit + 1)}::bigint OFFSET {beyond}::bigint"
    async with reader.reading() as connection:
        rows = await connection.fetch(selected(condition, NEWEST, tail), *where.arguments)
        cut = followed(rows)
        more = len(rows) > limit or cut
        seen = offset + len(rows)
        known: int | None = seen
        if more or (offset and not rows):
            known = await counts.total(connection, search, now) if total == "exact" else None
            if known is None:
                if await reader.divided(connection) and total == "estimate":
                    total = "exact"  # Citus makes no estimates of its own
                known = await _total(connection, total, condition, arguments, len(rows) and seen)
        if more or offset:
            snapshot = await connection.fetchval("SELECT pg_current_snapshot()::text")
    entries = [entry(row) for row in rows[:limit]]

    def cursor(beside: Entry, *, newer: bool) -> Cursor:
        return Cursor(
            newer=newer,
            timestamp=beside.timestamp,
            id=beside.id,
            now=now,
            snapshot=snapshot,
            total=known,
        )

    return Page(
        entries=entries,
        total=known,
        older=cursor(entries[-1], newer=False) if more else None,
        newer=cursor(entries[0], newer=True) if entries and offset else None,
        cut=cut and len(rows) < limit,
    )


async def turned(reader: Reader, search: Search, cursor: Cursor, *, limit: int) -> Page:
    """Give *limit* entries of *search* beside *cursor*."""
    where = filters.where(search, cursor.now)
    order = OLDEST if cursor.newer else NEWEST
    async with reader.reading() as connection:
        future = FUTURE
        if await reader.divided(connection):  # each server would speak of its own transactions
            future = f"{where.bind(await connection.fetchval(f'SELECT {FUTURE}'))}::xid8"
        _beside(where, cursor, future)
        tail = f"LIMIT {where.bind(limit + 1)}::bigint"
        rows = await connection.fetch(selected(str(where), order, tail), *where.arguments)
    entries = [entry(row) for row in rows[:limit]]
    if cursor.newer:
        entries.reverse()
    cut = followed(rows)
    more = len(rows) > limit or cut

    def moved(beside: Entry, *, newer: bool) -> Cursor:
        return msgspec.structs.replace(
            cursor, newer=newer, timestamp=beside.timestamp, id=beside.id
        )

    return Page(
        entries=entries,
        total=cursor.total,
        # Where one came from there is always more.
        older=moved(entries[-1], newer=False) if entries and (more or cursor.newer) else None,
        newer=moved(entries[0], newer=True) if entries and (more or not cursor.newer) else None,
        cut=cut and len(rows) < limit,
    )


def selected(condition: str, order: str, tail: str = "", rows: str = "log_entries") -> str:
    """
    Give the statement for the entries among *rows* that meet *condition*, up to `MOST_BYTES`.

    The first column is whether the row is followed by another.
    """
    # The rows are chosen before anything of them is formatted.
    return (
        f"SELECT followed, {SELECTED} FROM (SELECT *, lead(true) OVER so_far AS followed,"
        f" sum({BYTES}) OVER so_far AS before"
        f" FROM (SELECT * FROM {rows} e WHERE {condition} ORDER BY {order} {tail}) e"
        f" WINDOW so_far AS (ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) e"
        f" WHERE before IS NULL OR before < {MOST_BYTES} ORDER BY {order}"
    )


def followed(rows: Sequence[Record]) -> bool:
    """Tell whether *rows* are less than was asked for, because that is too large."""
    return bool(rows) and rows[-1][0] is True


def _beside(where: Where, cursor: Cursor, future: str = FUTURE) -> None:
    sign = ">" if cursor.newer else "<"
    time = f"{where.bind(cursor.timestamp)}::text::timestamptz"
    where.add(f"timestamp {sign}= {time}")  # of the two this one leaves partitions out
    where.add(f"(timestamp, id) {sign} ({time}, {where.bind(cursor.id)}::bigint)")
    # Rows that a backup brought from another server may have numbers that here no transaction
    # has had yet, from *future* on. They were there before.
    snapshot = f"(SELECT {where.bind(cursor.snapshot)}::text::pg_snapshot)"
    where.add(f"pg_visible_in_snapshot(xid, {snapshot}) OR xid >= {future}")


async def _total(
    connection: PoolConnectionProxy,
    total: Total,
    condition: str,
    arguments: tuple[object, ...],
    seen: int,
) -> int | None:
    """Count what meets *condition*, of which at least *seen* do."""
    if total == "exact":
        counted = f"SELECT count(*) FROM log_entries WHERE {condition}"
        number: int = await connection.fetchval(counted, *arguments)
        return number
    if total == "estimate":
        explained = f"EXPLAIN (FORMAT JSON) SELECT FROM log_entries WHERE {condition}"
        plan = json.loads(await connection.fetchval(explained, *arguments))
        return max(int(plan[0]["Plan"]["Plan Rows"]), seen)
    return None
