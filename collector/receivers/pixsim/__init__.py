"""
The native receiver: JSON over HTTP, one record a request or many.

A body is read as JSON whatever its Content-Type says, and where there is none: a browser's
``sendBeacon`` calls it ``text/plain``. The answer, once the records are committed, is
exactly 200, for today's senders look at nothing else and send nothing twice.

A single record is refused where its ``level`` or ``service`` is missing or no string. Else
no value costs a record; `mapping` says what becomes of those that fit no column.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from collector import server, telemetry
from collector.access import permission
from collector.access.permission import NOT_PERMITTED
from collector.errors import Forbidden, TooLarge
from collector.receivers import keys
from collector.receivers.pixsim import checks
from collector.receivers.pixsim.decoding import decode
from collector.receivers.pixsim.mapping import record
from collector.sections import Bytes, Endpoint, HttpServer
from collector.turns import SLICE, Turns
from storage import moments
from storage.records import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.access.permission import Permission
    from collector.pipeline import Submit
    from storage.records import LogRecord

PATH = "/api/v1/logs/ingest"
MOST_ERRORS = 20  # of one request that its answer tells

_encode = msgspec.json.Encoder().encode


class Pixsim(HttpServer, frozen=True, kw_only=True):
    """Native JSON, as pixsim's services and browsers send it."""

    endpoint: Endpoint = "127.0.0.1:8001"
    max_record_size: Bytes = 1024 * 1024


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a single record."""

    success: bool = True
    log_id: int | None
    count: int | None = None
    message: str = "Log ingested successfully"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a record was not stored; ``index`` is its place in ``logs``."""

    index: int
    field: str | None = None  # null where the record as a whole is refused
    reason: str


class StoredMany(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a batch."""

    success: bool = True
    log_id: int | None = None
    count: int
    message: str
    rejected: int
    errors: list[Problem]  # the first `MOST_ERRORS`


def routes(config: Pixsim, submit: Submit, *, receiver: str = "pixsim") -> list[web.RouteDef]:
    """Give the routes of the component that is named *receiver*."""
    turns = Turns()

    async def ingest(request: web.Request) -> web.Response:
        body = await server.body(request, limit=config.max_request_body_size)
        if len(body) > config.max_record_size:
            raise TooLarge(_too_large(len(body), config))
        changes: Counter[str] = Counter()
        value, permitted = decode(body, changes), permission.of(request)
        if permitted is not None and isinstance(value, dict):
            permitted.fill(value)
        entry = checks.single(value, len(body))
        batch = _batch(request, receiver, body)
        await turns.run(_records([entry], changes, batch.records))
        (made,) = batch.records
        if permitted is not None and (objection := permitted.objection(made)):
            telemetry.records_refused.labels(receiver, NOT_PERMITTED).inc()
            raise Forbidden(objection[1], NOT_PERMITTED)
        outcome = await submit(batch)
        if outcome.refused:
            raise checks.refused(outcome.refused[0].reason)
        _count(receiver, changes, 1)
        return _answer(Stored(log_id=made.id))

    async def ingest_batch(request: web.Request) -> web.Response:
        body = await server.body(request, limit=config.max_request_body_size)
        changes: Counter[str] = Counter()
        entries = checks.many(decode(body, changes), len(body))
        made: list[LogRecord] = []
        if (permitted := permission.of(request)) is not None:
            for entry in entries:
                permitted.fill(entry)
        await turns.run(_records(entries, changes, made))
        small = len(body) <= config.max_record_size
        problems = [] if small else _oversized(made, config, receiver)
        if permitted is not None:
            objected = _objected(made, permitted, {problem.index for problem in problems})
            telemetry.records_refused.labels(receiver, NOT_PERMITTED).inc(len(objected))
            problems += objected
        batch = _batch(request, receiver, body)
        stored = await _submit_but(problems, made, batch, submit)
        _count(receiver, changes, len(made))
        return _answer(
            StoredMany(
                count=stored,
                message=f"Ingested {stored} logs successfully",
                rejected=len(problems),
                errors=problems[:MOST_ERRORS],
            )
        )

    return [web.post(PATH, ingest), web.post(f"{PATH}/batch", ingest_batch)]


def _records(
    entries: list[dict[str, Any]], changes: Counter[str], made: list[LogRecord]
) -> Iterator[None]:
    """Make a record of each entry, slice by slice, and count those that had to be changed."""
    received = moments.moment(dt.datetime.now(dt.UTC))
    changed: set[str] = set()
    for entry in entries:
        made.append(record(entry, received, changed))
        if changed:
            changes.update(changed)
            changed.clear()
        if len(made) % SLICE == 0:
            yield


async def _submit_but(
    problems: list[Problem], made: list[LogRecord], batch: Batch, submit: Submit
) -> int:
    """Submit those of *made* without a problem, add new problems, and tell how many are stored."""
    oversized = {problem.index for problem in problems}
    batch.records = [one for place, one in enumerate(made) if place not in oversized]
    if not batch.records:
        return 0
    outcome = await submit(batch)
    if outcome.refused:
        # A processor may have taken records out, so that places have shifted.
        places = {id(one): place for place, one in enumerate(made)}
        problems += [
            Problem(index=places[id(batch.records[each.index])], reason=each.reason)
            for each in outcome.refused
        ]
    return outcome.stored


def _oversized(made: list[LogRecord], config: Pixsim, receiver: str) -> list[Problem]:
    sizes = (len(_encode(msgspec.structs.astuple(one))) for one in made)
    found = [
        Problem(index=place, reason=_too_large(size, config))
        for place, size in enumerate(sizes)
        if size > config.max_record_size
    ]
    telemetry.records_refused.labels(receiver, TooLarge.reason).inc(len(found))
    return found


def _objected(made: list[LogRecord], permitted: Permission, oversized: set[int]) -> list[Problem]:
    found = (
        (place, permitted.objection(one))
        for place, one in enumerate(made)
        if place not in oversized
    )
    return [
        Problem(index=place, field=objection[0], reason=objection[1])
        for place, objection in found
        if objection
    ]


def _too_large(size: int, config: Pixsim) -> str:
    return f"the record has {size} bytes, the most is {config.max_record_size}"


def _batch(request: web.Request, receiver: str, body: bytes) -> Batch:
    sender = request.headers.get("User-Agent", "")
    key = keys.given(request, receiver, body)
    return Batch(receiver=receiver, sender=sender, key=key, records=[])


def _count(receiver: str, changes: Counter[str], records: int) -> None:
    """Count changed records; one with two values changed for the same reason is still one."""
    for reason, count in changes.items():
        if count:
            telemetry.records_changed.labels(receiver, reason).inc(min(count, records))


def _answer(answer: Stored | StoredMany) -> web.Response:
    return web.Response(body=_encode(answer) + b"\n", content_type="application/json")
