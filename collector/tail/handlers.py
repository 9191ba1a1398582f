"""The path ``/tail``: who reads, what, and from where on."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from collector import telemetry
from collector.access import guard
from collector.api import parameters
from collector.api.decoding import decode
from collector.api.responses import PREFIX
from collector.api.searches import read, wanted
from collector.search.mistakes import Unfit
from collector.search.times import moment, span
from collector.tail import sse, websocket
from collector.tail.following import Following
from storage.errors import Overloaded
from storage.positions import BEGINNING, Position
from storage.search import EVERYTHING, both

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.tail.hub import Hub
    from storage.search import Search

LAST_EVENT = "Last-Event-ID"  # what EventSource sends when it connects again


class Tails:
    """Answers readers of the tail, of which there are at most *most* at a time."""

    def __init__(self, hub: Hub, most: int, now: Callable[[], dt.datetime]) -> None:
        self._hub = hub
        self._most = most
        self._now = now
        self._readers = 0

    async def tail(self, request: web.Request) -> web.StreamResponse:
        """Answer with what is stored from now on, or from a position or time."""
        given, others = decode(parameters.Tail, request.query.items())

        # One reading is for all who follow, so that each search has what its asker may see.
        permitted = guard.permitted(request)
        only = EVERYTHING if permitted is None else permitted.search

        def searched(q: str | None) -> Search:
            return both(wanted(msgspec.structs.replace(given, q=q), others), only)

        search = searched(given.q)
        if last := request.headers.get(LAST_EVENT):
            start: Position | dt.datetime | None = read(LAST_EVENT, last, _position)
        else:
            start = read("from", given.start, self._start)
        if self._readers >= self._most:
            raise Overloaded(f"{self._readers} follow the records, the most is {self._most}")
        self._readers += 1
        try:
            with telemetry.tail_clients.track_inprogress():
                position = await self._hub.since(start) if isinstance(start, dt.datetime) else start
                if request.headers.get("Upgrade", "").lower() == "websocket":
                    return await websocket.answer(request, self._hub, searched, search, position)
                return await sse.answer(request, Following(self._hub, search, position))
        finally:
            self._readers -= 1

    def _start(self, text: str) -> Position | dt.datetime | None:
        if text == "now":
            return None
        if text == "beginning":
            return BEGINNING
        for reading in (_position, lambda each: self._now() - span(each), moment):
            try:
                return reading(text)
            except (ValueError, OverflowError):
                continue
        raise Unfit("now, beginning, a position, a time, or how long ago such as 15m")


def _position(text: str) -> Position:
    try:
        return Position.parse(text)
    except ValueError:
        raise Unfit("a position that an event gave") from None


def routes(hub: Hub, most: int, now: Callable[[], dt.datetime]) -> list[web.RouteDef]:
    """Give the route, reading through *hub*; *now* is the clock, aware."""
    # Nobody who asks for the head alone wants to follow.
    return [web.get(f"{PREFIX}/tail", Tails(hub, most, now).tail, allow_head=False)]
