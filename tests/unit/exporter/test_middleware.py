"""One HTTP request and its answer, as a log tells of it: over sockets, in both frameworks."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import uuid

import aiohttp
import pytest
import structlog
import uvicorn
from aiohttp import web
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from pixsim_otel.bridge import OTelProcessor
from pixsim_otel.context import get_logger
from pixsim_otel.middleware.aiohttp import setup
from pixsim_otel.middleware.asgi import RequestLogging
from pixsim_otel.middleware.exchange import Exchange

from tests.unit.exporter.providers import Provider

TRACER = TracerProvider().get_tracer(__name__)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


async def work(path):
    """What both services do; gives a status, or raises."""
    get_logger().info("working")
    if path == "/broken":
        raise RuntimeError("no")
    if path == "/leaking":
        structlog.contextvars.bind_contextvars(user_id=5)
    if path == "/endless":
        await asyncio.Event().wait()
    return 404 if path == "/missing" else 200


@contextlib.asynccontextmanager
async def aiohttp_service():
    async def handle(request):
        if await work(request.path) == 404:
            raise web.HTTPNotFound
        if request.path == "/stream":
            answer = web.StreamResponse()
            await answer.prepare(request)
            await answer.write(b"streamed")
            return answer
        return web.Response(text="done")

    app = web.Application()
    setup(app)
    app.router.add_get("/{path}", handle)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield "http://{}:{}".format(*runner.addresses[0])
    finally:
        await runner.cleanup()


async def asgi_app(scope, receive, send):
    if scope["type"] != "http":
        raise AssertionError(scope["type"])
    assert scope["state"]["request_id"]
    await receive()  # the request
    if scope["path"] == "/endless":
        assert await receive() == {"type": "http.disconnect"}
        raise asyncio.CancelledError  # as frameworks do to a handler whose client left
    status = await work(scope["path"])
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


@contextlib.asynccontextmanager
async def asgi_service():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        config = uvicorn.Config(RequestLogging(asgi_app), lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield "http://{}:{}".format(*listening.getsockname())
        finally:
            server.should_exit = True
            await serving


@pytest.fixture
def records():
    """What is logged, as it would be queued."""
    provider = Provider()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            OTelProcessor(provider),
            lambda *_: "",
        ],
        logger_factory=structlog.ReturnLoggerFactory(),
    )
    return provider.direct


@pytest.fixture(params=[aiohttp_service, asgi_service], ids=["aiohttp", "asgi"])
def service(request, records):
    """Give a context with a function that sends a request and gives its answer."""

    @contextlib.asynccontextmanager
    async def running():
        async with request.param() as url, aiohttp.ClientSession() as session:

            async def get(path, **headers):
                async with session.get(url + path, headers=headers) as answer:
                    await answer.read()
                    return answer

            yield get

    return running


async def test_request(service, records):
    """One line tells of a request: method, path with query, status and milliseconds."""
    async with service() as get:
        await get("/ok?a=1&b", **{"X-Client-Surface": "viewer"})

    working, line = records
    assert working.body == "working"
    assert (line.body, line.severity_text) == ("http_request", "INFO")
    assert {
        "method": "GET",
        "path": "/ok?a=1&b",
        "status_code": 200,
        "client_surface": "viewer",
        "duration_ms": line.attributes["duration_ms"],
        "request_id": line.attributes["request_id"],
    } == line.attributes
    assert type(line.attributes["duration_ms"]) is int


async def test_new_ids(service, records):
    """A request without ids gets some, which its records have and its answer returns."""
    async with service() as get:
        answer = await get("/ok")

    request_id, trace_id = answer.headers["X-Request-ID"], answer.headers["X-Trace-ID"]
    assert uuid.UUID(request_id).version == 4
    assert re.fullmatch("[0-9a-f]{32}", trace_id)
    assert {(request_id, int(trace_id, 16))} == {
        (record.attributes["request_id"], record.trace_id) for record in records
    }


async def test_ids_of_the_caller(service, records):
    """Ids that the caller sends are taken over and returned."""
    async with service() as get:
        answer = await get("/ok", **{"X-Request-ID": " r-1 ", "X-Trace-ID": "t-1"})

    assert ("r-1", "t-1") == (answer.headers["X-Request-ID"], answer.headers["X-Trace-ID"])
    assert {("r-1", "t-1")} == {
        (record.attributes["request_id"], record.attributes["trace_id"]) for record in records
    }


@pytest.mark.parametrize("bad", ["", "x" * 201, "ä"])
async def test_bad_ids(service, records, bad):
    """An id that is empty, too long or no plain text is replaced."""
    async with service() as get:
        answer = await get("/ok", **{"X-Request-ID": bad})

    assert uuid.UUID(answer.headers["X-Request-ID"]).version == 4
    assert answer.headers["X-Request-ID"] == records[-1].attributes["request_id"]


async def test_traceparent(service, records):
    """The trace of a W3C caller is that of the records, and is returned."""
    async with service() as get:
        answer = await get("/ok", traceparent=TRACEPARENT, **{"X-Trace-ID": "other"})

    assert {(int(TRACE, 16), 0xF067AA0BA902B7)} == {
        (record.trace_id, record.span_id) for record in records
    }
    assert (TRACE, TRACEPARENT) == (
        answer.headers["X-Trace-ID"],
        answer.headers["traceparent"],
    )


@pytest.mark.parametrize("bad", ["", "00-0-0-01", f"ff-{TRACE}-00f067aa0ba902b7-01"])
async def test_bad_traceparent(service, records, bad):
    """A traceparent that says nothing is as none."""
    async with service() as get:
        answer = await get("/ok", traceparent=bad)

    assert "traceparent" not in answer.headers
    assert int(answer.headers["X-Trace-ID"], 16) == records[-1].trace_id


async def test_own_span(service, records):
    """Where a span is current already its trace goes before the caller's."""
    with TRACER.start_as_current_span("request") as span:
        async with service() as get:
            await get("/ok", traceparent=TRACEPARENT)

    assert {span.get_span_context().span_id} == {record.span_id for record in records}


