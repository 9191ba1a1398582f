"""
Counting records from the roll-ups, where a search can be answered from them.

An answer is a sum over whole hours and minutes that are counted, over the rows at both ends of
the time that fill no minute, and over the live rows, which no roll-up has yet. All is read in
one snapshot, so that it is what counting the rows themselves gives.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec

from storage import filters, roll_ups
from storage import search as s
from storage.layout import WHOLE
from storage.roll_ups import Times  # noqa: TC001  msgspec reads the annotations
from storage.where import Where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Expression = Callable[[str], str]  # of the column that has the time

KINDS = ("service", "level", "severity_number")  # what of a record the roll-ups keep
SECOND, MINUTE, HOUR = (dt.timedelta(seconds=each) for each in (1, 60, 3600))
MICROSECOND = dt.timedelta(microseconds=1)
LAST_MICROSECOND = dt.datetime.max.replace(tzinfo=dt.UTC)

# Whether every partition is counted, and by this server's transactions.
READY = f"""
SELECT counted::text,
    pg_snapshot_xmax(counted) <= pg_snapshot_xmax(pg_current_snapshot())
    AND NOT EXISTS (
        SELECT FROM ({WHOLE}) i
        FULL JOIN roll_up_partitions p ON p.partition = i.partition
        WHERE p.partition IS NULL OR i.partition IS NULL)
FROM roll_up_position
"""


class Span(msgspec.Struct, frozen=True):
    """From *start* to before *end*; None is no limit."""

    start: dt.datetime | None
    end: dt.datetime | None

    def within(self, size: dt.timedelta) -> Span:
        """Give the whole minutes, or hours, of this one; of none it ends before it starts."""
        start, end = self.start, self.end
        if start is not None and start > roll_ups.LAST:  # too near to the last time there is
            return Span(start, start)
        return Span(
            start and -(-(start - _ORIGIN) // size) * size + _ORIGIN,
            end and (end - _ORIGIN) // size * size + _ORIGIN,
        )

    @property
    def empty(self) -> bool:
        """Whether there is no time in it."""
        return self.start is not None and self.end is not None and self.start >= self.end


_ORIGIN = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Rolled(msgspec.Struct, frozen=True):
    """What can be read of the roll-ups in one snapshot."""

    position: str
    live: list[Times]


async def rolled(connection: Any) -> Rolled | None:
    """Give what the roll-ups have at the moment of this snapshot, or None where they lack some."""
    for position, ready in await connection.fetch(READY):
        if ready:
            return Rolled(position, await roll_ups.live(connection, position))
    return None


def divided(search: s.Search, now: dt.datetime) -> tuple[Span, s.Search]:
    """Give the time that all records of *search* are of, and what else it asks for."""
    starts: list[dt.datetime] = []
    ends: list[dt.datetime] = []
    others: list[s.Search] = []
    together = s.both(search)
    for each in together.conditions if isinstance(together, s.All) else (together,):
        match each:
            case s.Last(span):
                starts.append(now - span)
            case s.Compare("timestamp", ">" | ">=" as sign, dt.datetime() as value):
                starts.append(_after(value) if sign == ">" else value)
            case s.Compare("timestamp", "<" | "<=" as sign, dt.datetime() as value):
                ends.append(value if sign == "<" else _after(value))
            case _:
                others.append(each)
    return Span(max(starts, default=None), min(ends, default=None)), s.both(*others)


def countable(search: s.Search) -> bool:
    """Tell whether *search* asks for nothing but what the roll-ups keep."""
    match search:
        case s.All(conditions) | s.AnyOf(conditions):
            return all(map(countable, conditions))
        case s.Not(condition):
            return countable(condition)
        case s.Severity():
            return True
        case s.Equals() | s.Compare() | s.Present() | s.Prefix() | s.Contains():
            return search.field in KINDS
        case _:
            return False


def scanned(where: Where, span: Span, condition: str, time: Expression, value: str) -> str:
    """Give the SQL that counts rows: a bucket, a value, and the number of records."""
    return (
        f"SELECT {time('timestamp')} AS bucket, {value} AS value, count(*) AS records"
        f" FROM log_entries WHERE {' AND '.join([f'({condition})', *_limits(where, span)])}"
        " GROUP BY 1, 2"
    )


def summed(
    where: Where,
    found: Rolled,
    span: Span,
    condition: str,
    time: Expression,
    value: str,
    *,
    hours: bool,
) -> str:
    """
    Give the SQL that counts as `scanned` does, from the roll-ups as far as they go.

    *condition* and *value* have no column but those of `KINDS`. With *hours* no bucket ends
    within an hour.
    """
    inner = span.within(MINUTE)
    if inner.empty:
        return scanned(where, span, condition, time, value)
    parts = [
        f"SELECT bucket, {value} AS value, records FROM (SELECT {time('start')} AS bucket, kind,"
        f" sum(records) AS records FROM roll_ups WHERE seconds = {size // SECOND}"
        f"{''.join(f' AND {limit}' for limit in _limits(where, part, 'start'))}"
        f" GROUP BY 1, 2) r JOIN roll_up_kinds ON id = kind WHERE {condition}"
        for size, part in _whole(inner, hours=hours)
    ]
    ends = [Span(span.start, inner.start)] if span.start != inner.start else []
    ends += [Span(inner.end, span.end)] if span.end != inner.end else []
    parts += [scanned(where, end, condition, time, value) for end in ends]
    for times in found.live:
        row = f"({condition}) AND {roll_ups.unseen(where, found.position)}"
        row += f" AND {roll_ups.during(where, times)}"
        parts.append(scanned(where, inner, row, time, value))
    return " UNION ALL ".join(f"({part})" for part in parts)


async def total(connection: Any, search: s.Search, now: dt.datetime) -> int | None:
    """Give how many records *search* finds, or None where the roll-ups don't tell."""
    counting = await _counting(connection, search, now, "NULL::text")
    if counting is None:
        return None
    where, counted = counting
    rows = await connection.fetch(
        f"SELECT coalesce(sum(records), 0)::bigint FROM ({counted}) counted", *where.arguments
    )
    number: int = rows[0][0]
    return number


