"""
The tail as Server-Sent Events, as ``EventSource`` reads them.

A record is an event without a name, with the position after it as its id; others have names.
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from collector import server, telemetry
from collector.tail.events import CaughtUp, Gone, Lines, Reached
from collector.tail.until import until
from storage.errors import Unavailable

if TYPE_CHECKING:
    from collector.tail.events import Event
    from collector.tail.following import Following

STALLED = 60.0  # seconds in which a reader takes nothing; then it is cut off
SLICE = 64 * 1024  # bytes of which a reader takes some in that time
FAREWELL = 1.0  # seconds for the last words
RETRY = b"retry: 1000\n\n"  # milliseconds until a browser connects again
BYE = b'event: bye\ndata: {"reason":"this process of the collector is stopping"}\n\n'
HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would keep events back
}


async def answer(request: web.Request, following: Following) -> web.StreamResponse:
    """Answer with events until the reader hangs up or the collector stops."""
    stopping = request.app[server.STOPPING]
    async with aclosing(following.events()) as events:
        async with until(stopping):
            # What goes wrong before the first event has a status of its own.
            first = await anext(events)
        if stopping.is_set():
            raise Unavailable("the collector is stopping")
        response = web.StreamResponse(headers=HEADERS | server.headers(request))
        await response.prepare(request)
        stream = Stream(response)
        try:
            # When the process leaves, and not at its very end: others are there by then.
            async with until(request.app[server.LEAVING]):
                await stream.send(RETRY + written(first))
                async for event in events:
                    await stream.send(written(event))
                    if isinstance(event, Lines):
                        telemetry.tail_records.inc(len(event))
            await stream.end(BYE)
        except BaseException:
            # Without an end nobody takes this for all there is.
            if request.transport is not None:
                request.transport.abort()
            raise
    return response


class Stream:
    """Sends events to a reader that may be slow."""

    def __init__(self, response: web.StreamResponse) -> None:
        self._response = response
        self._within = False  # an event, of which a part is sent

    async def send(self, data: bytes) -> None:
        """Return when there is room for more."""
        self._within = True
        for start in range(0, len(data), SLICE):
            try:
                async with asyncio.timeout(STALLED):
                    await self._response.write(data[start : start + SLICE])
            except TimeoutError as exc:
                raise ConnectionResetError(f"nothing was taken for {STALLED:g} s") from exc
        self._within = False

    async def end(self, data: bytes) -> None:
        """Send the last event, or break off where it would get into another one."""
        if self._within:
            raise ConnectionResetError("the collector is stopping")
        async with asyncio.timeout(FAREWELL):
            await self._response.write(data)
            await self._response.write_eof()


def written(event: Event) -> bytes:
    """Give *event* as it is sent."""
    if isinstance(event, Lines):
        return event.events
    if isinstance(event, CaughtUp | Reached):
        name = b"caught_up" if isinstance(event, CaughtUp) else b"position"
        position = str(event.position).encode()
        return b'id: %b\nevent: %b\ndata: {"position":"%b"}\n\n' % (position, name, position)
    name = b"gone" if isinstance(event, Gone) else b"behind"
    return b"event: %b\ndata: %b\n\n" % (name, msgspec.json.encode(event))
