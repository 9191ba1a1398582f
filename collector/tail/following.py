"""
One reader's way: alone through what was stored before, then with all others.

After it has joined the hub the reader reads by itself once more, and has then all that the hub
will not bring. What the hub brings of that again is left out, as positions tell. So it has each
record once, whatever is committed in whatever order meanwhile.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from collector import telemetry
from collector.tail.events import Behind, CaughtUp, Gone, Lines, Reached
from storage import restriction
from storage.errors import Unavailable
from storage.positions import BEGINNING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from collector.tail.events import Event
    from collector.tail.feed import Feed
    from collector.tail.hub import Hub
    from storage.positions import Position
    from storage.search import Search

ALIVE = 15.0  # seconds; proxies cut what is silent for half a minute
RETRIED = 1.0  # seconds, while the database is away
HISTORY = "what was stored before is read first"
SLOW = "more was stored than was taken"


class Following:
    """Follows *search* after *position*, which is None for now."""

    def __init__(self, hub: Hub, search: Search, position: Position | None) -> None:
        self._hub = hub
        self._search = search
        self._from_now = position is None
        self._position = BEGINNING if position is None else position
        self._behind = False

    async def events(self) -> AsyncGenerator[Event, None]:
        """
        Give what there is to tell, without end.

        Raises:
            Unavailable: the database is away, and nothing was given yet.
            Rejected: the search can't be asked.
        """
        told = False
        while True:
            try:
                async with aclosing(self._once()) as events:
                    async for event in events:
                        yield event
                        told = True
                telemetry.tail_behind.inc()
                yield await self._fall_behind(SLOW)
            except Unavailable as exc:
                if not told:
                    raise
                if not self._behind:
                    self._behind = True
                    yield Behind(str(exc))
                else:
                    yield Reached(self._position)
                await asyncio.sleep(RETRIED)

    async def _once(self) -> AsyncGenerator[Event, None]:
        """Go on from the position until others are too quick for this reader."""
        if not self._from_now:
            async for event in self._alone():
                yield event
        async with self._hub.joined(self._search) as feed:
            if self._from_now:
                self._position = self._hub.position
                self._from_now = False
            else:  # what has come before we joined
                async for event in self._alone():
                    yield event
            if not feed.lost:
                self._behind = False
                yield CaughtUp(self._position)
            async for event in self._shared(feed):
                yield event

    async def _alone(self) -> AsyncGenerator[Event, None]:
        """Read until nothing more is there."""
        more = True
        while more:
            piece = await self._hub.read(self._position, self._search)
            more = piece.more
            if more and not self._behind:
                yield await self._fall_behind(HISTORY)
            self._position = piece.position
            if piece.gone:
                yield Gone(piece.gone)
            if piece.rows:
                yield Lines.of(piece.rows)
            elif more:
                yield Reached(piece.position)

    async def _shared(self, feed: Feed) -> AsyncGenerator[Event, None]:
        """Take from *feed* until it is lost."""
        had: Position | None = self._position  # None: the hub is past all of it
        while not feed.lost:
            if feed.gone:
                gone, feed.gone = feed.gone, 0
                yield Gone(gone)
                continue
            trouble = self._hub.trouble
            if trouble is not None and not self._behind:
                self._behind = True
                yield Behind(trouble)
                continue
            if trouble is None and self._behind:
                self._behind = False
                yield CaughtUp(self._position)
                continue
            lines = await feed.take(ALIVE)
            if feed.lost:
                break
            hub = self._hub.position if lines is None else lines.first
            if had is not None and hub.seen | had.seen == hub.seen:
                had = None
            if lines is None:
                # Nothing waits: all that the hub has gone past was given, or isn't wanted.
                self._position = hub if had is None else self._position
                yield Reached(self._position)
            elif had is None or (lines := lines.beyond(had)) is not None:
                self._position = lines.position
                yield lines

    async def _fall_behind(self, reason: str) -> Behind:
        self._behind = True
        if restriction.current.get() is not None:  # it is of all records, whoever may see them
            return Behind(reason)
        lag = await self._hub.behind(self._position)
        return Behind(reason, lag.records, lag.seconds)