async def distinct(
    connection: Any, field: str, search: s.Search, now: dt.datetime, limit: int
) -> list[Any] | None:
    """Give the values of *field*, sorted, or None where the roll-ups don't tell."""
    if field not in KINDS:
        return None
    counting = await _counting(connection, search, now, field)
    if counting is None:
        return None
    where, counted = counting
    rows = await connection.fetch(
        f"SELECT DISTINCT value FROM ({counted}) counted WHERE records > 0"
        f" ORDER BY 1 LIMIT {where.bind(limit)}",
        *where.arguments,
    )
    return [row[0] for row in rows]


async def _counting(
    connection: Any, search: s.Search, now: dt.datetime, value: str
) -> tuple[Where, str] | None:
    span, others = divided(search, now)
    if not countable(others) or (found := await rolled(connection)) is None:
        return None
    where = Where()
    condition = filters.condition(others, where, now)
    return where, summed(
        where, found, span, condition, lambda _: "NULL::timestamptz", value, hours=True
    )


def _whole(span: Span, *, hours: bool) -> Iterator[tuple[dt.timedelta, Span]]:
    """Divide *span*, which is of whole minutes, into hours, if wanted, and the minutes beside."""
    inner = span.within(HOUR)
    if not hours or inner.empty:
        yield MINUTE, span
        return
    if span.start != inner.start:
        yield MINUTE, Span(span.start, inner.start)
    yield HOUR, inner
    if span.end != inner.end:
        yield MINUTE, Span(inner.end, span.end)


def _limits(where: Where, span: Span, column: str = "timestamp") -> list[str]:
    limits = [] if span.start is None else [f"{column} >= {where.bind(span.start)}"]
    return limits + ([] if span.end is None else [f"{column} < {where.bind(span.end)}"])


def _after(moment: dt.datetime) -> dt.datetime:
    """Give the first time after *moment* that there is."""
    return moment if moment == LAST_MICROSECOND else moment + MICROSECOND
