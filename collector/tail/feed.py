"""What the hub has for one reader: a queue that never holds it up, and has an end."""

from __future__ import annotations

import asyncio
import collections
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collector.tail.events import Lines
    from storage.search import Search

MOST_RECORDS = 10_000
MOST_BYTES = 1024 * 1024  # readers of one search share them


class Feed:
    """
    The lines of *search* that wait to be taken.

    Where more would wait than may, all of them are dropped, and the feed is ``lost``: its reader
    reads the table instead.
    """

    def __init__(self, search: Search) -> None:
        self.search = search
        # Not the search itself: Python takes 1, 1.0 and true for the same.
        self.key = msgspec.json.encode(search)
        self.lost = False
        self.gone = 0  # records that were deleted before anybody could have them
        self._waiting: collections.deque[Lines] = collections.deque()
        self._records = 0
        self._bytes = 0
        self._changed = asyncio.Event()

    def put(self, lines: Lines) -> None:
        """Add *lines*, or lose the feed."""
        if self.lost:
            return
        self._waiting.append(lines)
        self._records += len(lines)
        self._bytes += lines.bytes
        # What is alone may have any size: it is there already, for others too.
        if len(self._waiting) > 1 and (self._records > MOST_RECORDS or self._bytes > MOST_BYTES):
            self.lose()
        self._changed.set()

    def lose(self) -> None:
        """Drop what waits, and take no more."""
        self.lost = True
        self._waiting.clear()
        self._changed.set()

    def miss(self, records: int) -> None:
        """Say that so many *records* will not come, for they were deleted."""
        self.gone += records
        self._changed.set()

    def wake(self) -> None:
        """Let `take` return, though nothing may wait."""
        self._changed.set()

    async def take(self, seconds: float) -> Lines | None:
        """Give the next lines, or nothing after *seconds*, or when there is something else."""
        if not self._waiting:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
        if not self._waiting:
            return None
        lines = self._waiting.popleft()
        self._records -= len(lines)
        self._bytes -= lines.bytes
        return lines
