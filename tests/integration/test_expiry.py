"""Deleting by rule, against a real Postgres."""

from __future__ import annotations

import asyncio
import datetime as dt

import asyncpg
import pytest
import structlog

from storage import deletion, expiry, partitions, retention_clock, survey
from storage.deletion import Actor
from storage.errors import Unavailable
from storage.expiry import Expiry
from storage.layout import ROWS_SIZE, SIZE, TOTAL_SIZE, engine
from storage.retention import Policy, Rule
from storage.search import Equals, Severity, both
from tests.builders import NOON, record
from tests.stored import filled, store

DAY = partitions.DAY
TODAY = NOON.date()
ACTOR = Actor("me@here", "a test")
DEBUG = Rule(name="level:debug", search=Severity(5, 8), days=3)
ERRORS = Rule(
    name="env:prod level>=error",
    search=both(Equals("env", ("prod",)), Severity(17, None)),
    days=365,
)
POLICY = Policy(rules=(DEBUG, ERRORS), days=30)


def ago(days, **fields):
    return record(timestamp=NOON - days * DAY, **fields)


async def days(pool):
    """Make a partition for every day that has records, and today's."""
    await partitions.maintain(pool, TODAY, ahead=0)


async def apply(pool, policy, *, now=NOON, **options):
    found = []
    await Expiry(policy, ACTOR).apply(pool, now, found.append, **options)
    return found


async def left(pool):
    rows = await pool.fetch("SELECT msg FROM log_entries ORDER BY msg")
    return "".join(row[0] for row in rows)


async def audit(pool):
    rows = await pool.fetch(
        "SELECT who, command, place, reason, records FROM log_deletions ORDER BY id"
    )
    return [tuple(row) for row in rows]


async def test_the_first_rule_that_fits_counts(pool):
    """
    Each record is kept as long as the first rule that fits it says, or else as the default.
    """
    await store(
        pool,
        ago(3, msg="a", severity_number=5),
        ago(4, msg="b", severity_number=5),
        ago(4, msg="c", severity_number=9),
        ago(30, msg="d", severity_number=17),
        ago(31, msg="e", severity_number=17),
        ago(31, msg="f", severity_number=17, env="prod"),
        ago(365, msg="g", severity_number=17, env="prod"),
        ago(366, msg="h", severity_number=17, env="prod"),
        ago(31, msg="i", severity_number=5, env="prod"),
        ago(31, msg="j", severity_number=0, level="strange", env="prod"),
    )
    await days(pool)
    await apply(pool, POLICY)

    assert await left(pool) == "acdfg"


async def test_a_clock_that_jumps(pool, monkeypatch):
    """
    When a clock jumps ahead by months nothing goes, of the ledger neither, until it has stood for a
    day or is said to be right; one of two clocks alone never counts.
    """
    await store(pool, ago(0, msg="a"), ago(29, msg="b"), ago(31, msg="c"))
    await days(pool)
    policy, later = Policy(days=30), NOON + 90 * DAY
    first = await apply(pool, policy)
    ledger = await partitions.days(pool, "ledger")
    applied, found = Expiry(policy, ACTOR), []
    planned = await applied.apply(pool, later, found.append, dry_run=True)
    clock = await applied.apply(pool, later, found.append)
    waits = await applied.apply(pool, later + DAY / 2, found.append)
    kept = await left(pool), await partitions.days(pool, "ledger")
    with monkeypatch.context() as patch:
        patch.setattr(retention_clock, "EARLIER", f"SELECT least($1, '{NOON}'::timestamptz)")
        right = await applied.apply(pool, later + DAY, found.append)
    await applied.apply(pool, later, found.append)
    trusted = await applied.apply(pool, later, found.append, trusted=True)

    assert 1 == len(first)
    assert planned == clock
    assert (NOON, later, later + DAY) == (clock.counted, clock.seen, clock.until)
    assert (NOON, later + DAY) == (waits.counted, waits.until)
    assert kept == ("ab", ledger)
    assert (NOON, None) == (right.counted, right.until)
    assert (later, None) == (trusted.counted, trusted.until)
    assert (2, "") == (sum(bool(gone.deleted) for gone in found), await left(pool))
    assert trusted == await retention_clock.last(pool)


