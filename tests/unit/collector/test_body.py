"""Reading bodies, over real sockets."""

from __future__ import annotations

import gzip
import zlib
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from backports import zstd

from collector import body, server
from collector.body import HELD, InFlight
from collector.sections import HttpServer
from storage.errors import Overloaded

LIMIT = 1_000_000
TEXT = b"hello world " * 1_000


@asynccontextmanager
async def echo(in_flight=None, limit=LIMIT):
    """Serve a page that answers the length and the checksum of what it was sent."""

    async def handler(request):
        data = await server.body(request, limit=limit)
        return web.json_response([len(data), zlib.crc32(data)])

    routes = [web.post("/v1/logs", handler), web.post("/native", handler)]
    listener = server.Listener(HttpServer(endpoint="127.0.0.1:0"), routes)
    async with (
        server.listening([listener], in_flight or InFlight(10 * LIMIT), shutdown_timeout=1) as (
            url,
        ),
        aiohttp.ClientSession(url) as client,
    ):
        yield client


async def post(client, data, encoding=None, path="/native", **headers):
    if encoding is not None:
        headers["Content-Encoding"] = encoding
    async with client.post(path, data=data, headers=headers) as response:
        return response.status, await response.json(content_type=None)


def raw_deflate(data):
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        pytest.param(None, TEXT, id="C15 no Content-Encoding"),
        pytest.param("identity", TEXT, id="C15 identity"),
        pytest.param("gzip", gzip.compress(TEXT), id="C14 gzip"),
        pytest.param("GZIP", gzip.compress(TEXT), id="C21 upper case"),
        pytest.param(
            "gzip", gzip.compress(TEXT[:999]) + gzip.compress(TEXT[999:]), id="C19 two members"
        ),
        pytest.param("zstd", zstd.compress(TEXT), id="C18 zstd"),
        pytest.param(
            "zstd", zstd.compress(TEXT[:999]) + zstd.compress(TEXT[999:]), id="C18 two frames"
        ),
        pytest.param("deflate", zlib.compress(TEXT), id="C18 deflate"),
        pytest.param("deflate", raw_deflate(TEXT), id="C18 deflate without its wrapper"),
    ],
)
async def test_encodings(encoding, body):
    """
    A body arrives as it was before its Content-Encoding.
    """
    async with echo() as client:
        answer = await post(client, body, encoding)

    assert (200, [len(TEXT), zlib.crc32(TEXT)]) == answer


async def chunks(data, size=100):
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("encoding", [None, "gzip", "zstd"])
async def test_c6_chunked(encoding):
    """
    C6: a body without Content-Length arrives whole, compressed or not.
    """
    compress = {None: bytes, "gzip": gzip.compress, "zstd": zstd.compress}[encoding]
    async with echo() as client:
        answer = await post(client, chunks(compress(TEXT)), encoding)

    assert (200, [len(TEXT), zlib.crc32(TEXT)]) == answer


@pytest.mark.parametrize(
    ("encoding", "body", "message"),
    [
        pytest.param("gzip", TEXT, "not valid gzip", id="plain text as gzip"),
        pytest.param("gzip", gzip.compress(TEXT)[:-4], "ends before", id="gzip without its end"),
        pytest.param("gzip", gzip.compress(TEXT)[:20], "ends before", id="half of gzip"),
        pytest.param("gzip", gzip.compress(TEXT) + b"junk", "goes on", id="junk after gzip"),
        pytest.param("gzip", b"", "ends before", id="nothing as gzip"),
        pytest.param("zstd", TEXT, "not valid zstd", id="plain text as zstd"),
        pytest.param("zstd", zstd.compress(TEXT)[:-4], "ends before", id="zstd without its end"),
        pytest.param("deflate", zlib.compress(TEXT)[:-4], "ends before", id="half of deflate"),
    ],
)
async def test_c16_corrupt(encoding, body, message):
    """
    C16: compressed data that is corrupt or ends early is 400, and says which.
    """
    async with echo() as client:
        status, answer = await post(client, body, encoding)

    assert status == 400
    assert message in answer["detail"]


