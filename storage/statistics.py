"""
What the records of a search have: the values of their fields, and how their numbers are spread.

Both read the newest records, up to a number, and say from when on those are all.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec

from storage import fields, filters, groups
from storage.histogram import ORIGIN, bounded, divided
from storage.roll_ups import FIRST
from storage.where import Where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.reader import Reader
    from storage.search import Search

MOST_PARTS = 20_000  # of an answer, by groups and buckets
NOBODY = "NULL::text"  # what all have in common where there are no groups
PERCENTILES = (0.5, 0.9, 0.95, 0.99)
SPREAD = (
    "count({0}), count(DISTINCT {0}), min({0}), max({0}), avg({0}),"
    f" percentile_cont(ARRAY{list(PERCENTILES)}) WITHIN GROUP (ORDER BY {{0}})"
)
# How many records were read, and the microsecond of the oldest.
READ = (
    "count(*) AS number, coalesce(extract(epoch FROM greatest(min(timestamp),"
    f" '{FIRST.isoformat()}')) * 1000000, 0)::bigint AS oldest"
)
# One pass over the records, in half the time of one for each field.
FACETS = f"""
WITH grouped AS (
    SELECT {{keys}}, grouping({{keys}}) AS bits, {READ},
        count(*) FILTER (WHERE {{match}}) AS matching
    FROM ({{newest}}) newest GROUP BY GROUPING SETS ((), {{sets}})
), named AS (
    SELECT bits, CASE bits {{values}} END AS value, number, oldest, matching FROM grouped
), ranked AS (
    SELECT *, count(*) OVER (PARTITION BY bits) AS values,
        row_number() OVER (PARTITION BY bits ORDER BY value IS NULL DESC, number DESC, value)
            AS place
    FROM named
)
SELECT bits, {groups.short("value")}, number, values, oldest, matching FROM ranked
WHERE place <= {{most}} ORDER BY bits, place
"""
# Groups of equal size are told apart by their values.
STATS = f"""
WITH newest AS MATERIALIZED (SELECT timestamp, {{columns}} FROM ({{newest}}) newest), parts AS (
    SELECT {{bucket}} AS bucket, {{keys}}, count(*) AS records, {{spreads}} FROM newest
    GROUP BY bucket, {{keys}}
), totals AS (
    SELECT *, sum(records) OVER (PARTITION BY {{keys}}) AS total FROM parts
), ranked AS (
    SELECT dense_rank() OVER (ORDER BY total DESC, {{keys}}) AS place, * FROM totals
)
SELECT read.*, ranked.* FROM (SELECT {READ} FROM newest) read
LEFT JOIN ranked ON place <= {{most}} ORDER BY place, bucket
"""
EPOCH, MICROSECOND = dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.timedelta(microseconds=1)
Times = tuple[dt.datetime, dt.datetime]
LARGEST = 1e150  # of a number; the squares of larger ones have no room in a float
SMALLEST = 1e-300


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """Which records were read: all of a search from *since* on, to *end*."""

    start: dt.datetime
    end: dt.datetime
    records: int
    since: dt.datetime  # *start*, or the time of the oldest one where there may be more


class Facet(msgspec.Struct, frozen=True, kw_only=True):
    """
    The most frequent values of a field.

    Each has its number of records, and how many of these another search finds too.
    """

    field: str
    values: list[tuple[groups.Value, int, int]]
    distinct: int  # how many values there are
    missing: int  # records without one


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """How the numbers of a field are spread; null where there are none."""

    count: int
    distinct: int
    min: float | None
    max: float | None
    avg: float | None
    percentiles: list[float | None]  # `PERCENTILES`


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The records with the same values of the fields asked for, null for none, and of a bucket."""

    values: list[groups.Value | None]
    start: dt.datetime | None
    records: int
    spreads: list[Spread]


async def facets(
    reader: Reader,
    search: Search,
    *,
    now: dt.datetime,
    names: Sequence[str],
    most: int,
    records: int,
    matching: Search | None = None,
) -> tuple[Read, list[Facet]]:
    """
    Give the *most* frequent values of each field, in the newest *records* of *search*.

    Of each it is told how many of its records *matching* finds too, in the same pass.
    """
    where = Where()
    start, end, others = bounded(search, now)
    condition = filters.condition(others, where, now)
    columns = [groups.text(where, name) for name in names]
    if matching is not None:
        columns.append(f"({filters.condition(matching, where, now)})")
    newest = _newest(where, condition, (start, end), columns, records)
    keys = [f"c{place}" for place in range(len(names))]
    # grouping() has a bit for each field that a row isn't grouped by, the last field's lowest.
    nothing = (1 << len(keys)) - 1
    only = [nothing - (1 << place) for place in reversed(range(len(keys)))]
    statement = FACETS.format(
        newest=newest,
        match="false" if matching is None else f"c{len(names)}",
        keys=", ".join(keys),
        sets=", ".join(f"({key})" for key in keys),
        values=" ".join(f"WHEN {bits} THEN {key}" for bits, key in zip(only, keys, strict=True)),
        most=f"{where.bind(most + 1)}::bigint",
    )
    async with reader.reading() as connection:
        rows = await connection.fetch(statement, *where.arguments)
    found: dict[int, list[Any]] = {}
    for bits, *row in rows:
        found.setdefault(bits, []).append(row)
    _, total, _, oldest, _ = found[nothing][0]
    since = _since(start, records, total, oldest)
    return Read(start=start, end=end, records=total, since=since), [
        _facet(name, most, found.get(bits, [])) for name, bits in zip(names, only, strict=True)
    ]


