"""The frame around every request, over real sockets."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from google.rpc import error_details_pb2, status_pb2

from collector import errors, server
from collector.body import InFlight
from collector.control import Control
from collector.sections import Cors, HttpServer
from storage.errors import Overloaded, Rejected, Unavailable

PROTOBUF = {"Content-Type": "application/x-protobuf"}


@asynccontextmanager
async def serving(handler, cors=None):
    routes = [web.post("/v1/logs", handler), web.post("/native", handler)]
    config = HttpServer(endpoint="127.0.0.1:0", cors=cors or Cors())
    listening = server.listening(
        [server.Listener(config, routes)], InFlight(1_000), shutdown_timeout=2
    )
    async with listening as (url,), aiohttp.ClientSession(url) as client:
        yield client


def raising(exc):
    async def handler(request):
        raise exc

    return handler


async def fine(request):
    return web.Response(text="fine")


FAILURES = [
    pytest.param(errors.BadRequest("bad"), 400, 3, "bad", id="undecodable"),
    pytest.param(errors.TooLarge("big"), 413, 8, "big", id="C22 too large"),
    pytest.param(errors.UnsupportedMedia("type"), 415, 3, "type", id="C12 media"),
    pytest.param(Rejected("row"), 400, 3, "row", id="rejected by storage"),
    pytest.param(Unavailable("away"), 503, 14, "away", id="C43 database away"),
    pytest.param(Overloaded("full"), 503, 14, "full", id="C45 overloaded"),
    pytest.param(web.HTTPNotFound(text="logs only"), 404, 5, "logs only", id="C9 not found"),
    pytest.param(ValueError("secret"), 500, 13, "internal error", id="our bug"),
]


@pytest.mark.parametrize(("exc", "status", "code", "message"), FAILURES)
async def test_c38_otlp_protobuf_errors(exc, status, code, message):
    """
    C38: every error on an OTLP path is a Status in the request's encoding.
    """
    async with (
        serving(raising(exc)) as client,
        client.post("/v1/logs", headers=PROTOBUF) as response,
    ):
        answer = status_pb2.Status.FromString(await response.read())

    assert (status, "application/x-protobuf") == (response.status, response.content_type)
    assert (code, message) == (answer.code, answer.message)


@pytest.mark.parametrize(("exc", "status", "code", "message"), FAILURES)
async def test_c38_otlp_json_errors(exc, status, code, message):
    """
    C38, C12: to a JSON request, or one of unknown type, the Status is JSON.
    """
    async with serving(raising(exc)) as client, client.post("/v1/logs", json={}) as response:
        answer = await response.json()

    assert (status, "application/json") == (response.status, response.content_type)
    assert {"code": code, "message": message} == answer


@pytest.mark.parametrize(("exc", "status", "code", "message"), FAILURES)
async def test_native_errors(exc, status, code, message):
    """
    Elsewhere an error is ``{"detail": …}``.
    """
    async with serving(raising(exc)) as client, client.post("/native", json={}) as response:
        answer = await response.json()

    assert (status, {"detail": message}) == (response.status, answer)


@pytest.mark.parametrize("exc", [Unavailable("away"), Overloaded("full")])
async def test_c44_retry_after(exc):
    """
    C44, C45: what may succeed later says when to try, within today's senders' patience.
    """
    async with serving(raising(exc)) as client, client.post("/v1/logs", json={}) as response:
        assert response.headers["Retry-After"] == "1"


async def test_c42_field_violations():
    """
    C42: a 400 names the fields, in both encodings.
    """
    exc = errors.BadRequest("bad", (errors.Violation("resourceLogs[0]", "not an object"),))
    async with serving(raising(exc)) as client:
        async with client.post("/v1/logs", json={}) as response:
            as_json = await response.json()
        async with client.post("/v1/logs", headers=PROTOBUF) as response:
            status = status_pb2.Status.FromString(await response.read())
    detail = error_details_pb2.BadRequest()
    status.details[0].Unpack(detail)

    assert as_json["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [
                {"field": "resourceLogs[0]", "description": "not an object"},
            ],
        }
    ]
    assert detail.field_violations[0].field == "resourceLogs[0]"


async def test_c4_wrong_method():
    """
    C4: another method is 405 with Allow, and a Status.
    """
    async with serving(fine) as client, client.get("/v1/logs") as response:
        answer = await response.json()

    assert (response.status, response.headers["Allow"]) == (405, "POST")
    assert answer["code"] == 12


async def test_c5_connection_stays_usable():
    """
    C5: after a 4xx the same connection serves the next request.
    """
    made = []
    trace = aiohttp.TraceConfig()

    async def connected(*_):
        made.append(1)

    trace.on_connection_create_end.append(connected)
    async with (
        serving(raising(errors.BadRequest("bad"))) as client,
        aiohttp.ClientSession(client._base_url, trace_configs=[trace]) as one,
    ):
        for _ in range(3):
            async with one.post("/v1/logs", data=b"x" * 900) as response:
                await response.read()

    assert made == [1]


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        pytest.param("http://localhost:5173", True, id="local port"),
        pytest.param("https://evil.example", False, id="elsewhere"),
        pytest.param("http://localhost:1.evil.example", False, id="wildcard is a port's only"),
        pytest.param("https://app.example.com", True, id="listed"),
    ],
)
async def test_c110_cors(origin, allowed):
    """
    C110: an allowed origin's preflight and answers, errors too, carry its name; others none.
    """
    cors = Cors(allowed_origins="http://localhost:*, https://app.example.com")
    preflight = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-trace-id",
    }
    async with serving(raising(errors.BadRequest("bad")), cors) as client:
        async with client.options("/v1/logs", headers=preflight) as before:
            pass
        async with client.post("/v1/logs", headers={"Origin": origin}) as after:
            pass

    assert (before.status, after.status) == (204, 400)
    for response in (before, after):
        expected = origin if allowed else None
        assert expected == response.headers.get("Access-Control-Allow-Origin")
    if allowed:
        assert before.headers["Access-Control-Allow-Headers"] == "content-type,x-trace-id"


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        pytest.param("abc-1", True, id="as sent"),
        pytest.param("x" * 200, True, id="200 characters"),
        pytest.param("x" * 201, False, id="too long"),
        pytest.param("a b", False, id="not a token"),
    ],
)
async def test_request_id(sent, echoed):
    """
    X-Request-ID is echoed where it is a token of at most 200 characters, else made.
    """
    async with (
        serving(fine) as client,
        client.post("/native", headers={"X-Request-ID": sent}) as response,
    ):
        answered = response.headers["X-Request-ID"]

    assert echoed == (answered == sent)
    assert answered


async def test_c47_stop_finishes_what_was_accepted():
    """
    C47: at the end requests under way are answered, and new ones on open connections get
    503 or no connection.
    """
    entered, finish = asyncio.Event(), asyncio.Event()

    async def slow(request):
        entered.set()
        await finish.wait()
        return web.Response(text="done")

    listener = server.Listener(
        HttpServer(endpoint="127.0.0.1:0"), [web.post("/slow", slow), web.post("/fast", fine)]
    )
    stopping = server.listening([listener], InFlight(1_000), shutdown_timeout=5)
    (url,) = await stopping.__aenter__()
    async with aiohttp.ClientSession(url) as client:
        under_way = asyncio.create_task(client.post("/slow"))
        await entered.wait()
        stop = asyncio.create_task(stopping.__aexit__(None, None, None))
        await asyncio.sleep(0.1)
        try:
            async with client.post("/fast") as response:
                late = response.status
        except aiohttp.ClientConnectionError:
            late = 503
        finish.set()
        answered = await under_way
        await stop

        assert (answered.status, await answered.text()) == (200, "done")
        assert late == 503


async def test_a_question_ends_with_who_asked_it():
    """
    A question whose asker hangs up is cancelled, which ends its query; the next is answered.
    """
    entered, cancelled = asyncio.Event(), asyncio.Event()

    async def slow(request):
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    listener = server.Listener(
        HttpServer(endpoint="127.0.0.1:0"), [web.get("/slow", slow), web.get("/fast", fine)]
    )
    listening = server.listening([listener], InFlight(1_000), shutdown_timeout=5)
    async with listening as (url,), aiohttp.ClientSession(url) as client:
        asking = asyncio.create_task(client.get("/slow"))
        await entered.wait()
        asking.cancel()
        await asyncio.wait_for(cancelled.wait(), 5)
        async with client.get("/fast") as response:
            assert response.status == 200


async def test_what_was_sent_is_stored_whoever_hangs_up():
    """
    A request that brings something runs to its end though its sender has gone, and even a
    collector that stops waits for that.
    """
    entered, finish, stored = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(request):
        await server.body(request, limit=10)
        entered.set()
        await finish.wait()
        stored.set()
        return web.Response()

    listener = server.Listener(HttpServer(endpoint="127.0.0.1:0"), [web.post("/slow", slow)])
    in_flight = InFlight(1_000)
    async with server.listening([listener], in_flight, shutdown_timeout=5) as (url,):
        async with aiohttp.ClientSession(url) as client:
            sending = asyncio.create_task(client.post("/slow", data=b"12345"))
            await entered.wait()
            held = in_flight.held
            sending.cancel()
        await asyncio.sleep(0.05)  # until it is seen; the handler of a question would be cancelled
        asyncio.get_running_loop().call_later(0.05, finish.set)

    assert (5, 0) == (held, in_flight.held)
    assert stored.is_set()


async def test_who_is_replaced_ends_connections_with_an_answer():
    """
    A server that leaves answers one more request of each connection, and says that it was the
    last; it waits for that no longer than there are connections.
    """
    control = Control()
    config = HttpServer(endpoint="127.0.0.1:0")
    listener = server.Listener(config, [web.post("/native", fine)])
    listening = server.listening([listener], InFlight(9), shutdown_timeout=60, control=control)
    (url,) = await listening.__aenter__()
    async with aiohttp.ClientSession(url) as client:
        async with client.post("/native") as before:
            await before.read()
        control.leave()
        leaving = asyncio.create_task(listening.__aexit__(None, None, None))
        await asyncio.sleep(0)
        async with client.post("/native") as last:
            await last.read()
        await asyncio.wait_for(leaving, 10)
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.post("/native")

    assert [200, 200] == [before.status, last.status]
    assert "Connection" not in before.headers
    assert last.headers["Connection"] == "close"


async def test_a_taken_port_is_an_os_error():
    """
    An endpoint that is taken fails at once.
    """
    async with serving(fine) as client:
        taken = HttpServer(endpoint=f"127.0.0.1:{client._base_url.port}")
        with pytest.raises(OSError, match=r"(?i)address already in use"):
            async with server.listening(
                [server.Listener(taken, [])], InFlight(1), shutdown_timeout=1
            ):
                pass