async def test_c17_unknown_encoding():
    """
    C17: a Content-Encoding we don't have is 415 and says what may be sent.
    """
    async with (
        echo() as client,
        client.post("/native", data=b"x", headers={"Content-Encoding": "br"}) as response,
    ):
        assert response.status == 415
        assert response.headers["Accept-Encoding"] == "gzip, deflate, zstd"


@pytest.mark.parametrize(
    ("size", "encoding", "status"),
    [
        pytest.param(LIMIT, None, 200, id="C25 exactly the limit"),
        pytest.param(LIMIT + 1, None, 413, id="C25 one more"),
        pytest.param(LIMIT, "gzip", 200, id="C25 exactly the limit, inflated"),
        pytest.param(LIMIT + 1, "gzip", 413, id="C25 one more, inflated"),
        pytest.param(100 * LIMIT, "gzip", 413, id="C23 a gzip bomb"),
        pytest.param(100 * LIMIT, "zstd", 413, id="C23 a zstd bomb"),
        pytest.param(100 * LIMIT, "deflate", 413, id="C23 a deflate bomb"),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
async def test_limit(size, encoding, status, chunked):
    """
    C22-C25: the limit is of the inflated body, to the byte.
    """
    compress = {None: bytes, "gzip": gzip.compress, "zstd": zstd.compress, "deflate": zlib.compress}
    body = compress[encoding](bytes(size))
    async with echo() as client:
        answer = await post(client, chunks(body, 10_000) if chunked else body, encoding)

    assert status == answer[0]


async def test_bytes_in_flight_are_bounded():
    """
    C29: what would exceed the bytes in flight is 503 with Retry-After; they are free again
    after the answer.
    """
    in_flight = InFlight(1_000)
    async with echo(in_flight) as client:
        async with client.post("/native", data=b"x" * 1_001) as refused:
            after = refused.headers["Retry-After"]
        taken = await post(client, b"x" * 1_000)

    assert (refused.status, after) == (503, "1")
    assert taken[0] == 200
    assert in_flight.held == 0


class Request(dict):
    """What `InFlight` uses of a request."""


@pytest.fixture(name="waiting")
def _waiting(monkeypatch):
    """Make of a size a request that waits, and of a request and seconds its answer."""
    now = 0.0
    monkeypatch.setattr(body.time, "monotonic", lambda: now)
    in_flight = InFlight(2**30, longest_wait=1.0)

    def wait(size):
        in_flight.take(request := Request({HELD: 0}), size)
        in_flight.wait(request)
        return request

    def answer(request, after):
        nonlocal now
        now += after
        in_flight.release(request, stored=True)

    return in_flight, wait, answer


def admitted(in_flight):
    try:
        in_flight.admit()
    except Overloaded:
        return False
    return True


def test_what_would_wait_for_too_long_is_refused(waiting):
    """
    C45: no more is taken than is stored in time, going by how long it takes, which changes.
    """
    in_flight, wait, answer = waiting
    for _ in range(99):  # a MB in two seconds
        answer(wait(1_000_000), after=2.0)
    slow = in_flight.room
    first = [wait(100_000) for _ in range(body.FEW - 1)]
    few = admitted(in_flight)
    first.append(wait(100_000))
    refused = not admitted(in_flight)
    for _ in range(99):  # and now in a tenth of one
        for each in first:
            answer(each, after=0.01)
        first = [wait(100_000) for _ in range(body.FEW)]

    assert slow == pytest.approx(body.LEAST_ROOM, rel=0.1)
    assert few  # whatever they take, they are few
    assert refused
    assert admitted(in_flight)
    assert in_flight.room > 2 * slow


def test_little_that_was_quick_tells_nothing_of_more(waiting):
    """
    What is stored in time is not reckoned from requests that had nothing to wait for.
    """
    in_flight, wait, answer = waiting
    for _ in range(99):
        answer(wait(100), after=0.001)

    assert in_flight.room == body.FIRST_ROOM


def test_a_large_body_keeps_nobody_waiting(waiting):
    """
    Others wait for one turn of a large body, so that they are taken while it is stored.
    """
    in_flight, wait, _ = waiting
    wait(60_000_000)

    assert admitted(in_flight)
