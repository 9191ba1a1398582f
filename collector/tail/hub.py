"""
One reading of what is new, for all who follow it live.

While there are readers the hub reads what is stored, once for all: every distinct search is
evaluated in one query, and each record is encoded once. It never waits for a reader.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

import structlog

from collector.tail.events import Line, Lines
from collector.tail.feed import Feed
from storage.errors import Rejected, Unavailable
from storage.positions import BEGINNING

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncIterator, Callable

    from storage.follower import FollowedPiece, Follower, Lag
    from storage.positions import Position
    from storage.search import Search

RECORDS, BYTES = 2_000, 4 * 1024 * 1024  # of a piece
APART = 0.05  # seconds after what was new: looking more often costs more than it gives
POLLED = 1.0  # seconds, where nobody tells of commits
RETRIED = 1.0  # seconds, while the database is away
ALONE = 2  # readers that read by themselves at the same time

log = structlog.get_logger()


class Notices(Protocol):
    """Tells when something may have been stored."""

    async def changed(self, timeout: float, /) -> object:  # noqa: ASYNC109  it is how long to wait
        """Return when something has been stored, or after *timeout* seconds."""


class Hub:
    """Reads for all `joined` feeds, and lets a few readers at a time read by themselves."""

    def __init__(self, reading: Follower, notices: Notices, now: Callable[[], dt.datetime]) -> None:
        self.position = BEGINNING  # after what the feeds have had
        self.trouble: str | None = None  # why nothing can be read now
        self._reading = reading
        self._notices = notices
        self._now = now
        self._feeds: set[Feed] = set()
        self._task: asyncio.Task[None] | None = None
        self._between = asyncio.Lock()  # held while a piece is read
        self._alone = asyncio.Semaphore(ALONE)

    @asynccontextmanager
    async def joined(self, search: Search) -> AsyncIterator[Feed]:
        """
        Feed what comes after `position`, as it is when the block begins.

        Whatever is read in the block by somebody else, all that is committed later comes through
        the feed, and some of what is read may come too.
        """
        feed = Feed(search)
        # The piece that is being read is without this search, and has a snapshot of its own.
        async with self._between:
            if self._task is None:
                self.position = await self._reading.now()
                self._task = asyncio.create_task(self._follow(), name="tail")
            self._feeds.add(feed)
        try:
            yield feed
        finally:
            self._feeds.discard(feed)
            if not self._feeds and (task := self._task) is not None:
                self._task = self.trouble = None
                task.cancel()
                await asyncio.wait((task,))

    async def since(self, time: dt.datetime) -> Position:
        """Give the position before what the collector has received from *time* on."""
        return await self._reading.since(time)

    async def read(self, position: Position, search: Search) -> FollowedPiece:
        """Give what comes after *position*, to a reader of its own."""
        async with self._alone:
            return await self._reading.entries(
                position, [search], records=RECORDS, bytes=BYTES, now=self._now()
            )

    async def behind(self, position: Position) -> Lag:
        """Tell how much comes after *position*."""
        async with self._alone:
            return await self._reading.lag(position)

    async def _follow(self) -> None:
        try:
            while True:
                async with self._between:
                    more = await self._read()
                # The lock goes to who waits to join, and to us after them.
                await self._rest(more=more)
        except Exception:
            log.exception("tail_failed")
            # Each reads by itself, and starts us again when it joins.
            self._task = None
            self._lose()

    async def _read(self) -> bool:
        """Read a piece for all feeds; tell whether there is more."""
        searches: dict[bytes, list[Feed]] = {}
        for feed in self._feeds:
            if not feed.lost:
                searches.setdefault(feed.key, []).append(feed)
        groups = list(searches.values())
        try:
            piece = await self._reading.entries(
                self.position,
                [feeds[0].search for feeds in groups],
                records=RECORDS,
                bytes=BYTES,
                now=self._now(),
            )
        except Rejected:
            # One of the searches can't be asked. Each for itself, its reader will hear of it.
            self._lose()
            return False
        except Unavailable as exc:
            self._troubled(str(exc))
            return False
        self._troubled(None)
        self.position = piece.position
        self._hand_out(piece, groups)
        return piece.more

    def _hand_out(self, piece: FollowedPiece, groups: list[list[Feed]]) -> None:
        """Give to each of *groups* what its search wants."""
        wanted: list[list[Line]] = [[] for _ in groups]
        for row in piece.rows:
            line = Line.of(row)
            for place in row.wanted:
                wanted[place].append(line)
        for feeds, lines in zip(groups, wanted, strict=True):
            shared = Lines(lines)
            for feed in feeds:
                if piece.gone:
                    feed.miss(piece.gone)
                if lines:
                    feed.put(shared)

    async def _rest(self, *, more: bool) -> None:
        if self.trouble:
            await asyncio.sleep(RETRIED)
        elif more:
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(APART)
            await self._notices.changed(POLLED)

    def _troubled(self, reason: str | None) -> None:
        if (reason is None) != (self.trouble is None):
            if reason is not None:
                log.warning("tail_waits", reason=reason)
            for feed in self._feeds:
                feed.wake()
        self.trouble = reason

    def _lose(self) -> None:
        for feed in self._feeds:
            feed.lose()
