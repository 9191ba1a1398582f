"""Walks through pages by cursors, in a real Postgres."""

from __future__ import annotations

import datetime as dt
import json

import asyncpg
import pytest

from collector.api import cursors
from storage import pages
from storage.reader import Reader
from storage.search import EVERYTHING, Equals, Last
from tests.builders import NOON, record
from tests.stored import filled, store

SECOND = dt.timedelta(seconds=1)


@pytest.fixture(name="reader")
def _reader(pool):
    return Reader(pool)


def messages(page):
    return [entry.msg for entry in page.entries]


async def first(reader, search=EVERYTHING, **given):
    return await pages.first(reader, search, **{"now": NOON, "limit": 3, **given})


async def turned(reader, cursor, search=EVERYTHING, limit=3):
    """Turn to the page of a cursor that has gone over the network."""
    return await pages.turned(reader, search, cursors.read(cursors.written(cursor)), limit=limit)


async def walked(reader, page, side="older"):
    """Give the pages from *page* on, until there is no further one."""
    walk = [page]
    while cursor := getattr(walk[-1], side):
        walk.append(await turned(reader, cursor))
    return walk


async def test_walk_there_and_back(pool, reader):
    """
    Next cursors lead through every record once, and previous cursors back over the same pages.
    """
    await store(pool, *(record(msg=str(n), timestamp=NOON + n // 3 * SECOND) for n in range(8)))
    there = await walked(reader, await first(reader))
    back = await walked(reader, there[-1], "newer")

    assert [["7", "6", "5"], ["4", "3", "2"], ["1", "0"]] == [messages(page) for page in there]
    assert list(map(messages, there)) == [messages(page) for page in reversed(back)]
    assert [8] * 3 == [page.total for page in there]
    assert (None, None) == (there[0].newer, there[-1].older)


async def test_what_arrives_changes_no_page(pool, reader):
    """
    A page is the same whenever it is asked for, whatever was stored since the first one.
    """
    await store(pool, *(record(msg=str(n), timestamp=NOON + n * SECOND) for n in range(6)))
    page = await first(reader)
    before = messages(await turned(reader, page.older))
    await store(pool, *(record(msg="new", timestamp=NOON + n * SECOND / 2) for n in range(14)))
    after = await turned(reader, page.older)

    assert before == messages(after) == ["2", "1", "0"]
    assert ["5", "4", "3"] == messages(await turned(reader, after.newer))
    assert after.older is None
    assert after.total == 6


async def test_what_was_committed_late_is_not_in_the_walk(database, pool, reader):
    """
    A record of a transaction that was open when the walk began is left out of it, and one that
    was committed then is in it, whatever their transactions' numbers.
    """
    await store(pool, record(msg="0", timestamp=NOON), record(msg="1", timestamp=NOON + SECOND))
    slow = await asyncpg.connect(database)
    insert = "INSERT INTO log_entries (timestamp, level, msg) VALUES ('2025-11-13 11:00Z', '', $1)"
    try:
        async with slow.transaction():
            await slow.execute(insert, "slow")
            await pool.execute(insert, "quick")
            page = await first(reader, limit=1)
    finally:
        await slow.close()
    walk = await walked(reader, page)

    assert ["1", "0", "quick"] == [entry.msg for page in walk for entry in page.entries]
    assert 4 == (await first(reader)).total


async def test_rows_of_another_server(pool, reader):
    """
    Rows that a backup brought, with numbers of transactions beyond ours, are in every walk.
    """
    await store(pool, *(record(msg=str(n), timestamp=NOON + n * SECOND) for n in range(5)))
    await pool.execute(
        f"UPDATE {await filled(pool)} SET xid = '9000000000' WHERE msg IN ('0', '1')"
    )
    walk = await walked(reader, await first(reader))

    assert [["4", "3", "2"], ["1", "0"]] == [messages(page) for page in walk]


async def test_relative_times_stay(pool, reader):
    """
    The last hour of a walk is the hour before it began.
    """
    await store(pool, *(record(msg=str(n), timestamp=NOON - n * SECOND) for n in range(5)))
    search = Last(3 * SECOND)
    page = await first(reader, search, now=NOON, limit=2)

    assert ["0", "1"] == messages(page)
    assert ["2", "3"] == messages(await turned(reader, page.older, search))


async def test_offset_gives_cursors_too(pool, reader):
    """
    A walk may begin behind an offset, and go to both sides from there.
    """
    await store(pool, *(record(msg=str(n), timestamp=NOON - n * SECOND) for n in range(9)))
    page = await first(reader, offset=3)

    assert ["3", "4", "5"] == messages(page)
    assert ["0", "1", "2"] == messages(await turned(reader, page.newer))
    assert ["6", "7", "8"] == messages(await turned(reader, page.older))


async def test_absurd_times(pool, reader):
    """
    A walk goes by the times that no Python has, as by others.
    """
    times = ["-infinity", "0044-03-15 12:00:00.5+00 BC", "200000-01-01Z", "infinity"]
    for time in times:
        await pool.execute(
            "INSERT INTO log_entries (timestamp, level, msg)"
            f" VALUES ('{time}', '', 'a'), ('{time}', '', 'b')"
        )
    walk = await walked(reader, await first(reader, limit=1))

    assert 8 == len({entry.id for page in walk for entry in page.entries})


async def test_emptied_walk(pool, reader):
    """
    Where what a page had is deleted, it is empty and leads nowhere.
    """
    await store(pool, *(record() for _ in range(6)))
    page = await first(reader)
    await pool.execute(f"DELETE FROM {await filled(pool)}")
    then = await turned(reader, page.older)

    assert ([], None, None) == (then.entries, then.older, then.newer)


async def test_depth_costs_nothing(pool, reader, distributed):
    """
    A page deep in a walk reads as few rows as the first one.
    """
    await pool.execute(f"""
        INSERT INTO {await filled(pool)} (id, timestamp, level, service)
        SELECT n, '2025-11-13Z'::timestamptz + n / 3 * interval '2 s', 'info', 'api'
        FROM generate_series(1, 60000) n""")
    await pool.execute(f"ANALYZE {'log_entries_days' if distributed else 'log_entries'}")
    future = pages.FUTURE
    if distributed:
        future = f"'{await pool.fetchval(f'SELECT {future}')}'::xid8"
    page = await first(reader, offset=55_000, total="none")
    read = []
    for cursor in (page.older, page.newer):
        where = pages.filters.where(Equals("service", ("api",)), NOON)
        pages._beside(where, cursor, future)
        order = pages.OLDEST if cursor.newer else pages.NEWEST
        statement = pages.selected(str(where), order, "LIMIT 3")
        plan = await pool.fetchval(
            f"EXPLAIN (ANALYZE, TIMING off, FORMAT JSON) {statement}", *where.arguments
        )
        read.append(plan)

    assert not [plan for plan in read if "Seq Scan" in plan]
    assert max(rows_read(plan) for plan in read) < 100


def rows_read(plan):
    """The rows of log_entries that a plan has looked at, also Citus' parts of it."""

    def read(part):
        if isinstance(part, list):
            return sum(map(read, part))
        if not isinstance(part, dict):
            return 0
        mine = 0
        if "log_entries" in part.get("Relation Name", ""):
            mine = part["Actual Rows"] + part.get("Rows Removed by Filter", 0)
            mine *= part["Actual Loops"]
        return mine + read(list(part.values()))

    return read(json.loads(plan))