async def test_refusal(service, records):
    """An answer that is no success is told as any other, however it was made."""
    async with service() as get:
        answer = await get("/missing")

    assert (404, "INFO") == (records[-1].attributes["status_code"], records[-1].severity_text)
    assert answer.headers["X-Request-ID"] == records[-1].attributes["request_id"]


async def test_failure(service, records):
    """A handler that raises is told as an error, with what it raised."""
    async with service() as get:
        answer = await get("/broken")

    line = records[-1]
    assert 500 == answer.status == line.attributes["status_code"]
    assert ("ERROR", "RuntimeError", "no") == (
        line.severity_text,
        line.attributes["error_type"],
        line.attributes["error"],
    )


async def test_client_leaves(service, records):
    """A request whose client doesn't wait for the answer is told as that."""
    async with service() as get:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(get("/endless"), 0.2)

    assert ("http_request", 499) == (records[-1].body, records[-1].attributes["status_code"])


async def test_context_ends_with_the_request(service, records):
    """What a handler binds is not said of the next request on the same connection."""
    async with service() as get:
        await get("/leaking")
        await get("/ok")

    said = [(record.body, record.attributes.get("user_id")) for record in records]
    assert [
        ("working", None),
        ("http_request", 5),
        ("working", None),
        ("http_request", None),
    ] == said
    assert records[0].attributes["request_id"] != records[2].attributes["request_id"]


async def test_context_before_the_request(service, records):
    """What was bound before is said of all requests, and still bound after them."""
    with structlog.contextvars.bound_contextvars(instance="a"):
        async with service() as get:
            await get("/leaking")
            await get("/ok")

    assert {"a"} == {record.attributes["instance"] for record in records}


def test_context_of_the_task(records):
    """A task that serves one request after another has its own context between them."""
    with structlog.contextvars.bound_contextvars(instance="a", user_id=1):
        with Exchange("GET", "/", {"traceparent": TRACEPARENT}).running(get_logger()):
            structlog.contextvars.bind_contextvars(user_id=5, leaked=True)

        assert {"instance": "a", "user_id": 1} == structlog.contextvars.get_contextvars()
        assert not trace.get_current_span().get_span_context().is_valid

    assert ("a", 5) == (records[0].attributes["instance"], records[0].attributes["user_id"])


async def test_streams_have_ids(records):
    """An answer that begins before its handler ends has the ids too."""
    async with (
        aiohttp_service() as url,
        aiohttp.ClientSession() as session,
        session.get(f"{url}/stream") as answer,
    ):
        assert await answer.read() == b"streamed"

    assert answer.headers["X-Request-ID"] == records[-1].attributes["request_id"]


async def test_other_scopes():
    """What is no HTTP request passes by."""
    seen = []

    async def app(scope, _receive, _send):
        seen.append((scope, structlog.contextvars.get_contextvars()))

    await RequestLogging(app)({"type": "lifespan"}, None, None)

    assert [({"type": "lifespan"}, {})] == seen
