"""
Counting what is stored, afterwards; see the third migration, and `storage.counts` for readers.

All of one time's work is seen in one snapshot, which is then the position: whose transactions
it sees, those are counted. A transaction that takes hours so holds nobody else's records up.
"""

from __future__ import annotations

import datetime as dt
import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from storage import renumbering
from storage.errors import translated
from storage.layout import WHOLE, engine
from storage.where import Where

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import asyncpg

COUNTED = "log_entries"
LOCK = 7_166_349_251_015_426  # the advisory lock of who counts
LOCK_TIMEOUT = "2s"  # who deletes counted rows queues behind us
MOST_TIMES = 8  # of the live rows; each is a condition of its own

Times = tuple[dt.datetime, dt.datetime]  # both inclusive

# Python's times end here, the database's don't.
FIRST = dt.datetime(1, 1, 2, tzinfo=dt.UTC)
LAST = dt.datetime(9999, 12, 30, tzinfo=dt.UTC)

# Before a snapshot is taken: rows that are moved between partitions after it would be in
# neither of the two that it sees, and of one that is dropped nothing would be left.
STILL = "LOCK TABLE log_entries IN ACCESS SHARE MODE"
POSITION = "SELECT counted::text FROM roll_up_position"
# Whether the position is of transactions that this server has not come to.
FOREIGN = """
SELECT pg_snapshot_xmax(counted) > pg_snapshot_xmax(pg_current_snapshot()) FROM roll_up_position
"""
MOVE = "UPDATE roll_up_position SET counted = pg_current_snapshot()"
# What the partitions are, and what is counted; each without the other.
DIFFERENCES = f"""
SELECT p.partition::oid IS NOT NULL AS gone, i.partition::regclass::text AS partition,
    coalesce(p.start::text, i.start) AS start, coalesce(p.finish::text, i.finish) AS finish,
    p.partition::oid AS former
FROM ({WHOLE}) i FULL JOIN roll_up_partitions p ON p.partition = i.partition
WHERE p.partition IS NULL OR i.partition IS NULL
ORDER BY gone DESC, start NULLS FIRST, partition
"""
WATCH = """
SELECT roll_ups_watch(inhrelid) FROM pg_inherits
WHERE inhparent = to_regclass('log_entries_days') AND NOT EXISTS (
    SELECT FROM pg_trigger WHERE tgrelid = inhrelid AND tgname = 'roll_ups_deleted')
"""
LIVE = """
SELECT least(greatest(lower(times), $2), $3), least(greatest(upper(times), $2), $3)
FROM unnest((
    SELECT range_agg(tstzrange(min_timestamp, max_timestamp, '[]')) FROM ledger
    WHERE xid >= pg_snapshot_xmin($1::text::pg_snapshot)
        AND NOT pg_visible_in_snapshot(xid, $1::text::pg_snapshot)
        AND min_timestamp <= max_timestamp
)) times ORDER BY 1
"""
ADD = """
SELECT roll_ups_add(array_agg(ROW(minute, service, level, severity_number, records)
    ::roll_up_change))
FROM (
    SELECT date_trunc('minute', timestamp, 'UTC') AS minute, service, level, severity_number,
        count(*) AS records
    FROM {} GROUP BY 1, 2, 3, 4
) counted
"""
WITHIN = (
    "($1::text IS NULL OR {0} >= $1::text::timestamptz)"
    " AND ($2::text IS NULL OR {0} < $2::text::timestamptz)"
)


async def count(pool: asyncpg.Pool) -> list[str]:
    """
    Count what transactions have stored since the last time.

    Partitions that aren't counted yet come first, one a transaction. Gives what was done to
    partitions, a line each; nothing where another process counts now.

    Raises:
        Unavailable: the database is away, or counted rows are being deleted; try again later.
    """
    done: list[str] = []
    with translated():
        async with pool.acquire() as connection:
            if await engine(connection) == "citus":  # its workers count when they are asked
                return done
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
                return done
            try:
                await connection.execute(WATCH)
                if await connection.fetchval(FOREIGN) or await renumbering.foreign(connection):
                    done.append(await _begin_again(connection))
                while did := await _mend(connection):
                    done.append(did)
            finally:
                await connection.fetchval("SELECT pg_advisory_unlock($1)", LOCK)
    return done


async def live(connection: Any, position: str) -> list[Times]:
    """Give the times in which all rows are that *position* doesn't see; few, in order."""
    found: list[Times] = []
    for first, last in await connection.fetch(LIVE, position, FIRST, LAST):
        if found and first <= found[-1][1]:  # both beyond what Python has
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    if len(found) <= MOST_TIMES:
        return found
    # The widest gaps are left out, the others are looked through too.
    gaps = sorted(range(1, len(found)), key=lambda n: found[n - 1][1] - found[n][0])
    ends = [0, *sorted(gaps[: MOST_TIMES - 1]), len(found)]
    return [(found[a][0], found[b - 1][1]) for a, b in itertools.pairwise(ends)]


