"""
Deleting records, in short transactions, each of which says in ``log_deletions`` what it did.

A partition is gone through a few of its blocks at a time, with as long a pause after each
transaction as it took, so that writers and readers keep half of the machine at least.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING, Any

import msgspec

from storage import filters, shards
from storage.errors import translated
from storage.layout import BOUNDS, engine

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    import asyncpg

    from storage.layout import Engine
    from storage.search import Search

AT_ONCE = 5_000  # records of one transaction, about
BLOCKS_AT_ONCE = 256  # have as many, of usual records
LONGEST_PAUSE = 1.0  # seconds
# Who deletes waits for who counts, which holds up nobody else.
LOCK_TIMEOUT = "30s"

AUDIT = """
INSERT INTO log_deletions (who, command, reason, place, records) VALUES ($1, $2, $3, $4, $5)
RETURNING id
"""
AUDIT_MORE = "UPDATE log_deletions SET records = records + $2 WHERE id = $1"
# Records go with their dead letters.
GONE = """
WITH gone AS (DELETE FROM {0} WHERE {1} RETURNING {2} AS number, timestamp, id),
letters AS (
    DELETE FROM dead_letters USING gone
    WHERE (entry_timestamp, entry_id) = (gone.timestamp, gone.id) RETURNING number)
SELECT NULL AS place, number, count(*) FROM gone GROUP BY 2
UNION ALL SELECT 'dead_letters', number, count(*) FROM letters GROUP BY 2
"""
GONE_OF_DAY = "DELETE FROM dead_letters WHERE entry_timestamp >= $1 AND entry_timestamp < $2"
# An id may also be an attribute of what wrote the records, which is stored once for all of them.
MENTIONS = "EXISTS (SELECT FROM unnest($1::text[]) name WHERE attributes ->> name = $2)"
FORGET = f"""
UPDATE {{table}} SET attributes = attributes - ARRAY(
    SELECT name FROM unnest($1::text[]) name WHERE attributes ->> name = $2)
WHERE {MENTIONS}
"""
SHARED = ("resources", "scopes")


class Actor(msgspec.Struct, frozen=True):
    """Who deletes, as user@host, and the command that they gave."""

    who: str
    command: str


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """What went, or would go, of one place for one reason."""

    place: str
    reason: str
    records: int


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """
    What goes of a partition: about *records* rows, by *condition* with *arguments*.

    *number* is an expression that gives the place of a row's reason in *reasons*.
    """

    partition: str
    condition: str
    arguments: Sequence[object]
    number: str = "0"
    reasons: dict[int, str]
    records: int


async def find(pool: asyncpg.Pool, search: Search, *, now: dt.datetime) -> dict[str, int]:
    """Give how many records of *search* each partition has, but for those that have none."""
    where = filters.where(search, now)
    with translated():
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
            if await engine(connection) == "citus":
                return dict(await shards.found(connection, str(where), where.arguments))
            rows = await connection.fetch(
                f"SELECT tableoid::regclass::text, count(*) FROM log_entries WHERE {where}"
                " GROUP BY 1 ORDER BY 1",
                *where.arguments,
            )
    return {row[0]: row[1] for row in rows}


async def delete(
    pool: asyncpg.Pool, search: Search, actor: Actor, *, now: dt.datetime, reason: str
) -> list[Deleted]:
    """
    Delete the records of *search*, wherever they are; *reason* is what the audit says.

    What was deleted before an error stays deleted, and the same call goes on from there.

    Raises:
        Unavailable: the database is away, or somebody holds a lock for long; try again.
    """
    done = []
    for partition, records in (await find(pool, search, now=now)).items():
        where = filters.where(search, now)
        sweep = Sweep(
            partition=partition,
            condition=str(where),
            arguments=where.arguments,
            reasons={0: reason},
            records=records,
        )
        with translated():
            async with pool.acquire() as connection:
                done += await swept(connection, sweep, actor)
                await connection.execute(f"VACUUM {partition}")  # or its files still have them
    return done


async def mentions(pool: asyncpg.Pool, names: Sequence[str], value: str) -> dict[str, int]:
    """Give how many resources and scopes have an attribute of *names* that is *value*."""
    found = {}
    with translated():
        for table in SHARED:
            found[table] = await pool.fetchval(
                f"SELECT count(*) FROM {table} WHERE {MENTIONS}", list(names), value
            )
    return {table: number for table, number in found.items() if number}


async def forget(
    pool: asyncpg.Pool, names: Sequence[str], value: str, actor: Actor, *, reason: str
) -> list[Deleted]:
    """Take attributes of *names* that are *value* off resources and scopes."""
    done = []
    with translated():
        async with pool.acquire() as connection:
            for table in SHARED:
                async with connection.transaction():
                    status = await connection.execute(
                        FORGET.format(table=table), list(names), value
                    )
                    if number := int(status.split()[-1]):
                        done.append(Deleted(place=table, reason=reason, records=number))
                        await entered(connection, actor, done[-1])
    return done


async def swept(connection: Any, sweep: Sweep, actor: Actor) -> list[Deleted]:
    """Delete what *sweep* says, in as many transactions as that takes; give it by reason."""
    deleted = dict.fromkeys(sweep.reasons, 0)
    entries: dict[tuple[str | None, int], int] = {}
    await connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
    try:
        kept_by = await engine(connection)
        table, parts = await _parts(connection, sweep, kept_by)
        gone_of = shards.gone if kept_by == "citus" else _gone
        for part in parts:
            start = time.perf_counter()
            async with connection.transaction():
                rows = await gone_of(
                    connection, table, f"{part}({sweep.condition})", sweep.number, sweep.arguments
                )
                for place, number, records in rows:
                    if place is None:
                        deleted[number] += records
                    gone = Deleted(
                        place=place or sweep.partition,
                        reason=sweep.reasons[number],
                        records=records,
                    )
                    key = place, number
                    entries[key] = await entered(connection, actor, gone, entries.get(key))
            await asyncio.sleep(min(time.perf_counter() - start, LONGEST_PAUSE))
    finally:
        await connection.execute("RESET lock_timeout")
    return [
        Deleted(place=sweep.partition, reason=sweep.reasons[number], records=records)
        for number, records in deleted.items()
        if records
    ]


async def letters_gone(
    connection: Any, actor: Actor, times: tuple[dt.datetime, dt.datetime], reason: str
) -> None:
    """Delete the dead letters of records of *times*, from the one to before the other."""
    status = await connection.execute(GONE_OF_DAY, *times)
    if number := int(status.split()[-1]):
        await entered(
            connection, actor, Deleted(place="dead_letters", reason=reason, records=number)
        )


async def entered(connection: Any, actor: Actor, gone: Deleted, entry: int | None = None) -> int:
    """Say in the audit what is *gone*, in a row of its own or in *entry*; give the row's id."""
    if entry is not None:
        await connection.execute(AUDIT_MORE, entry, gone.records)
        return entry
    number: int = await connection.fetchval(
        AUDIT, actor.who, actor.command, gone.reason, gone.place, gone.records
    )
    return number


