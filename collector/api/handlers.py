"""The query API: what each path asks the reader, and how the answer looks."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import msgspec
import prometheus_client
from aiohttp import web

from collector import server, telemetry
from collector.api import (
    console,
    context,
    cursors,
    openapi,
    pages,
    parameters,
    readiness,
    saved,
    searches,
    session,
    statistics,
)
from collector.api.decoding import decode
from collector.api.export import Exports
from collector.api.responses import PREFIX, answered
from collector.api.searches import wanted
from collector.api.shapes import (
    ColumnValues,
    Completions,
    FieldValues,
    Health,
    KnownFields,
)
from collector.errors import BadRequest
from collector.search import completion
from collector.sections import Count, Endpoint, HttpServer, Seconds
from storage import pages as storage_pages
from storage import suggestions as recent
from storage.entries import Entry
from storage.errors import Unavailable
from storage.pages import MOST_BYTES
from storage.reader import MOST_ENTRIES

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.reader import Reader, Trace

FIELDS = sorted(
    {*Entry.__struct_fields__, "created_at"}
    - {"resource", "scope", "timestamp_unix_nano", "trace_flags"}
)


CUT_PAGE = f"fewer records than `limit`, for all have {MOST_BYTES} bytes; next_cursor goes on"
CUT_TRACE = (
    f"the first records, of at most {MOST_ENTRIES} with {MOST_BYTES} bytes;"
    f" {PREFIX}/query has all, by pages"
)


class Api(HttpServer, frozen=True, kw_only=True):
    """The query API, its documentation, and the probes."""

    endpoint: Endpoint = "127.0.0.1:8001"
    query_timeout: Seconds = 30.0  # of one statement; then the answer is 503
    probe_timeout: Seconds = 1.0  # of /health and /ready; launchers give up after 1.5
    exports: Annotated[int, msgspec.Meta(ge=1, le=6)] = 2  # at a time, of the eight connections
    tails: Count = 1_000  # readers that follow live at a time, in each process


class Answers(msgspec.Struct, frozen=True):
    """The handlers, which all ask one reader."""

    config: Api
    reader: Reader
    now: Callable[[], dt.datetime]

    async def query(self, request: web.Request) -> web.Response:
        """Answer with a page of the records that a search finds."""
        given, others = decode(parameters.Query, request.query.items())
        search = wanted(given, others)
        if given.cursor is None:
            page = await storage_pages.first(
                self.reader,
                search,
                now=self.now(),
                limit=given.limit,
                offset=given.offset,
                total=given.total,
            )
        else:
            cursor = searches.read("cursor", given.cursor, cursors.read)
            page = await storage_pages.turned(self.reader, search, cursor, limit=given.limit)
        entries = msgspec.Raw(msgspec.json.encode(page.entries))  # once, though it goes out twice
        return answered(
            {
                **({"logs": entries} if given.under != "items" else {}),
                "total": page.total,
                "limit": given.limit,
                "offset": given.offset if given.cursor is None else 0,
                "has_more": page.older is not None,
                "next_cursor": cursors.written(page.older),
                "previous_cursor": cursors.written(page.newer),
                **({"items": entries} if given.under != "logs" else {}),
            },
            incomplete=CUT_PAGE if page.cut else None,
        )

    async def job(self, request: web.Request) -> web.Response:
        """Answer with the records of a job."""
        path, _ = decode(parameters.Job, request.match_info.items(), "path")
        given, _ = decode(parameters.Trace, request.query.items())
        return _traced(await self.reader.job(path.job_id, expand=given.expand == "trace"))

    async def request(self, request: web.Request) -> web.Response:
        """Answer with the records of a request."""
        path, _ = decode(parameters.Request, request.match_info.items(), "path")
        given, _ = decode(parameters.Trace, request.query.items())
        return _traced(await self.reader.request(path.request_id, expand=given.expand == "trace"))

    async def trace(self, request: web.Request) -> web.Response:
        """Answer with the records of a trace."""
        path, _ = decode(parameters.TraceId, request.match_info.items(), "path")
        return _traced(await self.reader.trace(path.trace_id))

    async def fields(self, request: web.Request) -> web.Response:
        """Answer with the names a filter may have."""
        given, others = decode(parameters.Fields, request.query.items())
        count, keys = await self.reader.keys(
            wanted(given, others), now=self.now(), sample=given.sample_limit
        )
        service = given.service[-1] if given.service else None
        known = sorted({*FIELDS, *keys})
        return answered(KnownFields(service=service, fields=known, dynamic=keys, count=count))

    async def distinct(self, request: web.Request) -> web.Response:
        """Answer with the values of a column, or of a key of ``extra``."""
        given, others = decode(parameters.Distinct, request.query.items())
        if not given.field:
            raise BadRequest("field is required")
        values = await self.reader.distinct(
            given.field, wanted(given, others), now=self.now(), limit=given.limit
        )
        return answered(FieldValues(field=given.field, count=len(values), values=values))

    async def column(self, request: web.Request) -> web.Response:
        """Answer with the values of the columns that have few."""
        path, _ = decode(parameters.Column, request.match_info.items(), "path")
        if path.column not in parameters.COLUMNS:
            raise BadRequest(f"column is {path.column}, not one of {', '.join(parameters.COLUMNS)}")
        given, others = decode(parameters.DistinctColumn, request.query.items())
        values = await self.reader.distinct(
            path.column, wanted(given, others), now=self.now(), limit=given.limit
        )
        return answered(ColumnValues(column=path.column, values=values))

    async def completion(self, request: web.Request) -> web.Response:
        """Answer with what may stand at a place of a search."""
        given, _ = decode(parameters.Completion, request.query.items())
        found = completion.typed(given.q, given.at or len(given.q) + 1)
        if found.field is None:
            suggestions = completion.terms(found, await recent.keys(self.reader))
        else:
            beginning = completion.asked(found)
            values = (
                []
                if beginning is None
                else await recent.values(
                    self.reader, found.field, beginning=beginning, limit=completion.MOST
                )
            )
            suggestions = completion.values(found, values)
        return answered(Completions(column=found.column, length=found.length, items=suggestions))

    async def console_fields(self, _: web.Request) -> web.Response:
        """Answer with how a console marks ids."""
        return answered(console.FIELDS)

    async def health(self, _: web.Request) -> web.Response:
        """Answer 200 always: who polls this wants to know about the process."""
        try:
            await self.reader.ping(timeout=self.config.probe_timeout)
        except Unavailable:
            return answered(Health(status="degraded", database="disconnected"))
        return answered(Health(status="healthy", database="connected"))

    async def ready(self, _: web.Request) -> web.Response:
        """Answer with the components, and 503 while nothing could be taken in."""
        return await readiness.answer(self.reader, self.config.probe_timeout)


async def metrics(request: web.Request) -> web.Response:
    """Answer with every counter, as Prometheus reads them."""
    telemetry.in_flight_bytes.set(request.app[server.IN_FLIGHT].held)
    return web.Response(
        body=telemetry.exposed(),
        headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST},
    )


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def routes(
    config: Api, reader: Reader, *, now: Callable[[], dt.datetime] = _now
) -> list[web.RouteDef]:
    """Give the routes of the query API, asking *reader*; *now* is the clock, aware."""
    answers = Answers(config, reader.within(config.query_timeout), now)
    exports = Exports(answers.reader, config.exports, now)
    # aiohttp's own pattern of a part takes no braces, in which some write ids.
    return [
        web.get(f"{PREFIX}/query", answers.query),
        web.get(f"{PREFIX}/trace/job/{{job_id:[^/]+}}", answers.job),
        web.get(f"{PREFIX}/trace/request/{{request_id:[^/]+}}", answers.request),
        web.get(f"{PREFIX}/trace/trace/{{trace_id:[^/]+}}", answers.trace),
        web.get(f"{PREFIX}/fields", answers.fields),
        web.get(f"{PREFIX}/distinct", answers.distinct),
        web.get(f"{PREFIX}/distinct/{{column:[^/]+}}", answers.column),
        web.get(f"{PREFIX}/completion", answers.completion),
        *statistics.routes(answers.reader, now),
        *context.routes(answers.reader, now),
        *saved.routes(answers.reader),
        *session.routes(),
        web.get(f"{PREFIX}/console-fields", answers.console_fields),
        # Nobody who asks for the head alone wants all to be read for it.
        web.get(f"{PREFIX}/export", exports.export, allow_head=False),
        web.get("/health", answers.health),
        web.get("/ready", answers.ready),
        web.get("/metrics", metrics),
        web.get("/", pages.index),
        web.get("/docs", pages.docs),
        web.get("/openapi.json", openapi.answer),
    ]


def _traced(trace: Trace) -> web.Response:
    return answered(trace.entries, incomplete=CUT_TRACE if trace.cut else None)
