"""The values of fields and how numbers are spread, against a real Postgres."""

from __future__ import annotations

import datetime as dt
import math

import pytest

from storage import search as s
from storage import statistics
from storage.reader import Reader
from storage.records import Resource
from tests.builders import NOON, record
from tests.stored import store

SECOND, HOUR = dt.timedelta(seconds=1), dt.timedelta(hours=1)
BEFORE = NOON - SECOND


@pytest.fixture(name="reader")
def _reader(pool):
    return Reader(pool)


async def faceted(reader, *names, most=10, records=1000, matching=None):
    return await statistics.facets(
        reader,
        s.EVERYTHING,
        now=NOON,
        names=names,
        most=most,
        records=records,
        matching=matching,
    )


async def spread(reader, *names, by=(), interval=None, most=10, records=1000):
    return await statistics.stats(
        reader,
        s.EVERYTHING,
        now=NOON,
        names=names,
        by=by,
        interval=interval,
        most=most,
        records=records,
    )


def values(facet):
    return [(each.value, count) for each, count, _ in facet.values]


async def test_facets(pool, reader):
    """
    Each field's values come with their numbers of records, the most frequent first.
    """
    host = Resource(id=1, attributes='{"host.name": "h1"}')
    await store(
        pool,
        record(timestamp=BEFORE, stage="a", job_id=7, extra={"q": 1}, resource_id=1),
        record(timestamp=BEFORE, stage="b", job_id=7, severity_number=9),
        record(timestamp=BEFORE, stage="b", extra={"job_id": "ingestion-55", "q": None}),
        resources={1: host},
    )
    read, (stage, job, queue, name, level, nothing) = await faceted(
        reader, "stage", "job_id", "q", "host.name", "level", "extra.nothing"
    )

    assert (NOON, 3) == (read.end, read.records)
    assert read.since == read.start
    assert [("b", 2), ("a", 1)] == values(stage)
    assert [(7, 2), ("ingestion-55", 1)] == values(job)
    assert [("1", 1)] == values(queue)
    assert [("h1", 1)] == values(name)
    assert [("info", 3)] == values(level)
    assert [] == values(nothing)
    assert [0, 0, 2, 2, 0, 3] == [
        each.missing for each in (stage, job, queue, name, level, nothing)
    ]
    assert [2, 2, 1, 1, 1, 0] == [
        each.distinct for each in (stage, job, queue, name, level, nothing)
    ]


async def test_how_many_match(pool, reader):
    """
    Of each value's records it is told how many another search finds too.
    """
    await store(
        pool,
        record(timestamp=BEFORE, stage="a", severity_number=17),
        record(timestamp=BEFORE, stage="a", severity_number=9),
        record(timestamp=BEFORE, stage="b", severity_number=9),
        record(timestamp=BEFORE, severity_number=21),
    )
    _, (stage, level) = await faceted(reader, "stage", "level", matching=s.Severity(17, 24))

    assert [("a", 2, 1), ("b", 1, 0)] == [(v.value, *numbers) for v, *numbers in stage.values]
    assert {("info", 2, 0), ("error", 1, 1), ("critical", 1, 1)} == {
        (v.value, *numbers) for v, *numbers in level.values
    }


async def test_facets_of_nothing(reader):
    """
    Where nothing is found, no field has a value.
    """
    read, (facet,) = await faceted(reader, "service")

    assert (0, [], 0, 0) == (read.records, facet.values, facet.distinct, facet.missing)


async def test_only_the_most_frequent(pool, reader):
    """
    Of more values than are asked for it is said how many there are.
    """
    await store(pool, *(record(timestamp=BEFORE, stage=str(n % 30 % 9)) for n in range(60)))
    _, (facet,) = await faceted(reader, "stage", most=2)

    assert ([("0", 8), ("1", 8)], 9) == (values(facet), facet.distinct)


async def test_only_the_newest_records(pool, reader):
    """
    Of more records than may be read the newest are, and it is said since when that is all.
    """
    await store(pool, *(record(timestamp=NOON - n * SECOND, msg=str(n)) for n in range(1, 9)))
    read, (facet,) = await faceted(reader, "msg", records=3)
    all_read, _ = await faceted(reader, "msg", records=9)

    assert ["1", "2", "3"] == [value for value, _ in values(facet)]
    assert (3, NOON - 3 * SECOND) == (read.records, read.since)
    assert (8, all_read.start) == (all_read.records, all_read.since)


async def test_long_values(pool, reader):
    """
    Of a long value the beginning is told, and that it goes on.
    """
    await store(pool, record(timestamp=BEFORE, msg="x" * 300), record(timestamp=BEFORE, msg="y"))
    _, (facet,) = await faceted(reader, "msg")

    assert [(256, True), (1, False)] == [(len(each.value), each.cut) for each, *_ in facet.values]


