"""
The OTLP receiver: log records over HTTP, in protobuf or JSON, answered after their commit.

A request that cannot be read is refused whole. One record that can't, or that is too
large, costs only itself and is told in the answer; only where no record can be decoded
is the request bad. The body is read in the encoding that Content-Type says.
https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web

from collector import server, telemetry
from collector.access import permission
from collector.correlation import Columns
from collector.errors import BadRequest, UnsupportedMedia
from collector.receivers import keys
from collector.receivers.otlp import answer, json, protobuf
from collector.receivers.otlp.mapping import UNKNOWN_SERVICE, Decoder, Mapper, Rows
from collector.receivers.otlp.refusal import UNDECODABLE, Refused
from collector.sections import Bytes, Endpoint, HttpServer, Section
from collector.turns import Turns
from storage.records import Batch, Outcome

if TYPE_CHECKING:
    from collector.access.permission import Permission
    from collector.correlation import Correlation
    from collector.pipeline import Submit

DECODERS: dict[str, Decoder] = {answer.PROTOBUF: protobuf, answer.JSON: json}
Shared = TypeVar("Shared")
LOGS_ONLY = "this collector takes logs only, at {path}"


class Http(HttpServer, frozen=True, kw_only=True):
    """Where and how OTLP/HTTP is served."""

    endpoint: Endpoint = "127.0.0.1:4318"
    logs_url_path: str = "/v1/logs"
    max_record_size: Bytes = 1024 * 1024  # as it was sent; a larger record is refused alone


class Protocols(Section, frozen=True, kw_only=True):
    """The protocols of OTLP that are served."""

    http: Http = Http()


class Otlp(Section, frozen=True, kw_only=True):
    """OpenTelemetry's protocol, over HTTP."""

    protocols: Protocols = Protocols()


def routes(
    config: Otlp, correlation: Correlation, submit: Submit, *, receiver: str = "otlp"
) -> list[web.RouteDef]:
    """Give the routes of the component *receiver*, submitting to *submit*."""
    http = config.protocols.http
    path = http.logs_url_path
    turns = Turns()
    mapper = Mapper(columns=Columns(correlation), max_record_size=http.max_record_size)

    async def export_logs(request: web.Request) -> web.Response:
        decoder = DECODERS.get(request.content_type)
        if decoder is None:
            # aiohttp keeps bytes that are no UTF-8 as lone surrogates.
            found = request.headers.get("Content-Type", "missing")[:100]
            shown = found.encode(errors="replace").decode()
            raise UnsupportedMedia(
                f"Content-Type is {shown}, not {answer.PROTOBUF} or {answer.JSON}"
            )
        body = await server.body(request, limit=http.max_request_body_size)
        rows = Rows()
        await turns.run(mapper.slices(decoder, body, time.time_ns(), rows))
        if (permitted := permission.of(request)) is not None:
            _keep(rows, permitted)
        _count(rows, receiver)
        outcome = Outcome(stored=0)
        if rows.records:
            outcome = await submit(_batch(request, receiver, body, rows))
        return web.Response(
            body=answer.body(rows, outcome.refused, request.content_type),
            content_type=request.content_type,
        )

    async def not_here(_request: web.Request) -> web.Response:
        raise web.HTTPNotFound(text=LOGS_ONLY.format(path=path))

    others = ["/v1/traces", "/v1/metrics", f"{path.rstrip('/')}/"]
    return [
        web.post(path, export_logs),
        *(web.post(other, not_here) for other in others if other != path),
    ]


def _keep(rows: Rows, permitted: Permission) -> None:
    """Refuse the records that the sender's key is not for."""
    kept = []
    for record in rows.records:
        permitted.complete(record, UNKNOWN_SERVICE)
        if objection := permitted.objection(record):
            column, problem = objection
            rows.refuse(Refused(problem, column, permission.NOT_PERMITTED))
        else:
            kept.append(record)
    rows.records = kept
    rows.resources = _named(rows.resources, {record.resource_id for record in kept})
    rows.scopes = _named(rows.scopes, {record.scope_id for record in kept})


def _named(shared: dict[int, Shared], ids: set[int | None]) -> dict[int, Shared]:
    return {number: each for number, each in shared.items() if number in ids}


def _count(rows: Rows, receiver: str) -> None:
    """
    Count what was refused and changed.

    Raises:
        BadRequest: no record could be decoded.
    """
    for reason, count in rows.refused.items():
        telemetry.records_refused.labels(receiver, reason).inc(count)
    for change, count in rows.changed.items():
        telemetry.records_changed.labels(receiver, change).inc(count)
    if not rows.records and rows.refused.keys() == {UNDECODABLE}:
        first = rows.problems[0]
        problem = f"no log record can be decoded; {first.field}: {first.description}"
        raise BadRequest(problem, tuple(rows.problems))


def _batch(request: web.Request, receiver: str, body: bytes, rows: Rows) -> Batch:
    key = keys.given(request, receiver, body)
    if key is None and not {"no_time", "no_observed"}.issubset(rows.records[0].otlp or ()):
        # SDKs send the same bytes again; without a time they may be another event's.
        key = keys.of_body(request, receiver, body)
    return Batch(
        receiver=receiver,
        sender=request.headers.get("User-Agent", ""),
        key=key,
        records=rows.records,
        resources=rows.resources,
        scopes=rows.scopes,
    )
