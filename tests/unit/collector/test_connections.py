"""What a connection may cost, over real sockets."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from collector import connections, server, telemetry
from collector.body import InFlight
from collector.sections import Connections, HttpServer

GOOD = b"POST /native HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"


@asynccontextmanager
async def serving(**settings):
    """Serve a page that waits for its body; gives a function that connects to it."""

    async def handler(request):
        await server.body(request, limit=1_000_000)
        return web.Response(text="fine")

    listener = server.Listener(HttpServer(endpoint="127.0.0.1:0"), [web.post("/native", handler)])
    opened = []

    async def connect():
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        opened.append(writer)
        return reader, writer

    async with server.listening(
        [listener], InFlight(10**7), shutdown_timeout=1, settings=Connections(**settings)
    ) as (url,):
        try:
            yield connect
        finally:
            for writer in opened:
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()


async def answered(reader):
    """Give the status, the body, and whether the connection ends with it."""
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        body = await reader.readexactly(length)
        status = int(head.split()[1])
        ends = status >= 400 and await reader.read() == b""
    return status, body, ends


def counted(reason):
    return telemetry.requests_refused.labels("unknown", reason)._value.get()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"POST /nat", id="half a line"),
        pytest.param(b"POST /native HTTP/1.1\r\nHost: x\r\nX: y\r\n", id="no end of the headers"),
        pytest.param(GOOD + b"POST /nat", id="after a request"),
    ],
)
async def test_a_head_has_to_come_in_time(sent):
    """
    C49: a connection whose request does not get to the end of its headers is told so and closed,
    and counted, however it goes on sending.
    """
    before = counted("too_slow")
    async with serving(read_header_timeout=0.2) as connect:
        reader, writer = await connect()
        writer.write(sent)
        if sent.startswith(GOOD):
            assert (await answered(reader))[0] == 200
        for _ in range(3):
            await asyncio.sleep(0.01)
            writer.write(b"e")
        status, body, ends = await answered(reader)

    assert (408, True) == (status, ends)
    assert json.loads(body)["detail"] == "no whole head of a request came within 0.2 s"
    assert counted("too_slow") == before + 1


async def test_a_head_in_pieces_is_a_request():
    """
    A head that comes in time in many pieces is answered, and so is what follows on its connection.
    """
    async with serving() as connect:
        reader, writer = await connect()
        for _ in range(2):
            for place in range(len(GOOD)):
                writer.write(GOOD[place : place + 1])
                await asyncio.sleep(0)
            assert (200, b"fine", False) == await answered(reader)


async def test_a_body_has_to_come_in_time():
    """
    C49: a body that does not come to its end in time is 408, and its connection ends.
    """
    async with serving(read_timeout=0.1) as connect:
        reader, writer = await connect()
        writer.write(GOOD[:-1])
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readline()

    assert head.startswith(b"HTTP/1.1 408")
    assert b"Connection: close" in head
    assert json.loads(body) == {"detail": "the body did not come to its end within 0.1 s"}


HEAD = b"POST /native HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("sent", "status", "message", "reason"),
    [
        pytest.param(
            b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            414,
            "the URL has more than 8190 bytes",
            "too_large",
            id="long URL",
        ),
        pytest.param(
            HEAD + b"Authorization: " + b"secret" * 2_000 + b"\r\n\r\n",
            431,
            "a header has more than 8190 bytes",
            "too_large",
            id="long header",
        ),
        pytest.param(
            HEAD + b"X: y\r\n" * 200 + b"\r\n",
            431,
            "there are more than 128 headers",
            "too_large",
            id="many headers",
        ),
        pytest.param(
            HEAD + (b"X: " + b"y" * 8_000 + b"\r\n") * 10,
            431,
            "the headers have more than 65536 bytes",
            "too_large",
            id="headers without end",
        ),
        pytest.param(
            b"secret\r\n\r\n",
            400,
            "this is no HTTP request: Invalid method encountered",
            "undecodable",
            id="no HTTP",
        ),
        pytest.param(
            HEAD + b"X: sec\x00ret\r\n\r\n",
            400,
            "this is no HTTP request: Invalid header value char",
            "undecodable",
            id="bad header",
        ),
    ],
)
async def test_heads_that_are_refused(sent, status, message, reason):
    """
    What is too large a head, or none, is answered in the shapes of all APIs at once, counted, and
    costs only its own connection; the answer does not repeat what was sent.
    """
    before = counted(reason)
    async with serving() as connect:
        reader, writer = await connect()
        writer.write(sent)
        found, body, ends = await answered(reader)
        reader, writer = await connect()
        writer.write(GOOD)
        after = await answered(reader)

    assert (status, True) == (found, ends)
    assert json.loads(body) == {
        "code": 3,
        "message": message,
        "detail": message,
    }
    assert counted(reason) == before + 1
    assert after[0] == 200


async def test_places_of_idle_connections_are_given_to_new_ones():
    """
    Beyond their number the connection that is idle for longest is closed, and counted; one whose
    request is under way is not, and where there is no other a new one waits for its end.
    """
    before = telemetry.connections_closed._value.get()
    async with serving(max_open=3) as connect:
        busy_reader, busy = await connect()
        busy.write(GOOD[:-1])
        oldest, newest = await connect(), await connect()
        for reader, writer in (newest, oldest, newest):
            writer.write(GOOD)
            assert (await answered(reader))[0] == 200
        begun = await connect()
        begun[1].write(GOOD[:-1])
        gone = await asyncio.wait_for(oldest[0].read(), 5)
        newest[1].write(GOOD[:-1])
        await asyncio.sleep(0.05)
        waiting = await connect()
        waiting[1].write(GOOD)
        answer = asyncio.create_task(answered(waiting[0]))
        await asyncio.sleep(0.1)
        early = answer.done()
        busy.write(b"i")
        first = await answered(busy_reader)
        last = await answer

    assert gone == b""
    assert telemetry.connections_closed._value.get() >= before + 1
    assert not early
    assert (200, 200) == (first[0], last[0])


def test_files_for_other_things(monkeypatch):
    """
    Where a process may have few files open, some are kept for all that is no connection.
    """
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: (1024, 1024))

    assert connections.Crowd(Connections()).most == 512
