"""
The chunks of the hypertable ``log_entries``: made and named as partitions are, a UTC day each.

TimescaleDB makes one for whatever time a row has that no chunk is for, with a name of its
own. Only days from `partitions.EARLIEST` to `LATEST` can so be many, for the chunk
``log_entries_default`` is for all time before and ``log_entries_future`` for all after.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from migrations import reader
from storage import roll_ups
from storage.layout import PARTITIONS

EARLIEST = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
LATEST = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
NAME = "log_entries_{:%Y%m%d}"
UNBOUNDED = {"log_entries_default": (None, EARLIEST), "log_entries_future": (LATEST, None)}

EMPTY = "CREATE TABLE {} (LIKE log_entries INCLUDING DEFAULTS)"

# TimescaleDB's own marks of no limit
NO_START, NO_END = -(2**63), 2**63 - 1

# Statement triggers see no rows where a chunk is compressed, so that rows note themselves, and
# what they noted is counted after the statement. An attached table has none of the
# hypertable's row triggers, and who names a chunk runs none of its statement triggers. The
# trigger of texts changes what `JOB_TEXT` says, for rows of which it says anything.
TRIGGERS = """
CREATE OR REPLACE TRIGGER roll_ups_row_deleted AFTER DELETE ON {0}
    FOR EACH ROW WHEN (OLD.xid <> pg_current_xact_id()) EXECUTE FUNCTION roll_ups_row_deleted();
CREATE OR REPLACE TRIGGER roll_ups_rows_deleted AFTER DELETE ON {0}
    FOR EACH STATEMENT EXECUTE FUNCTION roll_ups_rows_deleted();
CREATE OR REPLACE TRIGGER log_entries_job_text BEFORE INSERT OR UPDATE ON {0}
    FOR EACH ROW WHEN (NEW.job_id IS NULL AND NEW.extra ->> 'job_id' IS NOT NULL)
    EXECUTE FUNCTION log_entries_job_text();
"""
# A job id that is no number has no column, and no index of what is compressed is on an
# expression; so a hypertable has this column, that a bloom filter can be of.
JOB_TEXT = """
ALTER TABLE {0} ADD COLUMN IF NOT EXISTS job_text text COLLATE "C";
UPDATE {0} SET job_text = extra ->> 'job_id'
WHERE job_id IS NULL AND (extra ->> 'job_id') IS NOT NULL AND job_text IS NULL;
"""
MISNAMED = f"""
SELECT partition::text AS chunk, start FROM (
    SELECT partition::regclass, start::timestamptz FROM ({PARTITIONS}) partitions
) chunks WHERE partition::text ~ '_chunk"?$'
"""

OVERLAPPING = f"""
SELECT partition::regclass::text FROM ({PARTITIONS}) partitions
WHERE ($2::timestamptz IS NULL OR start IS NULL OR start::timestamptz < $2)
    AND ($1::timestamptz IS NULL OR finish IS NULL OR finish::timestamptz > $1)
"""


async def make(connection: Any, day: dt.date) -> bool:
    """Make the chunk of *day*, in the caller's transaction; tell whether there was none."""
    start = dt.datetime.combine(day, dt.time(), dt.UTC)
    await _still(connection)
    if await connection.fetch(OVERLAPPING, start, start + DAY):  # a row came first
        return False
    name = NAME.format(day)
    await connection.execute(EMPTY.format(name))
    await attach(connection, name, start, start + DAY)
    await roll_ups.know(connection, name, start, start + DAY)
    return True


async def make_unbounded(connection: Any) -> list[str]:
    """Make the chunks of all time before and after, which who truncates drops; give the names."""
    made = []
    for name, times in UNBOUNDED.items():
        if not await connection.fetchval("SELECT to_regclass($1) IS NULL", name):
            continue
        async with connection.transaction():
            await connection.execute(EMPTY.format(name))
            await attach(connection, name, *times)
        made.append(name)
    return made


async def attach(
    connection: Any, name: str, start: dt.datetime | None, end: dt.datetime | None
) -> None:
    """
    Make the table *name* the chunk from *start* to before *end*; None is no limit.

    Its rows stay where they are, but are read once. Those that came for its time meanwhile
    are put there too, and their chunks dropped. In the caller's transaction.
    """
    await _still(connection)
    for (chunk,) in await connection.fetch(OVERLAPPING, start, end):
        await connection.execute(f"LOCK TABLE {chunk} IN ACCESS EXCLUSIVE MODE")
        await connection.execute(f"INSERT INTO {name} SELECT * FROM {chunk}")
        await connection.execute(f"DROP TABLE {chunk}")
    await connection.execute(TRIGGERS.format(name))
    await connection.execute(reader.readable(name))
    slices = {
        "timestamp": (
            NO_START if start is None else start.isoformat(),
            NO_END if end is None else end.isoformat(),
        )
    }
    await connection.execute(
        f"CALL attach_chunk('log_entries', '{name}', $1::text::jsonb)",
        msgspec.json.encode(slices).decode(),
    )


async def adopt(connection: Any) -> list[str]:
    """Give the chunks that TimescaleDB has made the names of their days; give the names."""
    named = []
    for chunk, start in await connection.fetch(MISNAMED):
        name = NAME.format(start)
        async with connection.transaction():
            await connection.execute(f"ALTER TABLE {chunk} RENAME TO {name}")
            await connection.execute(TRIGGERS.format(name))
            await roll_ups.know(connection, name, start, start + DAY)
        named.append(name)
    return named


async def _still(connection: Any) -> None:
    """Wait for who makes a chunk, and keep others from it until the transaction ends."""
    await connection.execute("LOCK TABLE ONLY log_entries IN SHARE UPDATE EXCLUSIVE MODE")
