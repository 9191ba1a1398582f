"""How fast records are sent: as fast as they may be, and requests leave time for it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LOOKS = 0.1  # seconds between two looks at how busy we are
BUSY = 1_000  # records a second that are taken in; below it nobody waits for us
LATE = 0.001  # seconds that a turn of the event loop may take
LEAST_PAUSE, MOST_PAUSE = 0.005, 0.35  # seconds for `BATCH` records
BATCH = 1_000


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

    As long as records are taken in and the loop is late, there are longer and longer pauses, up
    to `MOST_PAUSE` for `BATCH` records of all destinations together; else shorter ones, and none
    at last. What waits meanwhile is in the table.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._taken = 0
        self._looked = clock()
        self._free = 0.0
        self.seconds = 0.0  # the pause for `BATCH` records

    def took(self, records: int) -> None:
        """Say that *records* were taken in."""
        self._taken += records

    async def pause(self, records: int) -> None:
        """Wait before *records* more are sent, if need be."""
        passed = self._clock() - self._looked
        if passed >= LOOKS:
            rate, self._taken, self._looked = self._taken / passed, 0, self._clock()
            if rate > BUSY and await self._late():
                self.seconds = min(max(2 * self.seconds, LEAST_PAUSE), MOST_PAUSE)
            else:
                self.seconds = self.seconds / 2 if self.seconds > LEAST_PAUSE else 0.0
        if self.seconds:
            now = self._clock()
            self._free = max(self._free, now) + self.seconds * records / BATCH
            await asyncio.sleep(self._free - now)

    async def _late(self) -> bool:
        """Tell whether who waits for the event loop waits for long."""
        start = self._clock()
        await asyncio.sleep(LATE)
        return self._clock() - start > 2 * LATE
