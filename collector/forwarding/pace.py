"""How fast records are sent: as fast as they may be, and requests leave time for it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LOOKS = 0.1  # seconds between two looks at how busy we are
BUSY = 1_000  # records a second, taken in or sent; below it nobody waits for us
TURNS, LATE = 10, 0.002  # so many turns of an event loop that is in time take less, in seconds
# Of the records that are taken in, how many are sent at the same time where both cannot be. Each
# costs somewhat less than one that is taken in.
SHARE = 0.12
FIRST, LONGER = 1 / 16, 4  # of the longest pause, and so many times as long with each late look


class Pace:
    """Spreads records over time."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate  # a second; 0 is no limit
        self._clock = clock
        self._free = 0.0

    async def spend(self, records: int) -> None:
        """Return when *records* more may go."""
        if not self._rate:
            return
        now = self._clock()
        start = max(self._free, now)
        self._free = start + records / self._rate
        await asyncio.sleep(start - now)


class Courtesy:
    """
    Lets requests go first where they share an event loop with what is sent.

    As long as records are taken in and the loop is late, there are longer and longer pauses,
    until all destinations together have a `SHARE` of what is taken in; else shorter ones, and none
    as soon as nobody sends us anything. What waits meanwhile is in the table.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._taken = 0
        self._looked = clock()
        self._free = 0.0
        self._rate = 0.0  # of records that are taken in
        self._length = 0.0  # of pauses, from 0 to 1

    def took(self, records: int) -> None:
        """Say that *records* were taken in."""
        self._taken += records

    async def pause(self, records: int) -> None:
        """Wait before *records* more are sent, if need be."""
        await self._look()
        if self._length:
            now = self._clock()
            longest = records / max(SHARE * self._rate, BUSY)
            self._free = max(self._free, now) + self._length * longest
            await asyncio.sleep(self._free - now)

    async def _look(self) -> None:
        start = self._clock()
        if (passed := start - self._looked) < LOOKS:
            return
        rate, self._taken, self._looked = self._taken / passed, 0, start
        if rate <= BUSY:
            self._length = 0.0
        elif await self._late():
            self._rate = rate
            self._length = min(max(LONGER * self._length, FIRST), 1.0)
        else:
            self._length = self._length / 2 if self._length > FIRST else 0.0

    async def _late(self) -> bool:
        """Tell whether who waits for the event loop waits for long."""
        start = self._clock()
        for _ in range(TURNS):
            await asyncio.sleep(0)
        return self._clock() - start > LATE
