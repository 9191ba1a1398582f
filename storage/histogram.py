"""How many records a search finds, by time and by the values of a field."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from storage import counts, filters, groups
from storage.counts import HOUR, MINUTE, SECOND, Span
from storage.errors import Unavailable
from storage.where import Where

if TYPE_CHECKING:
    from storage.reader import Reader
    from storage.search import Search

DAY = 24 * HOUR
WEEK = 7 * DAY
MOST_BUCKETS = 2_000
LAST = DAY  # before the end, where no start is given
ORIGIN = dt.datetime(1, 1, 8, tzinfo=dt.UTC)  # a Monday; every bucket is a multiple from here
# What people divide time into.
INTERVALS = [
    *(n * SECOND for n in (1, 2, 5, 10, 15, 30)),
    *(n * MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * HOUR for n in (1, 2, 3, 6, 12)),
    DAY,
    WEEK,
]
# How a scan is divided, newest first, so that there is an answer when it takes too long.
PARTS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
MOST_VALUES = 1_000  # of a part; where there are more, the scan is done at once

# Of all values the most frequent ones are told.
RANKED = """
WITH counted AS (
    SELECT bucket, value, sum(records) AS records FROM ({counted}) counted GROUP BY 1, 2
), totals AS (
    SELECT *, sum(records) OVER (PARTITION BY value) AS total FROM counted
), ranked AS (
    SELECT *, dense_rank() OVER (ORDER BY value IS NULL, total DESC, value) AS place FROM totals
)
SELECT CASE WHEN value IS NULL THEN {missing} WHEN place <= {most} THEN {named} ELSE {other} END,
    CASE WHEN place <= {most} THEN value END, bucket, sum(records)::bigint
