"""How much each key may send: buckets that fill at a rate, and hold what comes in two seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from collector.errors import TooMany

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.sections import RateLimits

BURST = 2.0  # seconds of its rate that may come at once


class Bucket:
    """What may still be taken; a request that is larger than that leaves it a debt."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._level = self._most = max(rate * BURST, 1.0)
        self._at = now

    def wait(self, now: float) -> float:
        """Give the seconds until something may be taken; 0 is now."""
        self._level = min(self._most, self._level + (now - self._at) * self._rate)
        self._at = now
        return max(0.0, (1.0 - self._level) / self._rate)  # one may be taken, and be a larger one

    def take(self, number: float) -> None:
        """Take so many."""
        self._level -= number


class Rates:
    """The buckets of every key, by its id; a limit of 0 is none."""

    def __init__(self, limits: RateLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = {
            name: rate
            for name, rate in (("requests", limits.requests), ("bytes", limits.bytes))
            if rate > 0
        }
        self._clock = clock
        self._of: dict[int, dict[str, Bucket]] = {}

    def admit(self, key: int, name: str) -> None:
        """
        Count a request of *key*, which has that *name*.

        Raises:
            TooMany: it has sent more than it may; the request is not counted.
        """
        if not self._limits:
            return
        now = self._clock()
        if (buckets := self._of.get(key)) is None:
            buckets = {each: Bucket(rate, now) for each, rate in self._limits.items()}
            self._of[key] = buckets
        for each, bucket in buckets.items():
            if (wait := bucket.wait(now)) > 0:
                limit = f"{self._limits[each]:g} {each} a second"
                raise TooMany(f"key {name} may send {limit}", wait)
        if "requests" in buckets:
            buckets["requests"].take(1)

    def sent(self, key: int, size: int) -> None:
        """Count the bytes of a request."""
        if "bytes" in self._limits and key in self._of:
            self._of[key]["bytes"].take(size)
