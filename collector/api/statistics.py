"""How many records there are, what they have, and how their numbers are spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from collector.api import statistics_shapes as s
from collector.api.decoding import decode
from collector.api.responses import PREFIX, answered
from collector.api.searches import read, wanted
from collector.search import parse
from collector.search.mistakes import Unfit
from collector.search.times import span
from storage import histogram, statistics

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from storage.reader import Reader

LONGEST_INTERVAL = 9_999  # of any unit


class Statistics(msgspec.Struct, frozen=True):
    """The handlers, which all ask one reader."""

    reader: Reader
    now: Callable[[], dt.datetime]

    async def histogram(self, request: web.Request) -> web.Response:
        """Answer with counts by time and by the values of a field."""
        given, others = decode(s.Histogram, request.query.items())
        found = await histogram.histogram(
            self.reader,
            wanted(given, others),
            now=self.now(),
            buckets=given.buckets,
            interval=_interval(given.interval),
            by=given.by,
            most=given.top,
        )
        limit = f"the {self.reader.timeout:g} s for a query were over"
        if found.starts and found.since == found.starts[0]:
            limit = f"an answer has at most {histogram.MOST_BUCKETS} buckets"
        return _json(
            s.Counted(
                start=found.start,
                end=found.end,
                complete=found.since <= found.start,
                since=found.since,
                reason=limit if found.since > found.start else None,
                interval_seconds=found.interval.total_seconds(),
                starts=found.starts,
                total=found.everything.total,
                counts=found.everything.counts,
                by=given.by,
                values=[
                    s.ValueSeries(
                        value=each.value.value,
                        value_is_cut=each.value.cut,
                        total=each.series.total,
                        counts=each.series.counts,
                    )
                    for each in found.groups
                ],
                other=_series(found.other),
                missing=_series(found.missing),
                source="roll-ups" if found.rolled else "scan",
            )
        )

    async def facets(self, request: web.Request) -> web.Response:
        """Answer with the most frequent values of several fields."""
        given, others = decode(s.Facets, request.query.items())
        names = _names("fields", given.fields, s.MOST_FACETS)
        found, facets = await statistics.facets(
            self.reader,
            wanted(given, others),
            now=self.now(),
            names=names,
            most=given.limit,
            records=given.records,
            matching=None if given.matching is None else read("matching", given.matching, parse),
        )
        return _json(
            s.Faceted(
                start=found.start,
                end=found.end,
                complete=found.since <= found.start,
                since=found.since,
                reason=_newest(found, given.records),
                records=found.records,
                facets=[
                    _facet(each, found.records, matched=given.matching is not None)
                    for each in facets
                ],
            )
        )

    async def stats(self, request: web.Request) -> web.Response:
        """Answer with how the numbers of fields are spread."""
        given, others = decode(s.Stats, request.query.items())
        names = _names("of", given.of, s.MOST_NUMBERS)
        by = _names("by", given.by, s.MOST_GROUPED) if given.by else []
        for name in names:
            read("of", name, _numeric)
        found, parts, more = await statistics.stats(
            self.reader,
            wanted(given, others),
            now=self.now(),
            names=names,
            by=by,
            interval=_interval(given.interval),
            most=given.limit,
            records=given.records,
        )
        return _json(
            s.Spread(
                start=found.start,
                end=found.end,
                complete=found.since <= found.start,
                since=found.since,
                reason=_newest(found, given.records),
                records=found.records,
                groups=[_group(names, by, part) for part in parts],
                more_groups=more,
            )
        )


def routes(reader: Reader, now: Callable[[], dt.datetime]) -> list[web.RouteDef]:
    """Give the routes, asking *reader*; *now* is the clock, aware."""
    answers = Statistics(reader, now)
    return [
        web.get(f"{PREFIX}/histogram", answers.histogram),
        web.get(f"{PREFIX}/facets", answers.facets),
        web.get(f"{PREFIX}/stats", answers.stats),
    ]


def _names(parameter: str, text: str, most: int) -> list[str]:
    def names(text: str) -> list[str]:
        found = text.split(",")
        if len(found) > most or not all(found):
            raise Unfit(f"names with commas between, at most {most}")
        return list(dict.fromkeys(found))

    return read(parameter, text, names)


def _interval(text: str | None) -> dt.timedelta | None:
    def interval(text: str) -> dt.timedelta:
        found = span(text)
        if not text[:-1].isdigit() or not 1 <= int(text[:-1]) <= LONGEST_INTERVAL:
            raise Unfit("a whole number from 1 to 9999 and one of s, m, h, d and w")
        return found

    return None if text is None else read("interval", text, interval)


def _numeric(name: str) -> None:
    if not statistics.numeric(name):
        raise Unfit("a column of numbers, or a key")


def _newest(found: statistics.Read, records: int) -> str | None:
    if found.since <= found.start:
        return None
    if found.records == records:
        return f"only the newest {records} records were read"
    return f"an answer has at most {statistics.MOST_PARTS} groups and buckets"


def _series(series: histogram.Series) -> s.Series:
    return s.Series(total=series.total, counts=series.counts)


def _facet(facet: statistics.Facet, records: int, *, matched: bool) -> s.Facet:
    listed = sum(count for _, count, _ in facet.values)
    return s.Facet(
        field=facet.field,
        values=[
            s.CountedValue(
                value=each.value,
                value_is_cut=each.cut,
                count=count,
                matching=matching if matched else None,
            )
            for each, count, matching in facet.values
        ],
        distinct=facet.distinct,
        other=records - listed - facet.missing,
        missing=facet.missing,
    )


def _group(names: list[str], by: list[str], part: statistics.Part) -> s.Group:
    values = (None if each is None else each.value for each in part.values)
    return s.Group(
        by=dict(zip(by, values, strict=True)),
        start=part.start,
        records=part.records,
        of={name: _numbers(each) for name, each in zip(names, part.spreads, strict=True)},
    )


def _numbers(spread: statistics.Spread) -> s.Numbers:
    p50, p90, p95, p99 = spread.percentiles
    return s.Numbers(
        count=spread.count,
        distinct=spread.distinct,
        min=spread.min,
        max=spread.max,
        avg=spread.avg,
        p50=p50,
        p90=p90,
        p95=p95,
        p99=p99,
    )


def _json(answer: s.Answer) -> web.Response:
    return answered(answer, incomplete=answer.reason)
