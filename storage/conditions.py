"""
What a rule asks of the records, in SQL: which groups of them meet its condition at a time.

Counts come from the roll-ups where these have them, as a histogram's do.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003  msgspec reads the annotations
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from storage import counts, filters, groups
from storage.counts import Span
from storage.where import Where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.reader import Reader
    from storage.search import Search

MOST_VALUES = 10_000  # that are new to a rule, of one look
ONLY = "''::text"  # the value of a rule that has no groups
NOBODY = "SELECT NULL::text AS value, 0::bigint AS records WHERE false"
GROUPED = """
WITH present AS ({present}), former AS ({former}), everyone AS ({everyone}), compared AS (
    SELECT value, coalesce(present.records, 0) AS records, coalesce(former.records, 0) AS before
    FROM everyone LEFT JOIN present USING (value) LEFT JOIN former USING (value)
)
SELECT value, records, before, count(*) OVER () FROM compared WHERE {test}
ORDER BY value = ANY ({firing}::text[]) DESC, records DESC, value LIMIT {most}
"""
EVERYONE = "SELECT value FROM present UNION SELECT value FROM former"


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """
    There are more records than *above*, or fewer than *below*.

    A group that has none can only be missed if it had some in the time *known* before.
    """

    above: float | None = None
    below: float | None = None
    known: dt.timedelta


class Compare(msgspec.Struct, frozen=True, kw_only=True):
    """
    There are more than *above* times as many as so long *ago*, or fewer than *below* times.

    The larger number is at least *least*, for two are soon twice as many as one.
    """

    ago: dt.timedelta
    above: float | None = None
    below: float | None = None
    least: int


class New(msgspec.Struct, frozen=True, kw_only=True):
    """A value was not there for the time *quiet*, and now is."""

    quiet: dt.timedelta


Condition: TypeAlias = Count | Compare | New


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked: of the records of *search*, in a window, by the values of a field."""

    search: Search
    condition: Condition
    window: dt.timedelta
    by: str | None  # None is no groups; of `New` the field whose values are new
    most: int  # groups


class Found(msgspec.Struct, frozen=True):
    """A group that meets the condition; *before* is the number that it is compared with."""

    value: str  # of the field; empty where there are no groups
    records: int
    before: int | None


class Met(msgspec.Struct, frozen=True):
    """All groups that meet the condition, or the most that there may be and how many more."""

    found: list[Found]
    left_out: int


class Seen(msgspec.Struct, frozen=True):
    """A value in a span of time: its number of records, the first and the last time."""

    value: str
    since: dt.datetime
    last: dt.datetime
    records: int


async def met(reader: Reader, asked: Question, end: dt.datetime, firing: Sequence[str] = ()) -> Met:
    """
    Give the groups that meet a `Count` or a `Compare` in the window up to *end*.

    Those of *firing* come first, so that the limit doesn't take out who was in before.
    """
    condition = asked.condition
    assert not isinstance(condition, New)  # noqa: S101  see `seen`
    start, where = end - asked.window, Where()
    async with reader.reading() as connection:
        counted = await _counting(connection, asked, where, end)
        statement = GROUPED.format(
            present=counted(Span(start, end)),
            former=counted(_former(asked, start, end)),
            everyone=EVERYONE if asked.by else f"SELECT {ONLY} AS value",
            test=_test(condition, where),
            firing=where.bind(list(firing)),
            most=where.bind(asked.most),
        )
        rows = await connection.fetch(statement, *where.arguments)
    comparing = isinstance(condition, Compare)
    found = [
        Found(value, records, before if comparing else None) for value, records, before, _ in rows
    ]
    return Met(found, rows[0][3] - len(rows) if rows else 0)


async def seen(reader: Reader, asked: Question, span: Span) -> list[Seen]:
    """Give the values that the field has in *span*, the oldest first."""
    assert asked.by is not None and span.end is not None  # noqa: S101, PT018
    where = Where()
    condition = filters.condition(asked.search, where, span.end)
    value = groups.short(groups.text(where, asked.by))
    async with reader.reading() as connection:
        rows = await connection.fetch(
            f"SELECT {value}, min(timestamp), max(timestamp), count(*) FROM log_entries"
            f" WHERE timestamp >= {where.bind(span.start)} AND timestamp < {where.bind(span.end)}"
            f" AND ({condition}) AND {value} IS NOT NULL GROUP BY 1"
            f" ORDER BY 2, 1 LIMIT {MOST_VALUES}",
            *where.arguments,
        )
    return [Seen(*row) for row in rows]


def told(asked: Question, found: Found) -> str:
    """Say in a sentence why *found* meets the condition."""
    records = f"{found.records:,} record{'' if found.records == 1 else 's'}"
    window = f"in {_span(asked.window)}"
    match asked.condition:
        case Count(above=above, below=below):
            over = above is not None and found.records > above
            limit = f"more than {above:,g}" if over else f"fewer than {below:,g}"
            return f"{records} {window}, {limit}"
        case Compare(ago=ago):
            return (
                f"{records} {window}, after {found.before:,} in the same time {_span(ago)} before"
            )
        case New(quiet=quiet):
            return (
                f"{asked.by} {found.value} was not there for {_span(quiet)}, and now in {records}"
            )


def _former(asked: Question, start: dt.datetime, end: dt.datetime) -> Span | None:
    """Give the time that the window is compared with, or that tells which groups there are."""
    match asked.condition:
        case Compare(ago=ago):
            return Span(start - ago, end - ago)
        case Count(below=below, known=known) if asked.by and below is not None:
            return Span(start - known, start)
    return None


def _test(condition: Count | Compare, where: Where) -> str:
    above, below = condition.above, condition.below
    if isinstance(condition, Count):
        more = [f"records > {where.bind(above)}::float8"] if above is not None else []
        fewer = [f"records < {where.bind(below)}::float8"] if below is not None else []
        return " OR ".join(more + fewer)
    least = where.bind(condition.least)
    tests = []
    if above is not None:
        tests.append(f"records >= {least} AND records > before * {where.bind(above)}::float8")
    if below is not None:
        tests.append(f"before >= {least} AND records < before * {where.bind(below)}::float8")
    return " OR ".join(f"({test})" for test in tests)


async def _counting(connection: Any, asked: Question, where: Where, now: dt.datetime) -> Any:
    """Give the function from a span to the SQL that counts its records by value."""
    rolled = None
    if asked.by in {None, *counts.KINDS} and counts.countable(asked.search):
        rolled = await counts.rolled(connection)
    condition = filters.condition(asked.search, where, now)
    value = groups.short(groups.text(where, asked.by)) if asked.by else ONLY

    def counted(span: Span | None) -> str:
        if span is None:
            return NOBODY
        if rolled is None:
            rows = counts.scanned(where, span, condition, _never, value)
        else:
            rows = counts.summed(where, rolled, span, condition, _never, value, hours=True)
        return (
            f"SELECT value, sum(records)::bigint AS records FROM ({rows}) counted"
            " WHERE value IS NOT NULL GROUP BY value HAVING sum(records) > 0"
        )

    return counted


def _never(_: str) -> str:
    return "NULL::timestamptz"


def _span(span: dt.timedelta) -> str:
    """Write *span* in the largest unit that gives a whole number."""
    seconds = span.total_seconds()
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size and not seconds % size:
            number = round(seconds / size)
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{seconds:g} seconds"
