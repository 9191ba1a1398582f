"""A client that costs little: prepared requests over keep-alive connections."""

from __future__ import annotations

import asyncio
import itertools
import time
from urllib.parse import urlsplit


class Connection(asyncio.Protocol):
    """Sends a request when the answer to the one before is complete."""

    def __init__(self, requests, latencies, done):
        self.requests, self.latencies, self.done = requests, latencies, done
        self.buffer = b""

    def connection_made(self, transport):
        self.transport = transport
        self.send()

    def send(self):
        request = next(self.requests, None)
        if request is None:
            self.transport.close()
            self.done.set_result(None)
            return
        self.start = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data):
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        if len(rest) < length:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(AssertionError(self.buffer[:500]))
            self.transport.close()
            return
        self.buffer = b""
        self.latencies.append(time.perf_counter() - self.start)
        self.send()

    def connection_lost(self, exc):
        if not self.done.done():
            self.done.set_exception(exc or ConnectionResetError("closed by the server"))


def request(url, content_type, body, headers=None):
    """Put a whole HTTP request together."""
    parts = urlsplit(url)
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    )
    return head.encode() + body


async def run(url, requests, number, connections):
    """
    Send *number* requests, those given over and over, on some connections at once.

    Gives the seconds it took and the latencies, sorted.
    """
    parts = urlsplit(url)
    shared = iter(itertools.islice(itertools.cycle(requests), number))
    latencies = []
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    waiting = []
    for _ in range(connections):
        done = loop.create_future()
        await loop.create_connection(
            lambda done=done: Connection(shared, latencies, done), parts.hostname, parts.port
        )
        waiting.append(done)
    await asyncio.gather(*waiting)
    return time.perf_counter() - start, sorted(latencies)
