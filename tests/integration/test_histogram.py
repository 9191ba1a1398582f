"""Counts by time and by value, against a real Postgres."""

from __future__ import annotations

import asyncio
import collections
import datetime as dt

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from storage import counts, encoding, histogram, moments, roll_ups, statistics
from storage import search as s
from storage.database import connected
from storage.errors import Unavailable
from storage.reader import Reader
from tests.builders import NOON, record
from tests.searching import RESOURCES, SCOPES, ascii_lower, made, meets, records, searches
from tests.stored import filled, store

SECOND, MINUTE, HOUR, DAY = (dt.timedelta(seconds=n) for n in (1, 60, 3600, 86400))
LEVELS = ["trace", "debug", "info", "warning", "error", "critical"]

# Searches that roll-ups can answer, at times that end within a minute and within none.
kinds = st.recursive(
    st.one_of(
        st.builds(s.Severity, st.sampled_from([None, 9, 13]), st.sampled_from([None, 12, 20])),
        st.builds(s.Equals, st.sampled_from(["service", "level"]), st.just(("a", "info", "x"))),
        st.builds(s.Prefix, st.just("service"), st.sampled_from(["a", ""])),
    ),
    lambda each: st.one_of(
        st.lists(each, max_size=2).map(lambda found: s.All(tuple(found))),
        st.lists(each, max_size=2).map(lambda found: s.AnyOf(tuple(found))),
        each.map(s.Not),
    ),
    max_leaves=3,
)
times = st.lists(
    st.one_of(
        st.integers(0, 10_000).map(lambda n: s.Last(n * SECOND / 3)),
        st.builds(
            s.Compare,
            st.just("timestamp"),
            st.sampled_from(["<", "<=", ">", ">="]),
            st.integers(-600, 600).map(lambda n: NOON + n * SECOND / 2),
        ),
    ),
    max_size=3,
)
asked = st.builds(lambda search, limits: s.both(search, *limits), kinds | searches, times)


