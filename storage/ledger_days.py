"""
The days of the ledger that a position has seen to their end, so that no query looks there.

A day is over for good when every transaction that can have written rows of it is. Rows of the
ledger have the time at which they were written, so by then their transactions had numbers.
Some time later, when all numbers that were given before are of transactions that have ended, the
highest one of the day says which positions have seen all of it.
"""

from __future__ import annotations

import datetime as dt
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from storage import partitions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from storage.positions import Snapshot

OFTEN, SELDOM = 5.0, 3600.0  # seconds from one look to the next, until days are known and after
# Clocks may be set back.
MARGIN = 2 * partitions.DAY

# Before a snapshot is taken, as for log_entries: rows may be moved to a partition of their own.
STILL = "LOCK TABLE ledger IN ACCESS SHARE MODE"
BEGIN = f"""
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL plan_cache_mode = force_custom_plan;
{STILL}
"""
NOW = "SELECT pg_snapshot_xmin(pg_current_snapshot()), now()"
OLDEST = "SELECT min(received_at) FROM ledger"
HIGHEST = """
SELECT xid FROM ledger WHERE received_at >= $1 AND received_at < $2 ORDER BY xid DESC LIMIT 1
"""
MARK = "SELECT pg_current_xact_id()"


class Days:
    """Knows the days that are over, and the highest transaction of each."""

    def __init__(self) -> None:
        self._highest: dict[dt.date, int] = {}  # 0 where there is none; in order
        self._first = dt.datetime.min.replace(tzinfo=dt.UTC)  # before it there is nothing
        self._mark: tuple[int, dt.date] | None = None  # numbers below it were given before the day
        self._next = 0.0

    def start(self, seen: Snapshot) -> dt.datetime:
        """Give a time before which *seen* has all of the ledger."""
        start = self._first
        lowest = min((seen.xmax, *seen.running))
        for day, highest in self._highest.items():
            if highest >= lowest:
                break
            start = partitions.start(day + partitions.DAY)
        return start

    async def look(self, pool: asyncpg.Pool) -> None:
        """Learn which days are over, if it is time to."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + OFTEN
        async with _locked(pool) as connection:
            oldest, now = await connection.fetchrow(NOW)
            if self._mark is not None and oldest >= self._mark[0]:
                await self._close(connection, self._mark[1] - MARGIN)
                self._next = time.monotonic() + SELDOM
            self._mark = await connection.fetchval(MARK), now.astimezone(dt.UTC).date()

    async def _close(self, connection: Any, last: dt.date) -> None:
        """Learn the highest numbers of the days up to *last*."""
        oldest = await connection.fetchval(OLDEST)
        day = last + partitions.DAY
        if oldest is not None and oldest < partitions.start(day):
            day = max(oldest.astimezone(dt.UTC).date(), partitions.EARLIEST)
        known, self._highest = self._highest, {}
        self._first = partitions.start(day) if day > partitions.EARLIEST else self._first
        while day <= last:
            highest = known.get(day)
            if highest is None:
                times = partitions.start(day), partitions.start(day + partitions.DAY)
                highest = await connection.fetchval(HIGHEST, *times) or 0
            self._highest[day] = highest
            day += partitions.DAY


@asynccontextmanager
async def _locked(pool: asyncpg.Pool) -> AsyncIterator[Any]:
    async with pool.acquire() as connection:
        await connection.execute(BEGIN)
        try:
            yield connection
        finally:
            await connection.execute("ROLLBACK")