def percentile(numbers, part):
    place = part * (len(numbers) - 1)
    low, high = numbers[math.floor(place)], numbers[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


async def test_stats(pool, reader):
    """
    A field's numbers are counted, and told are the least, the greatest, the average, and what
    parts of them lie below.
    """
    numbers = [float(n * n) for n in range(101)]
    await store(
        pool,
        *(record(timestamp=BEFORE, duration_ms=number, attempt=2) for number in numbers),
        record(timestamp=BEFORE),
    )
    read, (part,), more = await spread(reader, "duration_ms", "attempt")
    duration, attempt = part.spreads

    assert (102, 102, False) == (read.records, part.records, more)
    assert (101, 101, 0, 10_000) == (duration.count, duration.distinct, duration.min, duration.max)
    assert duration.avg == pytest.approx(sum(numbers) / 101)
    assert duration.percentiles == pytest.approx(
        [percentile(numbers, part) for part in statistics.PERCENTILES]
    )
    assert (101, 1, [2] * 4) == (attempt.count, attempt.distinct, attempt.percentiles)


ODD = [
    pytest.param("7", [7], id="text that is a number"),
    pytest.param("-1.5e3", [-1500], id="exponent"),
    pytest.param(7, [7], id="whole"),
    pytest.param(0.5, [0.5], id="fraction"),
    pytest.param({"$double": "1e+22"}, [1e22], id="wrapped"),
    pytest.param({"$double": "NaN"}, [], id="not a number"),
    pytest.param("1e999", [], id="too large"),
    pytest.param("1e-999", [0], id="too small"),
    pytest.param("9" * 500, [], id="too long"),
    pytest.param("9" * 320, [], id="larger than any float"),
    pytest.param("", [], id="empty"),
    pytest.param("7 apples", [], id="text"),
    pytest.param("7\n", [], id="line"),
    pytest.param(True, [], id="boolean"),
    pytest.param([7], [], id="list"),
    pytest.param(None, [], id="null"),
]


@pytest.mark.parametrize(("value", "expected"), ODD)
async def test_numbers_of_keys(pool, reader, value, expected):
    """
    Of a key counts what is a number of a size that can be averaged, text included.
    """
    await store(pool, record(timestamp=BEFORE, extra={"n": value}))
    _, (part,), _ = await spread(reader, "n")
    (found,) = part.spreads

    assert len(expected) == found.count
    assert expected == ([] if found.avg is None else [found.avg])


async def test_numbers_of_columns(pool, reader):
    """
    Infinite durations are no numbers here, and ids of any size are.
    """
    durations = (math.inf, -math.inf, math.nan, 1.7e308, 3.0)
    await store(
        pool, *(record(timestamp=BEFORE, duration_ms=n, job_id=-(2**63)) for n in durations)
    )
    _, (part,), _ = await spread(reader, "duration_ms", "job_id")

    assert (1, 3) == (part.spreads[0].count, part.spreads[0].avg)
    assert (5, -(2.0**63)) == (part.spreads[1].count, part.spreads[1].min)


async def test_no_stats_of_text(reader):
    """
    A field that never is a number has no stats.
    """
    with pytest.raises(ValueError, match="service is never a number"):
        await spread(reader, "service")


async def test_groups(pool, reader):
    """
    Stats are by the values of up to three fields, and by time, the largest groups first.
    """
    await store(
        pool,
        *(
            record(
                timestamp=NOON - hours * HOUR - SECOND,
                service=service,
                stage=stage,
                duration_ms=duration,
            )
            for hours, service, stage, duration in [
                (0, "a", "x", 1),
                (0, "a", "x", 3),
                (1, "a", "x", 5),
                (0, "a", None, 7),
                (1, "a", None, 9),
                (0, "b", "x", None),
            ]
        ),
    )
    _, parts, more = await spread(
        reader, "duration_ms", by=("service", "stage", "level"), interval=HOUR, most=2
    )

    assert more
    assert [
        (["a", "x", "info"], 2, 1, 5),
        (["a", "x", "info"], 1, 2, 2),
        (["a", None, "info"], 2, 1, 9),
        (["a", None, "info"], 1, 1, 7),
    ] == [
        (
            [each and each.value for each in part.values],
            (NOON - part.start) / HOUR,
            part.records,
            part.spreads[0].avg,
        )
        for part in parts
    ]


async def test_many_parts(pool, reader, monkeypatch):
    """
    Of more groups and buckets than an answer has the last buckets are told, and since when.
    """
    monkeypatch.setattr(statistics, "MOST_PARTS", 20)
    await store(pool, *(record(timestamp=NOON - n * HOUR - SECOND) for n in range(5)))
    read, parts, _ = await spread(reader, "duration_ms", by=("service",), interval=HOUR, most=10)

    assert (NOON - 2 * HOUR, NOON - 24 * HOUR) == (read.since, read.start)
    assert [NOON - 2 * HOUR, NOON - HOUR] == [part.start for part in parts]


async def test_stats_of_nothing(reader):
    """
    Where nothing is found there are no groups.
    """
    read, parts, more = await spread(reader, "duration_ms", interval=HOUR)

    assert (0, [], False) == (read.records, parts, more)
