"""The days of ``log_entries`` where Citus divides each among the servers of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storage.layout import NAMES
from storage.moments import literal, sent

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

# Who writes to any day locks all of them here, and the one alone on the workers.
MAKE = """
SET LOCAL citus.multi_shard_modify_mode = 'sequential';
LOCK TABLE log_entries_days IN SHARE ROW EXCLUSIVE MODE;
CREATE TABLE {0} (LIKE log_entries_days INCLUDING DEFAULTS);
SELECT create_distributed_table('{0}', 'id', colocate_with => 'log_entries_days')
"""
# To stand beside the conditions on rows of a day. Without any subquery Citus takes them as the
# planner has changed them, and they lose their collations on the way to the workers: then only
# ASCII has upper and lower case, and no index of texts will do.
AS_WRITTEN = "(SELECT true)"
STRAY = "timestamp >= '{0}' AND timestamp < '{1}'"
COPIED = "INSERT INTO {0} SELECT * FROM log_entries_default WHERE {1}"
TAKEN = "DELETE FROM log_entries_default WHERE {0}"
ATTACH = """
ALTER TABLE log_entries_days ATTACH PARTITION {0} FOR VALUES FROM ('{1}') TO ('{2}')
"""
# Times as they are sent, for RETURNING may depend on no setting, and Python has not all of them.
GONE = "DELETE FROM {0} WHERE {1} RETURNING {2} AS number, timestamptz_send(timestamp), id"
LETTERS = """
WITH letters AS (
    DELETE FROM dead_letters
    USING unnest($1::integer[], $2::text[], $3::bigint[]) gone (number, time, id)
    WHERE (entry_timestamp, entry_id) = (time::timestamptz, gone.id) RETURNING number)
SELECT number, count(*) FROM letters GROUP BY 1
"""
# The bytes of a row, by what is known of the tables that have rows.
ROW_SIZE = """
SELECT coalesce(sum((result::json ->> 0)::float8)
    / nullif(sum((result::json ->> 1)::float8), 0), 0)
FROM run_command_on_workers($$
    SELECT json_build_array(
        coalesce(sum(relpages), 0) * current_setting('block_size')::float8,
        coalesce(sum(reltuples), 0))
    FROM pg_class WHERE relkind = 'r' AND reltuples > 0
        AND relname ~ '^log_entries_(default|[0-9]{8})_[0-9]+$'$$)
WHERE success
"""


async def make(connection: Any, name: str, first: dt.datetime, end: dt.datetime) -> int:
    """
    Make the day *name* of what the default partition has of it, in the caller's transaction.

    Gives how many rows that were.
    """
    await connection.execute(MAKE.format(name))
    stray = STRAY.format(first.isoformat(), end.isoformat())
    status: str = await connection.execute(COPIED.format(name, stray))
    moved = int(status.rsplit(maxsplit=1)[-1])
    if moved:
        await connection.execute(TAKEN.format(stray))
    await connection.execute(ATTACH.format(name, first.isoformat(), end.isoformat()))
    return moved


async def found(
    connection: Any, condition: str, arguments: Sequence[object]
) -> list[tuple[str, int]]:
    """Give how many rows of each day meet *condition*; a row tells of its shard, not its day."""
    numbers = []
    for (name,) in await connection.fetch(f"{NAMES} ORDER BY 1"):
        counted = f"SELECT count(*) FROM {name} WHERE {condition} AND {AS_WRITTEN}"
        if number := await connection.fetchval(counted, *arguments):
            numbers.append((name, number))
    return numbers


async def row_size(connection: Any) -> float:
    """Give the bytes of a row, about."""
    size: float = await connection.fetchval(ROW_SIZE)
    return size


async def gone(
    connection: Any, table: str, condition: str, number: str, arguments: Sequence[object]
) -> list[tuple[str | None, int, int]]:
    """Delete as `storage.deletion.GONE` does, with the dead letters, which no worker has."""
    rows = await connection.fetch(GONE.format(table, condition, number), *arguments)
    if not rows:
        return []
    numbers = [row[0] for row in rows]
    times = [literal(sent(row[1])) for row in rows]
    counts: list[tuple[str | None, int, int]] = [
        (None, each, numbers.count(each)) for each in sorted(set(numbers))
    ]
    letters = await connection.fetch(LETTERS, numbers, times, [row[2] for row in rows])
    return counts + [("dead_letters", *row) for row in letters]
