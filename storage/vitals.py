"""How the database is: sizes, ages and reserves, as few queries as tell it."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from storage.errors import translated
from storage.layout import TOTAL_SIZE, WHOLE, engine

if TYPE_CHECKING:
    import asyncpg

    from storage.reader import Reader

TIMEOUT = 10.0  # seconds for all of it
DAY = dt.timedelta(days=1)
# Rows of days that have no partition: there should be none but those of odd times.
STRAY = """
SELECT count(*) FROM (SELECT 1 FROM log_entries_default WHERE timestamp >= $1 AND timestamp < $2
    LIMIT 100000) stray
"""
NEWEST = "SELECT max(received_at) FROM ledger"
UNCOUNTED = """
SELECT coalesce(sum(records), 0)::bigint FROM ledger, roll_up_position
WHERE xid >= pg_snapshot_xmin(counted) AND NOT pg_visible_in_snapshot(xid, counted)
"""
SERVER = """
SELECT pg_database_size(current_database()),
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
    current_setting('max_connections')::integer
"""
# A row of a time to come has its day made in a hypertable, so the last one says nothing.
DAYS = f"""
SELECT count(*), array_agg(start::timestamptz) FILTER (WHERE start::timestamptz > $1)
FROM ({WHOLE}) p
"""


# What there is beside the records, of which each may fail alone.
PARTS = """
SELECT 'forwarder' AS kind, name, state FROM destinations
UNION ALL SELECT 'alert', name, CASE WHEN error IS NULL THEN 'running' ELSE 'failing' END
FROM alert_rules
ORDER BY kind DESC, name LIMIT 1000
"""


class Part(msgspec.Struct, frozen=True):
    """A destination or a rule of alerts, and how it is."""

    kind: Literal["forwarder", "alert"]
    name: str
    state: str


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at the database tells."""

    database_bytes: int
    records_bytes: int  # of the records and the ledger, with indexes
    partitions: int
    days_ahead: int  # days after today that have a partition, up to the first that has none
    stray: int | None  # records of recent days without a partition; None in a hypertable
    newest: dt.datetime | None  # when the newest commit was received
    uncounted: int  # records that the roll-ups have not counted yet
    connections: int  # of everybody
    most_connections: int


async def vitals(pool: asyncpg.Pool, now: dt.datetime) -> Vitals:
    """
    Look at the database; days are those of *now*.

    Raises:
        Unavailable: it is away.
    """
    with translated():
        async with pool.acquire(timeout=TIMEOUT) as connection, connection.transaction():
            await connection.execute(f"SET LOCAL statement_timeout = {int(TIMEOUT * 1000)}")
            return await _looked(connection, now)


async def parts(reader: Reader) -> list[Part]:
    """Give what may fail beside the records; quickly, for probes."""
    async with reader.owning() as connection:
        return [Part(*row) for row in await connection.fetch(PARTS)]


async def _looked(connection: Any, now: dt.datetime) -> Vitals:
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    kept_by = await engine(connection)
    size, connections, most = await connection.fetchrow(SERVER)
    partitions, later = await connection.fetchrow(DAYS, today)
    days = (today + n * DAY for n in itertools.count(1))
    ahead = itertools.takewhile(set(later or ()).__contains__, days)
    recent = (today - 7 * DAY, today + DAY)
    return Vitals(
        database_bytes=size,
        records_bytes=await connection.fetchval(TOTAL_SIZE[kept_by]),
        partitions=partitions,
        days_ahead=sum(1 for _ in ahead),
        stray=None if kept_by == "timescaledb" else await connection.fetchval(STRAY, *recent),
        newest=await connection.fetchval(NEWEST),
        uncounted=await connection.fetchval(UNCOUNTED),
        connections=connections,
        most_connections=most,
    )
