"""An HTTP server over a real socket that answers as a test says, and keeps what it was sent."""

from __future__ import annotations

import asyncio
import gzip
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web
from backports import zstd

INFLATE = {"gzip": gzip.decompress, "zstd": zstd.decompress}


class Request(msgspec.Struct):
    """What came in, inflated."""

    path: str
    headers: dict[str, str]
    body: bytes


class Reply(msgspec.Struct):
    """What goes out."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = {}
    after: float = 0  # seconds


CUT = "cut"  # the connection, before an answer
GARBAGE = "garbage"  # instead of HTTP
TORN = "torn"  # the connection, in the middle of the answer


class Scripted:
    """Answers with what *rule* gives for a `Request`, or does as CUT, GARBAGE and TORN say."""

    def __init__(self):
        self.rule = lambda _request: Reply()
        self.requests = []
        self.url = ""

    async def handle(self, request):
        raw = await request.read()
        inflate = INFLATE.get(request.headers.get("Content-Encoding", ""), bytes)
        received = Request(request.path_qs, dict(request.headers), inflate(raw))
        self.requests.append(received)
        answer = self.rule(received)
        if isinstance(answer, str):
            if answer != CUT:
                head = b"\x00\x01 no HTTP\r\n\r\n"
                if answer == TORN:
                    head = b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"hal'
                request.transport.write(head)
                await asyncio.sleep(0.01)
            request.transport.abort() if answer == CUT else request.transport.close()
            return web.Response()
        await asyncio.sleep(answer.after)
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


@asynccontextmanager
async def scripted(rule=None, *, ssl_context=None, port=0):
    """Serve on loopback inside the block; gives the `Scripted`."""
    there = Scripted()
    there.rule = rule or there.rule
    app = web.Application(client_max_size=100_000_000)
    app.router.add_route("*", "/{path:.*}", there.handle)
    runner = web.AppRunner(app, auto_decompress=False, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=ssl_context)
        await site.start()
        scheme = "https" if ssl_context else "http"
        there.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
        yield there
    finally:
        await runner.cleanup()
