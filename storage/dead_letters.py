"""
Dead letters: records that a destination did not take, each with the reason.

A letter refers to its record and is no copy of it, so that deleting a record is the end of its
letters, and one that is sent again goes as it is in the table.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003  msgspec reads the annotations
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from storage import stored
from storage.deletion import Deleted, entered
from storage.entries import SELECTED, Entry, entry
from storage.errors import translated
from storage.positions import BEGINNING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import asyncpg

    from storage.deletion import Actor
    from storage.stored import Interned, Stored

BEHIND = 6  # columns before those of the record
# Their records are found before, for Citus fetches all there are for an outer join.
PAGE = f"""
WITH d AS MATERIALIZED (
    SELECT * FROM dead_letters WHERE destination = $1 AND ($2::bigint IS NULL OR id < $2)
    ORDER BY id DESC LIMIT $3)
SELECT d.id, d.reason, d.status, d.attempts, d.retry, d.created_at, {SELECTED}
FROM d LEFT JOIN (
    SELECT e.* FROM d JOIN log_entries e ON e.timestamp = d.entry_timestamp AND e.id = d.entry_id
    OFFSET 0) e ON e.timestamp = d.entry_timestamp AND e.id = d.entry_id
ORDER BY d.id DESC
"""
RETRY = """
UPDATE dead_letters SET retry = true
WHERE destination = $1 AND ($2::bigint[] IS NULL OR id = ANY ($2)) AND NOT retry
"""
DUE = f"""
SELECT {stored.SELECTED}, d.id
FROM (SELECT * FROM dead_letters WHERE destination = $1 AND retry ORDER BY id LIMIT $2) d
JOIN log_entries e ON e.timestamp = d.entry_timestamp AND e.id = d.entry_id
ORDER BY d.id
"""
DELETE = """
DELETE FROM dead_letters WHERE destination = $1 AND ($2::bigint[] IS NULL OR id = ANY ($2))
"""


class DeadLetter(msgspec.Struct, frozen=True):
    """
    A dead letter; *status* is the HTTP status that said so, if any.

    *entry* is None if somebody has deleted the record without our commands.
    """

    id: int
    reason: str
    status: int | None
    attempts: int
    retry: bool  # whether it is to be sent again
    created_at: dt.datetime
    entry: Entry | None


async def page(
    pool: asyncpg.Pool, destination: str, *, limit: int, before: int | None = None
) -> list[DeadLetter]:
    """Give the newest *limit* letters of *destination*, or of those with ids below *before*."""
    with translated():
        rows = await pool.fetch(PAGE, destination, before, limit)
    return [_letter(row) for row in rows]


async def retry(pool: asyncpg.Pool, destination: str, ids: Sequence[int] | None = None) -> int:
    """Have all letters of *destination*, or those of *ids*, sent again; give how many."""
    with translated():
        return _number(await pool.execute(RETRY, destination, ids))


async def due(
    pool: asyncpg.Pool, interned: Interned, destination: str, *, limit: int
) -> list[tuple[int, Stored]]:
    """
    Give the next *limit* letters to send again, each with its record.

    `Claim.retried` says then what became of them. The positions of the records say nothing.
    """
    async with _snapshot(pool) as connection:
        rows = await connection.fetch(DUE, destination, limit)
        loaded = await interned.load(connection, rows)
    records = stored.stored(rows, loaded, lambda _row: BEGINNING)
    return [(row[-1], each) for row, each in zip(rows, records, strict=True)]


async def delete(
    pool: asyncpg.Pool, destination: str, actor: Actor, ids: Sequence[int] | None = None
) -> int:
    """Delete all letters of *destination*, or those of *ids*, and say so in the audit."""
    with translated():
        async with pool.acquire() as connection, connection.transaction():
            number = _number(await connection.execute(DELETE, destination, ids))
            if number:
                reason = f"dead letters of {destination}"
                gone = Deleted(place="dead_letters", reason=reason, records=number)
                await entered(connection, actor, gone)
    return number


@asynccontextmanager
async def _snapshot(pool: asyncpg.Pool) -> AsyncIterator[Any]:
    with translated():
        async with (
            pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection


def _letter(row: asyncpg.Record) -> DeadLetter:
    number, reason, status, attempts, retried, created_at = row[:BEHIND]
    found = None if row[BEHIND] is None else entry(row, BEHIND)
    return DeadLetter(number, reason, status, attempts, retried, created_at, found)


def _number(status: str) -> int:
    return int(status.rsplit(maxsplit=1)[-1])