async def test_what_goes_is_told(pool):
    """
    What went is told by place and reason, and is in the audit.
    """
    await store(
        pool,
        ago(31, msg="a", severity_number=5),
        ago(31, msg="b"),
        ago(31, msg="c"),
        ago(31, msg="d", severity_number=17, env="prod"),
        ago(400, msg="e"),
        record(timestamp=dt.datetime(1970, 1, 1, tzinfo=dt.UTC), msg="f"),
    )
    await days(pool)
    planned = await apply(pool, POLICY, dry_run=True)
    before = await left(pool), await audit(pool)
    done = await apply(pool, POLICY)
    month, year = "log_entries_20251013", "log_entries_20241009"
    expected = [
        ("log_entries_default", "all others, older than 30 days", 1),
        (year, "all others, older than 30 days", 1),
        (month, "level:debug, older than 3 days", 1),
        (month, "all others, older than 30 days", 2),
    ]

    assert before == ("abcdef", [])
    assert [expected[:1], expected[1:2], expected[2:]] == [
        [(gone.place, gone.reason, gone.records) for gone in each.deleted] for each in planned
    ]
    assert [False, True, False] == [each.whole for each in planned]
    assert all(each.bytes > 0 for each in planned)
    assert [(each.place, each.whole, each.deleted) for each in planned] == [
        (each.place, each.whole, each.deleted) for each in done
    ]
    assert sorted(("me@here", "a test", *each) for each in expected) == sorted(await audit(pool))
    assert await left(pool) == "d"
    assert await partitions.days(pool, "log_entries") == {
        TODAY - DAY,
        TODAY,
        TODAY - 31 * DAY,
    }


async def test_a_day_without_anything_to_keep_is_dropped(pool):
    """
    A partition goes whole when all of its rows do, whatever rules they fall under, and an
    empty one when none could be kept; a record that came meanwhile is not lost with it.
    """
    await store(pool, ago(4, msg="a", severity_number=5), ago(400, msg="b"), ago(5, msg="c"))
    await days(pool)
    await pool.execute(f"DELETE FROM {await filled(pool)} WHERE msg IN ('b', 'c')")
    done = await apply(pool, POLICY)

    assert [("log_entries_20241009", True), ("log_entries_20251109", True)] == [
        (each.place, each.whole) for each in done
    ]
    assert TODAY - 5 * DAY in await partitions.days(pool, "log_entries")


async def test_a_late_record_saves_its_day(pool, monkeypatch):
    """
    A record that comes between the look at a day and its drop is kept as its rule says.
    """
    await store(pool, ago(4, msg="a", severity_number=5))
    await days(pool)
    looked = survey.surveyed

    async def slow(connection, policy, day, now):
        found = await looked(connection, policy, day, now)
        if day == TODAY - 4 * DAY:
            await store(pool, ago(4, msg="b"))
        return found

    monkeypatch.setattr(expiry, "surveyed", slow)
    (done,) = await apply(pool, POLICY)

    assert await left(pool) == "b"
    assert (False, 1) == (done.whole, done.deleted[0].records)
    assert [1] == [entry[-1] for entry in await audit(pool)]


async def test_many_rows_go_in_short_transactions(pool, monkeypatch):
    """
    Many rows are deleted some blocks at a time, exactly those of the rule, and counted right.
    """
    monkeypatch.setattr(deletion, "AT_ONCE", 10)
    monkeypatch.setattr(deletion, "BLOCKS_AT_ONCE", 2)
    await days(pool)
    await store(
        pool,
        *(ago(1, msg="", level=str(n), severity_number=5 + n % 4 * 4) for n in range(400)),
    )
    policy = Policy(rules=(Rule(name="debug", search=Severity(5, 8), days=0),), days=None)
    (done,) = await apply(pool, policy)
    kept = await pool.fetchval("SELECT count(*) FROM log_entries WHERE severity_number <> 5")

    assert 100 == done.deleted[0].records
    assert (300, 300) == (kept, await pool.fetchval("SELECT count(*) FROM log_entries"))
    assert [100] == [entry[-1] for entry in await audit(pool)]
    plan = await pool.fetch(
        "EXPLAIN DELETE FROM log_entries_20251112 WHERE ctid >= '(2,0)' AND ctid < '(4,0)'"
        " AND ((CASE WHEN severity_number >= 5 THEN 0 ELSE 1 END) IN (0) AND true)"
    )
    assert any("Tid Range Scan" in row[0] for row in plan)


async def test_a_day_of_which_most_went_gives_its_room_back(pool):
    """
    Where more than half of a day went, its partition is as small as what is left.
    """
    await store(
        pool,
        *(ago(40, level=str(n), severity_number=9, extra={"k": "x" * 500}) for n in range(2000)),
        ago(40, msg="a", severity_number=17, env="prod"),
    )
    await days(pool)
    await apply(pool, POLICY)

    assert await left(pool) == "a"
    size = f"SELECT {ROWS_SIZE[await engine(pool)]}('log_entries_20251004')"
    assert await pool.fetchval(size) == 8192


