"""What comes in and from whom, what is refused, and what lies on disk."""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
from pathlib import Path  # noqa: TC003  msgspec reads the annotations
from typing import TYPE_CHECKING, Literal

import msgspec
from aiohttp import web

from collector import telemetry
from collector.api import operator_shapes as s
from collector.api.decoding import decode
from collector.api.responses import answered
from collector.api.searches import read
from collector.search.times import span
from storage import footprint, intake, sealing
from storage.histogram import ORIGIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.reader import Reader

INTAKE, REFUSALS, PARTITIONS = "/api/v1/intake", "/api/v1/refusals", "/api/v1/partitions"
LAST = dt.timedelta(hours=6)  # where no time is given
REFUSED = (telemetry.requests_refused, telemetry.records_refused, telemetry.records_changed)


class Answers(msgspec.Struct, frozen=True):
    """The handlers; *folder* is on the disk of the embedded Postgres, None where it is another."""

    reader: Reader
    folder: Path | None
    now: Callable[[], dt.datetime]

    async def intake(self, request: web.Request) -> web.Response:
        """Answer with what was taken in over time."""
        given, _ = decode(s.IntakeAsked, request.query.items())
        end = max(given.end_time or self.now(), ORIGIN)
        last = LAST if given.last is None else read("last", given.last, span)
        start = given.start_time or (end - last if end - ORIGIN > last else ORIGIN)
        start = min(max(start, ORIGIN), end)
        found = await intake.intake(self.reader, start, end, buckets=given.buckets)
        counts = [sum(each) for each in zip(*(one.counts for one in found.senders), strict=True)]
        return answered(
            s.Intake(
                start=found.start,
                end=found.end,
                complete=found.kept_since is None or found.kept_since <= found.start,
                kept_since=found.kept_since,
                interval_seconds=found.interval.total_seconds(),
                starts=found.starts,
                requests=sum(each.requests for each in found.senders),
                records=sum(each.records for each in found.senders),
                refused=sum(each.refused for each in found.senders),
                counts=counts or [0] * len(found.starts),
                senders=found.senders,
            )
        )

    async def refusals(self, _: web.Request) -> web.Response:
        """Answer with what was refused since the start."""
        requests, records, changed = await asyncio.to_thread(telemetry.totals, REFUSED)
        return answered(
            s.Refusals(
                since=telemetry.STARTED,
                requests=[
                    s.RefusedRequests(route=of["route"], reason=of["reason"], requests=number)
                    for of, number in requests
                ],
                records=_records(records),
                changed=_records(changed),
            )
        )

    async def partitions(self, _: web.Request) -> web.Response:
        """Answer with the tables that hold the records, and their sizes."""
        found = await footprint.footprint(self.reader)
        indexed = {each.day: each for each in (await sealing.state(self.reader)).days}
        known = [each.records for each in found.partitions]
        return answered(
            s.Partitions(
                records=None if None in known else sum(n for n in known if n is not None),
                bytes=sum(each.bytes for each in found.partitions),
                database_bytes=found.database_bytes,
                disk=None if self.folder is None else await asyncio.to_thread(_disk, self.folder),
                partitions=[
                    s.Partition(
                        name=each.name,
                        day=each.day,
                        records=each.records,
                        bytes=each.bytes,
                        index_bytes=each.index_bytes,
                        text_index=_text_index(indexed.get(each.day) if each.day else None),
                    )
                    for each in found.partitions
                ],
            )
        )


def routes(
    reader: Reader, folder: Path | None, now: Callable[[], dt.datetime]
) -> list[web.RouteDef]:
    """Give the routes, asking *reader*; *now* is the clock, aware."""
    answers = Answers(reader, folder, now)
    return [
        web.get(INTAKE, answers.intake),
        web.get(REFUSALS, answers.refusals),
        web.get(PARTITIONS, answers.partitions),
    ]


def _records(found: list[tuple[dict[str, str], int]]) -> list[s.RefusedRecords]:
    return [
        s.RefusedRecords(receiver=of["receiver"], reason=of["reason"], records=number)
        for of, number in found
    ]


def _disk(folder: Path) -> s.Disk:
    found = shutil.disk_usage(folder)
    return s.Disk(bytes=found.total, free_bytes=found.free)


def _text_index(day: sealing.IndexedDay | None) -> Literal["whole", "parts", "none"]:
    if day is None:
        return "none"
    return "whole" if day.indexed else "parts" if day.parts else "none"
