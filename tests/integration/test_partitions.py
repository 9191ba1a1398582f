"""Partitions, against a real Postgres."""

from __future__ import annotations

import datetime as dt

import asyncpg
import pytest

from storage import filters, partitions, writer
from storage.layout import NAMES
from storage.search import All, AnyOf, Compare
from tests.builders import NOON, batch, record
from tests.stored import filled

TODAY = NOON.date()


async def store(pool, *records):
    async with writer.writing(pool, writer.WriterConfig(), lambda *_: None) as log_writer:
        await log_writer.submit(batch(*records))


async def where(pool):
    found = [
        (name, row["msg"])
        for (name,) in await pool.fetch(NAMES)
        for row in await pool.fetch(f"SELECT msg FROM {name}")
    ]
    return sorted(found, key=lambda each: each[1])


async def test_days_are_made_ahead(pool):
    """
    Every day from yesterday to the last one ahead has a partition, and only once.
    """
    first = await partitions.maintain(pool, TODAY, ahead=2)
    second = await partitions.maintain(pool, TODAY, ahead=2)
    found = await partitions.days(pool, "log_entries")

    assert {TODAY + n * partitions.DAY for n in (-1, 0, 1, 2)} == found
    assert len(first) == 8
    assert second == []


async def test_days_are_vacuumed_by_number(pool, hypertable, distributed):
    """
    Vacuum comes to a day after so many new records, not after a share that memory can't hold.
    """
    if hypertable or distributed:
        pytest.skip(reason="chunks and shards keep the defaults of their servers")
    await partitions.maintain(pool, TODAY, ahead=0)
    options = await pool.fetchval(
        "SELECT reloptions FROM pg_class WHERE relname = $1", f"log_entries_{TODAY:%Y%m%d}"
    )

    assert "autovacuum_vacuum_insert_scale_factor=0" in (options or ())


async def test_stray_rows_move_out_of_the_default_partition(pool, hypertable):
    """
    A record of a day without partition is stored at once and moved to its own day later.
    """
    await store(
        pool,
        record(msg="1 late", timestamp=NOON - dt.timedelta(days=40)),
        record(msg="2 now"),
        record(msg="3 absurd", timestamp=dt.datetime(2554, 7, 21, tzinfo=dt.UTC)),
        record(msg="4 ancient", timestamp=dt.datetime(1, 1, 1, tzinfo=dt.UTC)),
    )
    await partitions.maintain(pool, TODAY, ahead=1)

    assert await where(pool) == [
        ("log_entries_20251004", "1 late"),
        ("log_entries_20251113", "2 now"),
        ("log_entries_future" if hypertable else "log_entries_default", "3 absurd"),
        ("log_entries_default", "4 ancient"),
    ]


async def test_one_of_several_times(pool):
    """
    A search for one time or another finds the records that have no partition of their day.
    """
    old = NOON - dt.timedelta(days=99)
    await partitions.maintain(pool, TODAY, ahead=0)
    await store(pool, record(msg="1 late", timestamp=old), record(msg="2 now"))
    search = AnyOf(
        tuple(
            All((Compare("timestamp", ">=", time), Compare("timestamp", "<=", time)))
            for time in (old, NOON)
        )
    )
    found = filters.where(search, NOON)
    rows = await pool.fetch(f"SELECT msg FROM log_entries WHERE {found}", *found.arguments)

    assert ["1 late", "2 now"] == sorted(row[0] for row in rows)


async def test_indexes_are_on_every_partition(pool):
    """
    A partition made from the default one has all indexes of the table.
    """
    await partitions.maintain(pool, TODAY, ahead=0)
    counts = await pool.fetch(
        "SELECT count(*) FROM pg_indexes WHERE tablename IN"
        " ($1, 'log_entries_default', 'log_entries_20251113') GROUP BY tablename",
        await filled(pool),
    )

    assert len(counts) == 3
    assert len({row[0] for row in counts}) == 1


async def test_only_one_does_the_housekeeping(database, pool):
    """
    Of many collectors one makes and drops partitions at a time; the others do nothing.
    """
    other = await asyncpg.connect(database)
    await other.fetchval("SELECT pg_advisory_lock($1)", partitions.LOCK)
    while_locked = await partitions.maintain(pool, TODAY, ahead=0)
    await other.close()

    assert while_locked == []