async def test_only_old_days_are_looked_through_and_once_a_day(pool):
    """
    A day is looked through when one of the rules ends, and again only the day after.
    """
    await store(pool, ago(2, msg="a", severity_number=5), ago(5, msg="b"))
    await days(pool)
    applied = Expiry(POLICY, ACTOR)
    found = []
    await applied.apply(pool, NOON, found.append)
    await store(pool, ago(2, msg="c", severity_number=5), ago(5, msg="d", severity_number=5))
    await applied.apply(pool, NOON, found.append)
    same_day = await left(pool)
    await applied.apply(pool, NOON + DAY, found.append)

    assert same_day == "abcd"
    assert await left(pool) == "abc"
    assert ["log_entries_20251108"] == [each.place for each in found]


async def test_the_oldest_make_room(pool):
    """
    Beyond the limit on disk the oldest days go whole until the rest fits, which is said.
    """
    rows = [ago(n, msg="abcd"[n], extra={"k": [n + m for m in range(2000)]}) for n in range(4)]
    await store(pool, *(each for each in rows for _ in range(3)))
    await days(pool)
    sizes = [
        await pool.fetchval(SIZE[await engine(pool)], f"log_entries_{TODAY - n * DAY:%Y%m%d}")
        for n in range(4)
    ]
    total = await pool.fetchval(TOTAL_SIZE[await engine(pool)])
    policy = Policy(max_bytes=total - sizes[3] - 1)
    planned = await apply(pool, policy, dry_run=True)
    done = await apply(pool, policy)
    again = await apply(pool, policy)

    assert planned == done
    assert again == []
    assert [("log_entries_20251110", 3), ("log_entries_20251111", 3)] == [
        (each.place, each.deleted[0].records) for each in done
    ]
    assert [("no room on disk", 3)] * 2 == [entry[-2:] for entry in await audit(pool)]
    assert await left(pool) == "aaabbb"


async def test_today_is_never_dropped_to_make_room(pool):
    """
    Where today's records alone are too many, they stay, and the log says that the limit is
    exceeded.
    """
    await store(pool, ago(0, msg="a"), ago(1, msg="b"))
    await days(pool)
    with structlog.testing.capture_logs() as lines:
        await apply(pool, Policy(max_bytes=1))

    assert await left(pool) == "a"
    assert ["disk_limit_exceeded"] == [line["event"] for line in lines if "bytes" in line]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param(Policy(days=30), [0, 30], id="days"),
        pytest.param(POLICY, [0, 30, 31], id="the longest rule"),
        pytest.param(Policy(rules=(DEBUG,)), [0, 30, 31], id="for ever"),
    ],
)
async def test_the_ledger_goes_with_the_last_records(pool, policy, expected):
    """
    The ledger of a day is kept as long as any record of that day may be.
    """
    for each in (30, 31):
        await pool.execute(
            "INSERT INTO ledger (receiver, sender, requests, records, received_at)"
            " VALUES ('r', '', 1, 1, $1)",
            NOON - each * DAY,
        )
    await days(pool)
    await apply(pool, policy)
    found = await partitions.days(pool, "ledger")

    assert expected == sorted((TODAY - day).days for day in found if day != TODAY - DAY)


async def test_a_day_in_use_goes_later(database, pool):
    """
    A long query that holds one day keeps only that day; the others go, and an error tells.
    """
    await store(pool, ago(40, msg="a"), ago(41, msg="b"))
    await days(pool)
    other = await asyncpg.connect(database)
    applied = Expiry(Policy(days=30), ACTOR)
    try:
        await other.execute("BEGIN; SELECT * FROM log_entries_20251003")
        with pytest.raises(Unavailable, match="long queries hold log_entries_20251003"):
            await applied.apply(pool, NOON, lambda _: None)
        meanwhile = await left(pool)
    finally:
        await other.close()
    await applied.apply(pool, NOON, lambda _: None)

    assert (meanwhile, await left(pool)) == ("b", "")


async def test_only_one_applies_a_policy(database, pool):
    """
    Of many collectors one deletes at a time, and the others are told so.
    """
    other = await asyncpg.connect(database)
    await other.fetchval("SELECT pg_advisory_lock($1)", expiry.LOCK)
    with pytest.raises(expiry.Busy):
        await apply(pool, POLICY)
    await other.close()


async def test_while_rows_arrive(pool):
    """
    Nothing that is to be kept goes while writers fill the days that are cleared and dropped.
    """
    await store(pool, *(ago(n, msg="x", severity_number=5) for n in range(4, 16)))
    await days(pool)
    kept = [ago(n, msg="kept", severity_number=17, env="prod") for n in range(4, 16)]

    async def write():
        for each in kept:
            await store(pool, each)

    writing = asyncio.create_task(write())
    while not writing.done():
        await apply(pool, POLICY)
    await writing
    await apply(pool, POLICY)

    assert await left(pool) == "kept" * len(kept)