async def stats(
    reader: Reader,
    search: Search,
    *,
    now: dt.datetime,
    names: Sequence[str],
    by: Sequence[str],
    interval: dt.timedelta | None,
    most: int,
    records: int,
) -> tuple[Read, list[Part], bool]:
    """
    Give how the numbers of fields are spread in the newest *records* of *search*.

    They are grouped by the values of the fields *by*, of which the *most* frequent are told,
    and by *interval*; and it is said whether there are more of either.

    Raises:
        ValueError: a field is never a number.
    """
    where = Where()
    start, end, others = bounded(search, now)
    condition = filters.condition(others, where, now)
    numbers = [f"{number(name, f'c{place}')} AS c{place}" for place, name in enumerate(names)]
    columns = [fields.value(where, name) for name in names]
    columns += [groups.short(groups.text(where, name)) for name in by]
    first, bucket = start, "NULL::timestamptz"
    if interval:
        bucket = f"date_bin({where.bind(interval)}, timestamp, {where.bind(ORIGIN)})"
        first = max([start, *divided(start, end, interval, MOST_PARTS // most)[:1]])
    newest = _newest(where, condition, (first, end), [*columns, bucket], records)
    statement = STATS.format(
        newest=newest,
        columns=", ".join((*numbers, *(f"c{n}" for n in range(len(names), len(columns) + 1)))),
        bucket=f"c{len(columns)}",
        # Where there are no groups, all have the same value.
        keys=", ".join(f"c{len(names) + place}" for place in range(len(by))) or NOBODY,
        spreads=", ".join(SPREAD.format(f"c{place}") for place in range(len(names))),
        most=f"{where.bind(most + 1)}::bigint",
    )
    async with reader.reading() as connection:
        rows = await connection.fetch(statement, *where.arguments)
    found = [tuple(row)[2:] for row in rows if row[2] is not None]
    total, oldest, *_ = rows[0]
    since = _since(first, records, total, oldest)
    return (
        Read(start=start, end=end, records=total, since=since),
        [_part(by, len(names), row[1:]) for row in found if row[0] <= most],
        any(row[0] > most for row in found),
    )


def numeric(name: str) -> bool:
    """Tell whether the field *name* can be a number."""
    return fields.field(name).kind in {"id", "number", "duration", "key"}


def number(name: str, value: str) -> str:
    """
    Give the expression of *value*, of the field *name*, as a finite float; null where it is none.

    Raises:
        ValueError: the field is never a number.
    """
    if not numeric(name):
        raise ValueError(f"{name} is never a number")
    n = filters.number(value) if fields.field(name).kind == "key" else f"{value}::float8"
    return (
        f"CASE WHEN abs({n}) < {LARGEST} THEN CASE WHEN abs({n}) < {SMALLEST} THEN 0"
        f" ELSE ({n})::float8 END END"
    )


def _newest(where: Where, condition: str, span: Times, columns: Sequence[str], records: int) -> str:
    """Give the SQL for the newest records: ``timestamp``, ``c0``, ``c1``, …."""
    start, end = span
    limits = f"timestamp >= {where.bind(start)} AND timestamp < {where.bind(end)}"
    named = "".join(f", {column} AS c{place}" for place, column in enumerate(columns))
    return (
        f"SELECT timestamp{named} FROM log_entries WHERE {limits} AND ({condition})"
        f" ORDER BY timestamp DESC LIMIT {where.bind(records)}"
    )


def _since(start: dt.datetime, records: int, total: int, oldest: int) -> dt.datetime:
    return EPOCH + oldest * MICROSECOND if total == records else start


def _facet(name: str, most: int, rows: Sequence[Sequence[Any]]) -> Facet:
    missing = sum(number for value, number, *_ in rows if value is None)
    values = [
        (groups.value(name, value), number, matching)
        for value, number, _, _, matching in rows
        if value is not None
    ]
    return Facet(
        field=name,
        values=values[:most],
        distinct=rows[0][2] - bool(missing) if rows else 0,
        missing=missing,
    )


def _part(by: Sequence[str], numbers: int, row: Sequence[Any]) -> Part:
    bucket, *values = row[: len(by) + 1]
    records, *rest = row[max(len(by), 1) + 1 :]
    spreads = [rest[6 * place : 6 * place + 6] for place in range(numbers)]
    return Part(
        values=[
            None if text is None else groups.value(name, text)
            for name, text in zip(by, values, strict=True)
        ],
        start=bucket,
        records=records,
        spreads=[
            Spread(
                count=count,
                distinct=distinct,
                min=least,
                max=greatest,
                avg=average,
                percentiles=percentiles or [None] * len(PERCENTILES),
            )
            for count, distinct, least, greatest, average, percentiles in spreads
        ],
    )