def level(row):
    number = row.severity_number
    return LEVELS[(number - 1) // 4] if 1 <= number <= 24 else ascii_lower(row.level)


def told(found):
    """Give the number of records by value and bucket."""
    named = [(each.value.value, each.series) for each in found.groups]
    named += [(None, found.missing), (Ellipsis, found.other)]
    return {
        (value, start): count
        for value, series in named
        for start, count in zip(found.starts, series.counts, strict=True)
        if count
    }


async def asking(reader, search=s.EVERYTHING, **options):
    defaults = {"now": NOON, "buckets": 60, "interval": None, "by": "level", "most": 10}
    return await histogram.histogram(reader, search, **(defaults | options))


@settings(
    max_examples=10,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    drawn=st.lists(records, min_size=10, max_size=20),
    moved=st.lists(st.integers(-4000, 300), min_size=20, max_size=20),
    questions=st.lists(asked, min_size=15, max_size=20),
    interval=st.sampled_from([None, SECOND * 7, MINUTE, HOUR]),
)
def test_agreement(database, drawn, moved, questions, interval):
    """
    Whatever is asked for, and whether roll-ups or a scan answer, the counts are those of a
    plain reading of the search in Python; so are totals, and the values of facets.
    """
    rows = [made(fields) for fields in drawn]
    for row, seconds in zip(rows, moved, strict=False):
        row.timestamp += seconds * moments.SECOND // 2

    async def ask():
        async with (
            connected(database, size=2, init=encoding.prepare) as writing,
            connected(database, size=1) as reading,
        ):
            await writing.execute(f"DELETE FROM {await filled(writing)}")
            await store(writing, *rows[:9], resources=RESOURCES, scopes=SCOPES)
            await roll_ups.count(writing)
            await store(writing, *rows[9:], resources=RESOURCES, scopes=SCOPES)
            reader = Reader(reading)
            return [
                (
                    await asking(reader, search, interval=interval),
                    (
                        await statistics.facets(
                            reader, search, now=NOON, names=["level"], most=50, records=99
                        )
                    )[1][0],
                    await asking_total(reader, search),
                )
                for search in questions
            ]

    for search, (found, facet, total) in zip(questions, asyncio.run(ask()), strict=True):
        note(f"{search}")
        meeting = [row for row in rows if meets(search, row, NOON)]
        inside = [row for row in meeting if found.start <= moments.time(row.timestamp) < found.end]
        buckets = [
            max(n for n in found.starts if n <= moments.time(row.timestamp)) for row in inside
        ]
        expected = collections.Counter(zip(map(level, inside), buckets, strict=True))

        assert expected == told(found)
        assert len(inside) == found.everything.total == sum(found.everything.counts)
        assert dict(collections.Counter(map(level, inside))) == {
            each.value: count for each, count, _ in facet.values
        }
        assert total in {len(meeting), None}


async def asking_total(reader, search):
    async with reader.reading() as connection:
        return await counts.total(connection, search, NOON)


@pytest.fixture(name="reader")
async def _reader(pool):
    await roll_ups.count(pool)
    return Reader(pool)


async def test_roll_ups_answer(pool, reader, distributed):
    """
    Levels, services and times are answered from the roll-ups, in minutes; all else by a scan.

    With Citus nothing is rolled up.
    """
    await store(pool, record(service="a", extra={"k": 1}))
    await roll_ups.count(pool)
    few = s.All((s.Equals("service", ("a",)), s.Severity(None, 20), s.Last(HOUR)))
    answers = [
        await asking(reader, few, now=NOON + MINUTE, **options)
        for options in (
            {"interval": MINUTE},
            {"interval": HOUR, "by": "service"},
            {"interval": SECOND},
            {"interval": MINUTE, "by": "extra.k"},
        )
    ]
    answers.append(await asking(reader, s.Text("nothing"), interval=MINUTE))

    kept = not distributed
    assert [kept, kept, False, False, False] == [found.rolled for found in answers]
    assert [1, 1, 1, 1, 0] == [found.everything.total for found in answers]


async def test_empty_buckets_are_zeros(pool, reader):
    """
    Every bucket from start to end is there, on round times, whether or not it has records.
    """
    await store(pool, record(timestamp=NOON - 5 * MINUTE))
    start = s.Compare("timestamp", ">=", NOON - dt.timedelta(minutes=12, seconds=30))
    found = await asking(reader, start, interval=5 * MINUTE)

    assert [NOON - n * 5 * MINUTE for n in (3, 2, 1)] == found.starts
    assert [0, 0, 1] == found.everything.counts
    assert (start.value, start.value, NOON) == (found.start, found.since, found.end)


async def test_this_minute(pool, reader):
    """
    Where no end is given, this minute is counted whole; a sender's clock may be ahead of ours.
    """
    await store(pool, *(record(timestamp=NOON + n * SECOND) for n in (1, 59, 60)))
    found = await asking(reader, s.Last(HOUR), now=NOON + SECOND, interval=MINUTE)

    assert (NOON + MINUTE, 2) == (found.end, found.everything.total)
    assert NOON + SECOND - HOUR == found.start


@pytest.mark.parametrize(
    ("last", "buckets", "interval"),
    [
        (HOUR, 60, 2 * MINUTE),
        (HOUR, 61, MINUTE),
        (DAY, 60, 30 * MINUTE),
        (14 * DAY, 60, 6 * HOUR),
        (14 * DAY, 1, 14 * DAY),
        (3000 * DAY, 10, 7 * 48 * DAY),
        (SECOND / 4, 60, SECOND),
    ],
)
async def test_round_intervals(reader, last, buckets, interval):
    """
    Where no interval is given, it is the shortest round one with no more buckets than wanted.
    """
    found = await asking(reader, s.Last(last), buckets=buckets)

    assert interval == found.interval
    assert len(found.starts) <= max(buckets, 2)


@pytest.mark.parametrize("last", [HOUR * 12, DAY * 400])
async def test_many_buckets(pool, reader, last):
    """
    Of more buckets than an answer has the last ones are counted, and it is said since when.
    """
    await store(pool, record(timestamp=NOON - HOUR), record(timestamp=NOON - 10 * HOUR))
    found = await asking(reader, s.Last(last), interval=SECOND)

    assert histogram.MOST_BUCKETS == len(found.starts)
    assert found.start == NOON - last
    assert found.since == found.starts[0] == NOON - histogram.MOST_BUCKETS * SECOND
    assert 0 == found.everything.total


async def test_values(pool, reader):
    """
    The most frequent values have counts of their own; those without one are told apart.
    """
    values = ["a"] * 4 + ["b"] * 3 + ["c"] * 2 + ["d"] + [None] * 5
    await store(pool, *(record(stage=value, timestamp=NOON - SECOND) for value in values))
    found = await asking(reader, s.Last(MINUTE), by="stage", most=2)

    assert [("a", 4), ("b", 3)] == [(each.value.value, each.series.total) for each in found.groups]
    assert (3, 5, 15) == (found.other.total, found.missing.total, found.everything.total)


async def test_more_values_than_can_be_added_up(pool, reader, monkeypatch):
    """
    However many values there are, the most frequent ones are those of the whole time.
    """
    monkeypatch.setattr(histogram, "MOST_VALUES", 3)
    often = [record(stage="often", timestamp=NOON - n * HOUR - SECOND) for n in range(9)]
    once = [record(stage=str(n), timestamp=NOON - n * HOUR / 9) for n in range(1, 81)]
    twice = [record(stage=f"~{n}", timestamp=NOON - 8 * HOUR) for n in [1, 1, 2, 2, 2]]
    await store(pool, *often, *once, *twice)
    found = await asking(reader, s.Last(9 * HOUR), by="stage", most=2)

    assert [("often", 9), ("~2", 3)] == [
        (each.value.value, each.series.total) for each in found.groups
    ]
    assert 82 == found.other.total


@pytest.mark.parametrize(
    ("fields", "by", "value", "cut"),
    [
        ({"job_id": 7}, "job_id", 7, False),
        ({"extra": {"job_id": "ingestion-55"}}, "job_id", "ingestion-55", False),
        ({"generation_id": 7}, "artifact_id", 7, False),
        ({"duration_ms": 1.5}, "duration_ms", 1.5, False),
        ({"extra": {"n": 7}}, "n", "7", False),
        ({"severity_number": 3}, "severity_number", 3, False),
        ({"msg": "x" * 256}, "msg", "x" * 256, False),
        ({"msg": "x" * 257}, "msg", "x" * 256, True),
        ({"level": "LOUD"}, "level", "loud", False),
        ({"level": "ERR", "severity_number": 18}, "level", "error", False),
    ],
)
async def test_a_value_is_told(pool, reader, fields, by, value, cut):
    """
    Values have their column's type, and are as a search for them has them; long ones are cut.
    """
    await store(pool, record(**fields, timestamp=NOON - SECOND))
    found = await asking(reader, s.Last(MINUTE), by=by)

    assert [(value, cut)] == [(each.value.value, each.value.cut) for each in found.groups]


async def test_time_limit(pool, reader, monkeypatch):
    """
    A scan that takes too long has counted the newest part of the time, and says which.
    """
    ranked = histogram._ranked
    spans = []

    async def slow(connection, asked, span, found=None):
        spans.append(span)
        if len(spans) == 3:
            await connection.execute("SELECT pg_sleep(60)")
        return await ranked(connection, asked, span, found)

    monkeypatch.setattr(histogram, "_ranked", slow)
    hours = [record(timestamp=NOON - n * HOUR - SECOND, msg="x") for n in range(16)]
    await store(pool, *hours)
    found = await asking(reader.within(0.5), s.both(s.Text("x"), s.Last(16 * HOUR)))

    assert (NOON - 16 * HOUR, NOON - 2 * HOUR) == (found.start, found.since)
    assert 2 == found.everything.total


async def test_time_limit_at_once(pool, reader):
    """
    Where not even the newest part is counted in time, there is no answer.
    """
    async with pool.acquire() as other, other.transaction():
        await other.execute("LOCK TABLE log_entries IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Unavailable, match=r"longer than 0.2 s"):
            await asking(reader.within(0.2), s.Text("x"))


@pytest.mark.parametrize(
    "search",
    [
        pytest.param(s.Last(dt.timedelta(weeks=99_999)), id="longer than there is time"),
        pytest.param(
            s.Compare("timestamp", ">=", dt.datetime.min.replace(tzinfo=dt.UTC)), id="first time"
        ),
        pytest.param(
            s.All(
                (
                    s.Compare("timestamp", ">=", dt.datetime.max.replace(tzinfo=dt.UTC)),
                    s.Compare("timestamp", "<=", dt.datetime.max.replace(tzinfo=dt.UTC)),
                )
            ),
            id="last time",
        ),
        pytest.param(
            s.Compare("timestamp", "<=", dt.datetime.min.replace(tzinfo=dt.UTC)), id="before all"
        ),
        pytest.param(s.Compare("timestamp", ">", NOON + HOUR), id="in the future"),
    ],
)
async def test_odd_times(pool, reader, search):
    """
    Any time may be asked for.
    """
    await store(pool, record())
    found = await asking(reader, search, now=NOON + SECOND)

    assert sum(found.everything.counts) == found.everything.total in {0, 1}
