"""
The collector's own spans by OTLP/HTTP, on demand: of requests, commits, and what is sent on.

A request goes on with the trace that its sender names (W3C's traceparent), and is recorded where
that is; of all others a share. Where no endpoint is set there is none of it on any way.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
import re
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Annotated, TypeAlias

import aiohttp
import msgspec
import structlog
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2 as t

from collector import pushing, telemetry
from collector.forwarding.target import Done
from collector.pushing import Push
from collector.sections import Seconds  # noqa: TC001  msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from aiohttp.typedefs import Handler, Middleware

    from collector.forwarding.target import Answer, Target
    from collector.pipeline import Submit
    from storage.records import Batch, Outcome
    from storage.stored import Stored

    Kind: TypeAlias = t.Span.SpanKind.ValueType

PATH = "/v1/traces"
MOST = 2_048  # spans that wait
ERROR = t.Status.STATUS_CODE_ERROR
_PARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")

log = structlog.get_logger()


class Traces(Push, frozen=True, kw_only=True):
    """Where the collector's own spans are sent to; nowhere without an endpoint."""

    interval: Seconds = 5.0
    # Of requests whose sender doesn't say, commits, and batches that are sent on.
    sampling_ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0


class Context(msgspec.Struct, frozen=True):
    """What a span says to those within it."""

    trace_id: bytes
    span_id: bytes
    sampled: bool


_current: contextvars.ContextVar[Context | None] = contextvars.ContextVar("span", default=None)


class Spans:
    """Records spans, of which `MOST` wait until somebody takes them."""

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio
        self._ended: list[t.Span] = []

    @contextmanager
    def span(self, name: str, kind: Kind, parent: Context | None = None) -> Iterator[t.Span]:
        """Record what is done inside the block; *parent* is where that isn't here."""
        span, context = self._begun(name, kind, parent or _current.get())
        token = _current.set(context)
        began = time.perf_counter_ns()
        try:
            yield span
        except BaseException as exc:
            span.status.code, span.status.message = ERROR, type(exc).__name__
            raise
        finally:
            _current.reset(token)
            self._end(span, context, time.perf_counter_ns() - began)

    def committed(self, seconds: float, records: int) -> None:
        """Record a commit that took so long."""
        span, context = self._begun("commit", t.Span.SPAN_KIND_CLIENT, None)
        took = int(seconds * 1e9)
        span.start_time_unix_nano -= took
        describe(span, {"db.system.name": "postgresql", "pixsim.records": records})
        self._end(span, context, took)

    def taken(self) -> list[t.Span]:
        """Give what was recorded since the last time."""
        taken, self._ended = self._ended, []
        return taken

    def _begun(self, name: str, kind: Kind, parent: Context | None) -> tuple[t.Span, Context]:
        context = Context(
            parent.trace_id if parent else random.getrandbits(128).to_bytes(16),
            random.getrandbits(64).to_bytes(8),
            parent.sampled if parent else random.random() < self._ratio,  # noqa: S311  no secret
        )
        span = t.Span(
            name=name,
            kind=kind,
            trace_id=context.trace_id,
            span_id=context.span_id,
            parent_span_id=parent.span_id if parent else b"",
            start_time_unix_nano=time.time_ns(),
        )
        return span, context

    def _end(self, span: t.Span, context: Context, took: int) -> None:
        if not context.sampled:
            return
        if len(self._ended) >= MOST:
            telemetry.spans.labels("dropped").inc()
            return
        span.end_time_unix_nano = span.start_time_unix_nano + took
        self._ended.append(span)


def describe(span: t.Span, attributes: dict[str, str | int]) -> None:
    """Give *span* these attributes."""
    for name, value in attributes.items():
        kind = "int_value" if isinstance(value, int) else "string_value"
        setattr(span.attributes.add(key=name).value, kind, value)


def requests(spans: Spans) -> Middleware:
    """Give the middleware that records each request."""

    @web.middleware
    async def recorded(request: web.Request, handler: Handler) -> web.StreamResponse:
        with spans.span(request.method, t.Span.SPAN_KIND_SERVER, _parent(request)) as span:
            response = await handler(request)
            describe(span, {"http.request.method": request.method})
            if (resource := request.match_info.route.resource) is not None:
                span.name = f"{request.method} {resource.canonical}"
                describe(span, {"http.route": resource.canonical})
            describe(span, {"http.response.status_code": response.status})
            if response.status >= 500:
                span.status.code = ERROR
            return response

    return recorded


def storing(spans: Spans, write: Submit) -> Submit:
    """Give *write*, recorded: what a request waits for."""

    async def recorded(batch: Batch) -> Outcome:
        with spans.span("store", t.Span.SPAN_KIND_INTERNAL) as span:
            outcome = await write(batch)
            describe(span, {"pixsim.receiver": batch.receiver, "pixsim.records": outcome.stored})
            describe(span, {"pixsim.spooled": int(outcome.spooled)})
            return outcome

    return recorded


class Recorded:
    """The *target* of destination *name*, of which each batch is recorded."""

    def __init__(self, spans: Spans, name: str, target: Target) -> None:
        self._spans, self._name, self._target = spans, name, target

    async def send(self, records: Sequence[Stored], /) -> Answer:
        """Do as the target."""
        with self._spans.span(f"send {self._name}", t.Span.SPAN_KIND_CLIENT) as span:
            answer = await self._target.send(records)
            told = {"pixsim.destination": self._name, "pixsim.answer": type(answer).__name__}
            describe(span, {**told, "pixsim.records": len(records)})
            if not isinstance(answer, Done):
                span.status.code = ERROR
            return answer

    async def close(self) -> None:
        """Do as the target."""
        await self._target.close()


@asynccontextmanager
async def tracing(config: Traces) -> AsyncIterator[Spans | None]:
    """What records spans inside the block, which are sent beside it; None where they are not."""
    if not config.endpoint:
        yield None
        return
    spans = Spans(config.sampling_ratio)

    async def send() -> None:
        while True:
            await asyncio.sleep(config.interval)
            await _send(config, spans.taken())

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(send(), name="traces")
        try:
            yield spans
        finally:
            task.cancel()
            await _send(config, spans.taken())


async def _send(config: Traces, spans: Sequence[t.Span]) -> None:
    if not spans:
        return
    message = ExportTraceServiceRequest()
    within = message.resource_spans.add()
    pushing.identify(within.resource)
    within.scope_spans.add(spans=spans).scope.name = "collector.tracing"
    try:
        problem = await pushing.posted(config, PATH, message.SerializeToString())
    except (aiohttp.ClientError, TimeoutError, OSError) as exc:
        problem = str(exc) or type(exc).__name__
    if problem:
        log.warning("traces_not_sent", error=problem, spans=len(spans))
    telemetry.spans.labels("dropped" if problem else "sent").inc(len(spans))


def _parent(request: web.Request) -> Context | None:
    found = _PARENT.fullmatch(request.headers.get("traceparent", ""))
    if found is None:
        return None
    trace_id, span_id = (bytes.fromhex(each) for each in found.groups()[:2])
    return Context(trace_id, span_id, bool(int(found[3], 16) & 1))