async def _gone(
    connection: Any, table: str, condition: str, number: str, arguments: Sequence[object]
) -> Sequence[Any]:
    """Delete rows and their dead letters; give how many, by place and *number*."""
    rows: Sequence[Any] = await connection.fetch(GONE.format(table, condition, number), *arguments)
    return rows


async def _parts(connection: Any, sweep: Sweep, kept_by: Engine) -> tuple[str, list[str]]:
    """Give the table to delete from, and the conditions on parts of few enough rows each."""
    if kept_by == "timescaledb":
        return "log_entries", await _times(connection, sweep)
    if sweep.records <= AT_ONCE:  # where an index leads to them
        return sweep.partition, [""]
    if kept_by == "citus":
        return sweep.partition, await _times(connection, sweep)
    blocks = await connection.fetchval(
        "SELECT pg_relation_size($1::text::regclass) / current_setting('block_size')::integer",
        sweep.partition,
    )
    return sweep.partition, [
        f"ctid >= '({block},0)' AND ctid < '({block + BLOCKS_AT_ONCE},0)' AND "
        for block in range(0, blocks, BLOCKS_AT_ONCE)
    ]


async def _times(connection: Any, sweep: Sweep) -> list[str]:
    """Give parts by time, for rows that are compressed or in shards have no place."""
    start, finish = await connection.fetchrow(BOUNDS, sweep.partition)
    ends = [start]
    if sweep.records > AT_ONCE:
        cuts = await connection.fetch(
            "SELECT cut::text FROM (SELECT DISTINCT timestamp AS cut FROM ("
            "SELECT timestamp, row_number() OVER (ORDER BY timestamp) AS place"
            f" FROM {sweep.partition} WHERE {sweep.condition}) numbered"
            f" WHERE place % {AT_ONCE} = 0) cuts ORDER BY cuts.cut",
            *sweep.arguments,
        )
        ends += [row[0] for row in cuts]
    parts = []
    for first, last in itertools.pairwise((*ends, finish)):
        parts.append(f"timestamp >= '{first}' AND " if first else "")
        parts[-1] += f"timestamp < '{last}' AND " if last else ""
    return parts
