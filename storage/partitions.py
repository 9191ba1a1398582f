"""
Partitions: made ahead of time, emptied out of the default one, and dropped.

A partition holds one UTC day and is named for it: ``log_entries_20251113``.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from storage import chunks, roll_ups, shards
from storage.errors import translated
from storage.layout import engine

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

DAY = dt.timedelta(days=1)
LOCK = 7_166_349_251_015_425  # the advisory lock of who does the housekeeping
LOCK_TIMEOUT = "2s"  # ingest queues behind a waiting DDL statement, so it must not wait long
# Vacuum comes while what is new is in the server's memory. By its defaults it would wait for a
# fifth more records, and read most from disk and write them twice again; see docs/scaling.md.
VACUUMED = """
ALTER TABLE {} SET (autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 500000)
"""
EARLIEST = dt.date(2000, 1, 1)  # rows from before stay in the default partition

# parent of the days, the table they hold, the column they divide
TABLES = (("log_entries_days", "log_entries", "timestamp"), ("ledger", "ledger", "received_at"))
DROPPED = """
INSERT INTO ledger_dropped (day, last, records)
SELECT $1, xid, (SELECT sum(records) FROM ledger_{0})
FROM ledger_{0} ORDER BY xid DESC LIMIT 1
ON CONFLICT (day) DO UPDATE SET last = greatest(ledger_dropped.last, excluded.last),
    records = ledger_dropped.records + excluded.records
"""


async def maintain(pool: asyncpg.Pool, today: dt.date, *, ahead: int) -> list[str]:
    """
    Make partitions up to *ahead* days from *today*.

    Rows that came without a partition for their day are moved out of the default one.
    Gives what was done, a line each; nothing where another process does it now.

    Raises:
        Unavailable: the database is away, or a long query holds a table; try again later.
    """
    with translated():
        async with pool.acquire() as connection:
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
                return []
            try:
                await connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
                done = []
                for parent, table, column in TABLES:
                    if table == "log_entries" and await engine(connection) == "timescaledb":
                        done += await _make_chunks(connection, today, ahead)
                    else:
                        done += await _make(connection, parent, table, column, today, ahead)
                return done
            finally:
                await connection.execute("RESET lock_timeout")
                await connection.fetchval("SELECT pg_advisory_unlock($1)", LOCK)


async def days(connection: PoolConnectionProxy[asyncpg.Record], table: str) -> set[dt.date]:
    """Give the days that *table* has partitions for."""
    names = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = ("
        "SELECT relnamespace FROM pg_class WHERE oid = to_regclass($1)) AND relname ~ $2",
        table,
        f"^{table}_[0-9]{{8}}$",
    )
    # strptime reads no time zone here, and a day has none
    return {dt.datetime.strptime(row[0][-8:], "%Y%m%d").date() for row in names}  # noqa: DTZ007


async def _make(
    connection: PoolConnectionProxy[asyncpg.Record],
    parent: str,
    table: str,
    column: str,
    today: dt.date,
    ahead: int,
) -> list[str]:
    existing = await days(connection, table)
    wanted = {today + n * DAY for n in range(-1, ahead + 1)}
    stray = await connection.fetch(
        f"SELECT DISTINCT date_trunc('day', {column}, 'UTC') FROM {table}_default"
        f" WHERE {column} >= $1 AND {column} < $2",
        start(EARLIEST),
        start(today + (ahead + 1) * DAY),
    )
    wanted |= {row[0].date() for row in stray}
    done = []
    for day in sorted(wanted - existing):
        moved = await _make_day(connection, parent, table, column, day)
        done.append(f"made {table}_{day:%Y%m%d}" + (f" of {moved} stray rows" if moved else ""))
    return done


async def _make_chunks(
    connection: PoolConnectionProxy[asyncpg.Record], today: dt.date, ahead: int
) -> list[str]:
    done = [f"made {chunk}" for chunk in await chunks.make_unbounded(connection)]
    done += [f"named {chunk}" for chunk in await chunks.adopt(connection)]
    wanted = {today + n * DAY for n in range(-1, ahead + 1)}
    for day in sorted(wanted - await days(connection, "log_entries")):
        async with connection.transaction():
            if await chunks.make(connection, day):
                done.append(f"made {chunks.NAME.format(day)}")
    return done


async def _make_day(
    connection: PoolConnectionProxy[asyncpg.Record],
    parent: str,
    table: str,
    column: str,
    day: dt.date,
) -> int:
    """Make the partition of *day* from what the default one has of it; give the rows moved."""
    name, first, end = f"{table}_{day:%Y%m%d}", start(day), start(day + DAY)
    async with connection.transaction():
        if table == "log_entries" and await engine(connection) == "citus":
            return await shards.make(connection, name, first, end)
        # Writers of this day would put rows in the default partition behind our back.
        await connection.execute(f"LOCK TABLE {table}_default IN SHARE ROW EXCLUSIVE MODE")
        await connection.execute(f"CREATE TABLE {name} (LIKE {parent} INCLUDING DEFAULTS)")
        if table == "log_entries":
            await connection.execute(VACUUMED.format(name))
        async with roll_ups.moving(connection, table):
            status: str = await connection.execute(
                f"WITH moved AS (DELETE FROM {table}_default"
                f" WHERE {column} >= $1 AND {column} < $2 RETURNING *)"
                f" INSERT INTO {name} SELECT * FROM moved",
                first,
                end,
            )
        await connection.execute(
            f"ALTER TABLE {parent} ATTACH PARTITION {name}"
            f" FOR VALUES FROM ('{first.isoformat()}') TO ('{end.isoformat()}')"
        )
        await roll_ups.watch(connection, table, name, first, end)
    return int(status.rsplit(maxsplit=1)[-1])


async def drop(connection: PoolConnectionProxy[asyncpg.Record], table: str, day: dt.date) -> None:
    """Drop the partition of *day*, within the caller's transaction; nothing else drops one."""
    if table == "ledger":  # who follows it has to know
        await connection.execute(DROPPED.format(f"{day:%Y%m%d}"), day)
    await connection.execute(f"DROP TABLE {table}_{day:%Y%m%d}")
    await roll_ups.forget(connection, table, start(day), start(day + DAY))


async def drop_ledger(
    connection: PoolConnectionProxy[asyncpg.Record], oldest: dt.date
) -> list[dt.date]:
    """Drop what the ledger has of days before *oldest*; give the days."""
    old = sorted(day for day in await days(connection, "ledger") if day < oldest)
    for day in old:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            await drop(connection, "ledger", day)
    return old


def start(day: dt.date) -> dt.datetime:
    """Give the first moment of *day*."""
    return dt.datetime.combine(day, dt.time(), dt.UTC)
