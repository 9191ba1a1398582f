"""How fast records are sent: as fast as they may be, and requests leave time for it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LOOKS = 0.1  # seconds between two looks at how busy we are
BUSY = 0.8  # of the time of a processor; then requests may have to wait for us
LEAST_PAUSE, MOST_PAUSE = 0.005, 0.25  # seconds for `BATCH` records
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

    As long as the loop's thread is busy nearly all the time, pauses get longer, down to `BATCH`
    records in `MOST_PAUSE` for each destination; else they get shorter, down to none. What waits
    meanwhile is in the table.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        worked: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock = clock
        self._worked = worked
        self._seen = (clock(), worked())
        self.seconds = 0.0  # the pause for `BATCH` records

    async def pause(self, records: int) -> None:
        """Wait before *records* more are sent, if need be."""
        now, worked = self._clock(), self._worked()
        passed = now - self._seen[0]
        if passed >= LOOKS:
            if worked - self._seen[1] > BUSY * passed:
                self.seconds = min(max(2 * self.seconds, LEAST_PAUSE), MOST_PAUSE)
            else:
                self.seconds = self.seconds / 2 if self.seconds > LEAST_PAUSE else 0.0
            self._seen = (now, worked)
        if self.seconds:
            await asyncio.sleep(self.seconds * records / BATCH)