def unseen(where: Where, position: str) -> str:
    """Give the condition that *position* doesn't see a row's transaction."""
    # Read once, not for each row.
    return f"NOT pg_visible_in_snapshot(xid, (SELECT {where.bind(position)}::text::pg_snapshot))"


def during(where: Where, times: Times) -> str:
    """Give the condition that a row is of *times*."""
    first, last = times
    limits = [f"timestamp >= {where.bind(first)}"] if first > FIRST else []
    limits += [f"timestamp <= {where.bind(last)}"] if last < LAST else []
    return " AND ".join(limits) or "true"


@asynccontextmanager
async def moving(connection: Any, table: str) -> AsyncIterator[None]:
    """Move rows out of a default partition in the block, within the caller's transaction."""
    if table != COUNTED:
        yield
        return
    await connection.execute(f"ALTER TABLE {table}_default DISABLE TRIGGER roll_ups_deleted")
    yield
    await connection.execute(f"ALTER TABLE {table}_default ENABLE TRIGGER roll_ups_deleted")


async def watch(
    connection: Any, table: str, partition: str, start: dt.datetime, end: dt.datetime
) -> None:
    """Take over what was moved to a new *partition*, in the transaction that did so."""
    if table != COUNTED:
        return
    await connection.execute("SELECT roll_ups_watch($1::text::regclass)", partition)
    await know(connection, partition, start, end)


async def know(connection: Any, partition: str, start: dt.datetime, end: dt.datetime) -> None:
    """Have nothing to count in a new *partition*, in the transaction that has made it."""
    # Where the default partition isn't counted yet, the moved rows aren't either.
    await connection.execute(
        "INSERT INTO roll_up_partitions SELECT $1::text::regclass, $2, $3 WHERE EXISTS ("
        f"SELECT FROM roll_up_partitions WHERE partition = '{COUNTED}_default'::regclass)",
        partition,
        start,
        end,
    )


async def forget(connection: Any, table: str, start: dt.datetime, end: dt.datetime) -> None:
    """Count nothing of a partition any more, in the transaction that has just dropped it."""
    if table != COUNTED:
        return
    await connection.execute(
        "DELETE FROM roll_ups WHERE seconds IN (60, 3600) AND start >= $1 AND start < $2",
        start,
        end,
    )
    await connection.execute(
        "DELETE FROM roll_up_partitions WHERE start = $1 AND finish = $2", start, end
    )


@asynccontextmanager
async def _counting(connection: Any) -> AsyncIterator[str]:
    """Hold the locks and a snapshot; give the position."""
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        # In the order of who changes rows. All that others did under these locks is in the
        # snapshot, which is taken after them.
        await connection.execute(STILL)
        await connection.execute("LOCK TABLE roll_up_position IN EXCLUSIVE MODE")
        yield await connection.fetchval(POSITION)


async def _follow(connection: Any, position: str) -> bool:
    """Count the rows that *position* doesn't see; tell whether there are any."""
    where = Where()
    # Not one scan with OR: Postgres 15 leaves the default partition out of some.
    rows = [
        f"SELECT timestamp, service, level, severity_number FROM log_entries"
        f" WHERE {during(where, times)} AND {unseen(where, position)}"
        for times in await live(connection, position)
    ]
    if rows:
        await connection.execute(ADD.format(f"({' UNION ALL '.join(rows)}) live"), *where.arguments)
    return bool(rows)


async def _mend(connection: Any) -> str:
    """Make the counts agree with one partition; give what was done, or nothing when all do."""
    async with _counting(connection) as position:
        differences: Sequence[Any] = await connection.fetch(DIFFERENCES)
        if not differences:
            if await _follow(connection, position):
                await connection.execute(MOVE)
            return ""
        gone, partition, start, finish, former = differences[0]
        # Then all rows that are seen here are counted, also those that no ledger tells of.
        await _follow(connection, position)
        await connection.execute(MOVE)
        if start is None and finish is None:  # the default one has rows of any time
            await connection.execute("DELETE FROM roll_up_partitions")
        elif gone:
            await connection.execute(
                "DELETE FROM roll_up_partitions WHERE partition::oid = $1", former
            )
        await connection.execute(
            f"DELETE FROM roll_ups WHERE seconds IN (60, 3600) AND {WITHIN.format('start')}",
            start,
            finish,
        )
        counted = "log_entries" if gone else partition
        await connection.execute(
            ADD.format(f"{counted} WHERE {WITHIN.format('timestamp')}"), start, finish
        )
        if gone:
            return f"counted anew from {start} to {finish}"
        await connection.execute(
            "INSERT INTO roll_up_partitions"
            " SELECT $1::text::regclass, $2::text::timestamptz, $3::text::timestamptz",
            partition,
            start,
            finish,
        )
        return f"counted {partition}"


async def _begin_again(connection: Any) -> str:
    """
    Forget all counts: a backup has brought them from another server.

    So it has the positions of destinations; see `storage.renumbering`.
    """
    await renumbering.renumber(connection)
    async with _counting(connection):
        await renumbering.go_on(connection)
        await connection.execute("DELETE FROM roll_up_partitions")
        await connection.execute(MOVE)
    return "begun to count anew, for the tables come from another server"
