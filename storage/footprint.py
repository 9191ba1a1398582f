"""What the records take on disk, by the tables that hold a day each."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from storage import counts
from storage.chunks import LATEST
from storage.counts import Span
from storage.layout import WHOLE, Engine, engine
from storage.partitions import EARLIEST
from storage.reader import Reader  # noqa: TC001  named in a signature
from storage.where import Where

DEFAULT, FUTURE = "log_entries_default", "log_entries_future"  # only a hypertable has the latter
# Bytes with indexes, those of the indexes, and the name, which ends with the day.
SIZES: dict[Engine, str] = {
    "postgres": f"""
SELECT partition::regclass::text, pg_total_relation_size(partition), pg_indexes_size(partition)
FROM ({WHOLE}) p ORDER BY start DESC NULLS LAST, 1
""",
    "citus": f"""
SELECT partition::regclass::text, citus_total_relation_size(partition),
    citus_total_relation_size(partition) - citus_table_size(partition)
FROM ({WHOLE}) p ORDER BY start DESC NULLS LAST, 1
""",
    "timescaledb": f"""
SELECT p.partition::regclass::text, coalesce(d.total_bytes, 0)::bigint,
    coalesce(d.index_bytes, 0)::bigint
FROM ({WHOLE}) p LEFT JOIN chunks_detailed_size('log_entries') d
    ON format('%I.%I', d.chunk_schema, d.chunk_name)::regclass = p.partition
ORDER BY p.start DESC NULLS LAST, 1
""",
}
DATABASE = "SELECT pg_database_size(current_database())"
# Days that have tables of their own; other times are in those that are for all the rest.
DAY = (
    f"CASE WHEN {{0}} >= '{EARLIEST} 00:00Z' AND {{0}} < '9999-01-01 00:00Z'"
    " THEN ({0} AT TIME ZONE 'UTC')::date END"
)


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """A table that holds records: of a day, or of all times that have no table of their own."""

    name: str
    day: dt.date | None
    records: int | None  # None where they are not counted yet
    bytes: int  # with indexes
    index_bytes: int


class Footprint(msgspec.Struct, frozen=True, kw_only=True):
    """What there is, newest day first."""

    database_bytes: int
    partitions: list[Partition]


async def footprint(reader: Reader) -> Footprint:
    """Give the sizes, and the numbers of records as they are at this moment."""
    async with reader.reading() as connection:
        rows = await connection.fetch(SIZES[await engine(connection)])
        database: int = await connection.fetchval(DATABASE)
        records = await _records(connection)
    held = None if records is None else _by_table([row[0] for row in rows], records)
    return Footprint(
        database_bytes=database,
        partitions=[
            Partition(
                name=name,
                day=_day(name),
                records=None if held is None else held.get(name, 0),
                bytes=size,
                index_bytes=index_size,
            )
            for name, size, index_size in rows
        ],
    )


async def _records(connection: Any) -> dict[dt.date | None, int] | None:
    """Give how many records each day has, by the roll-ups; None where these lack some."""
    if (found := await counts.rolled(connection)) is None:
        return None
    where = Where()
    counted = counts.summed(
        where, found, Span(None, None), "true", DAY.format, "NULL::text", hours=True
    )
    rows = await connection.fetch(
        f"SELECT bucket, sum(records)::bigint FROM ({counted}) counted GROUP BY 1",
        *where.arguments,
    )
    return {row[0]: row[1] for row in rows}


def _by_table(names: list[str], records: dict[dt.date | None, int]) -> dict[str, int]:
    """Give how many records each table has; what has no day of its own is in one for the rest."""
    by_day: dict[dt.date | None, str] = {day: name for name in names if (day := _day(name))}
    held: dict[str, int] = {}
    for day, number in records.items():
        late = day is not None and day >= LATEST.date() and FUTURE in names
        name = by_day.get(day, FUTURE if late else DEFAULT)
        held[name] = held.get(name, 0) + number
    return held


def _day(name: str) -> dt.date | None:
    digits = name.rpartition("_")[2]
    return dt.date.fromisoformat(digits) if digits.isdigit() else None