FROM ranked GROUP BY 1, 2, 3
"""
MISSING, NAMED, OTHER, ALL = range(4)


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """How many records there are in each bucket, and in all."""

    total: int
    counts: list[int]


class Group(msgspec.Struct, frozen=True):
    """The records with one value of the field."""

    value: groups.Value
    series: Series


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """
    Counts by time; a bucket is from its start to the next one's, the last to *end*.

    The first bucket may begin before *start*, from which on records are counted. *missing* are
    the records without a value, *other* those whose value isn't among *groups*.
    """

    start: dt.datetime
    end: dt.datetime
    interval: dt.timedelta
    starts: list[dt.datetime]
    everything: Series
    groups: list[Group]
    other: Series
    missing: Series
    rolled: bool  # from the roll-ups, or by reading the records
    since: dt.datetime  # *start*, or where the time limit has ended it


class _Question(msgspec.Struct, frozen=True):
    search: Search  # without its time
    start: dt.datetime
    end: dt.datetime
    interval: dt.timedelta
    by: str
    most: int
    now: dt.datetime

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)


async def histogram(
    reader: Reader,
    search: Search,
    *,
    now: dt.datetime,
    buckets: int,
    interval: dt.timedelta | None,
    by: str,
    most: int,
) -> Histogram:
    """
    Count what *search* finds, by at most *buckets* of time or by *interval*, and by a field.

    The *most* frequent values of the field *by* have counts of their own. Of more than
    `MOST_BUCKETS` the last ones are counted.
    """
    start, end, others = bounded(search, now)
    size = interval or nice(end - start, buckets)
    starts = divided(start, end, size, MOST_BUCKETS)
    first = max(start, starts[0]) if starts else start
    asked = _Question(others, first, end, size, by, most, now)
    rows, since, rolled = await _counted(reader, asked) if starts else ([], first, False)
    found = _gathered(asked, starts, rows, since, rolled=rolled)
    return msgspec.structs.replace(found, start=start)


def bounded(search: Search, now: dt.datetime) -> tuple[dt.datetime, dt.datetime, Search]:
    """
    Give the time to look at, from its start to before its end, and what else is asked for.

    Where no end is given, it is that of this minute, which is so counted like all others.
    """
    span, others = counts.divided(search, now)
    end = span.end or now - (now - ORIGIN) % -MINUTE
    return max(span.start or max(end, ORIGIN + LAST) - LAST, ORIGIN), end, others


def divided(
    start: dt.datetime, end: dt.datetime, size: dt.timedelta, most: int
) -> list[dt.datetime]:
    """Give the starts of the last *most* buckets, *size* long, that have the time between."""
    if start >= end:
        return []
    first = (start - ORIGIN) // size
    number = -((ORIGIN - end) // size) - first
    return [ORIGIN + (first + n) * size for n in range(max(0, number - most), number)]


def nice(length: dt.timedelta, buckets: int) -> dt.timedelta:
    """Give the least interval that divides *length*, wherever it begins, into *buckets* or less."""
    least = length / max(buckets - 1, 1)
    return next((each for each in INTERVALS if each >= least), -(-least // WEEK) * WEEK)


async def _counted(reader: Reader, asked: _Question) -> tuple[list[Any], dt.datetime, bool]:
    """Give the rows of `RANKED`, the time since when they count, and if from the roll-ups."""
    rows: list[Any] = []
    since = asked.end
    deadline = time.monotonic() + reader.timeout
    try:
        async with reader.reading() as connection:
            if (
                asked.by in counts.KINDS
                and not asked.interval % MINUTE
                and counts.countable(asked.search)
                and (found := await counts.rolled(connection))
            ):
                return await _ranked(connection, asked, asked.span, found), asked.start, True
            for part in (asked.end - (asked.end - asked.start) * part for part in PARTS):
                left = max(1, int((deadline - time.monotonic()) * 1000))
                await connection.execute(f"SET LOCAL statement_timeout = {left}")
                rows += await _ranked(connection, asked, Span(part, since))
                since = part
                if any(row[0] == OTHER for row in rows):  # which those are depends on the others
                    return await _ranked(connection, asked, asked.span), asked.start, False
    except Unavailable as exc:
        if since == asked.end or not isinstance(exc.__cause__, asyncpg.QueryCanceledError):
            raise
    return rows, since, False


async def _ranked(
    connection: Any, asked: _Question, span: Span, found: counts.Rolled | None = None
) -> list[Any]:
    where = Where()
    condition = filters.condition(asked.search, where, asked.now)
    value = groups.short(groups.text(where, asked.by))
    size, origin = where.bind(asked.interval), where.bind(ORIGIN)

    def bucket(column: str) -> str:
        return f"date_bin({size}, {column}, {origin})"

    if found is None:
        counted = counts.scanned(where, span, condition, bucket, value)
    else:
        hours = not asked.interval % HOUR
        counted = counts.summed(where, found, span, condition, bucket, value, hours=hours)
    statement = RANKED.format(
        counted=counted, most=MOST_VALUES, missing=MISSING, named=NAMED, other=OTHER
    )
    rows: list[Any] = await connection.fetch(statement, *where.arguments)
    return rows


def _gathered(
    asked: _Question,
    starts: list[dt.datetime],
    rows: list[Any],
    since: dt.datetime,
    *,
    rolled: bool,
) -> Histogram:
    places = {start: place for place, start in enumerate(starts)}
    counted: dict[tuple[int, str | None], list[int]] = {
        (kind, None): [0] * len(starts) for kind in (ALL, MISSING, OTHER)
    }
    for kind, value, bucket, records in rows:
        for key in ((ALL, None), (kind, value)):
            counted.setdefault(key, [0] * len(starts))[places[bucket]] += records
    series = {key: Series(total=sum(each), counts=each) for key, each in counted.items()}
    named = sorted(
        ((value, each) for (kind, value), each in series.items() if value is not None),
        key=lambda pair: (-pair[1].total, pair[0]),
    )
    rest = [series[OTHER, None], *(each for _, each in named[asked.most :])]
    other = [sum(each) for each in zip(*(each.counts for each in rest), strict=True)]
    return Histogram(
        start=asked.start,
        end=asked.end,
        interval=asked.interval,
        starts=starts,
        everything=series[ALL, None],
        groups=[Group(groups.value(asked.by, text), each) for text, each in named[: asked.most]],
        other=Series(total=sum(other), counts=other),
        missing=series[MISSING, None],
        rolled=rolled,
        since=since,
    )
