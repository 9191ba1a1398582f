"""
The time that retention counts from: a clock that is wrong deletes nothing.

It is the earlier of the collector's and the database's. When that has jumped ahead by more than a
day since somebody last looked, nobody can tell a clock that is wrong from a collector that was
stopped: so the time before the jump counts on, until the new one has stood for a day, or somebody
says that it is right.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec

from storage.errors import translated

if TYPE_CHECKING:
    import asyncpg

JUMP = dt.timedelta(days=1)  # ahead, since the last look, which is every ten minutes
PATIENCE = dt.timedelta(days=1)  # that a time after a jump has to stand

EARLIER = "SELECT least($1, now())"
READ = "SELECT counted, seen, jumped_at FROM retention_clock"
WRITE = "UPDATE retention_clock SET counted = $1, seen = $2, jumped_at = $3"


class Clock(msgspec.Struct, frozen=True):
    """The time that counts, the one last seen, and the first after a jump that doesn't count."""

    counted: dt.datetime
    seen: dt.datetime
    jumped_at: dt.datetime | None = None

    def moved(self, now: dt.datetime) -> Clock:
        """Give what follows it where a clock shows *now*; going back is always believed."""
        if now - self.counted <= JUMP:
            return Clock(now, now)
        since = self.jumped_at
        if since is None or not since <= now <= self.seen + JUMP:
            since = now
        return Clock(now, now) if now - since >= PATIENCE else Clock(self.counted, now, since)

    @property
    def until(self) -> dt.datetime | None:
        """When the time after a jump counts, if there was one."""
        return self.jumped_at and self.jumped_at + PATIENCE


async def last(pool: asyncpg.Pool) -> Clock:
    """Give what was seen last."""
    with translated():
        return await _read(pool)


async def looked(connection: Any, now: dt.datetime, *, trusted: bool, keep: bool) -> Clock:
    """
    Look at the clocks, of which the collector's shows *now*, and *keep* what was seen.

    Where they are *trusted* they count, whatever they show.
    """
    earlier = await connection.fetchval(EARLIER, now)
    clock = Clock(earlier, earlier)
    if not trusted:
        clock = (await _read(connection)).moved(earlier)
    if keep:
        await connection.execute(WRITE, clock.counted, clock.seen, clock.jumped_at)
    return clock


async def _read(connection: Any) -> Clock:
    return Clock(*await connection.fetchrow(READ))
