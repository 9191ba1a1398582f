"""
Deleting what a policy of `storage.retention` no longer keeps.

A partition of which nothing is left to keep is dropped whole, which costs nothing; of others
the rows are deleted, as `storage.deletion` does it.
"""

from __future__ import annotations

import datetime as dt
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
import structlog

from storage import deletion, partitions, retention_clock
from storage.deletion import Deleted
from storage.errors import Unavailable, translated
from storage.layout import TOTAL_SIZE, engine
from storage.survey import Going, named, size, surveyed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from storage.deletion import Actor
    from storage.retention import Policy
    from storage.retention_clock import Clock
    from storage.survey import Survey

LOCK = 7_166_349_251_015_430  # the advisory lock of who applies a policy
COMPACT_SHARE = 0.5  # of a partition's rows; of fewer the room is used again for later ones
COMPACT_TIMEOUT = "5s"  # late records of the day wait for it, and their commits have 10
FULL = "no room on disk"  # the reason of what goes by size

# Transactions that came after a snapshot and have rows of a time; the ledger knows all of them.
CAME_SINCE = """
SELECT EXISTS (SELECT FROM ledger
    WHERE xid >= pg_snapshot_xmin($1::text::pg_snapshot)
    AND NOT pg_visible_in_snapshot(xid, $1::text::pg_snapshot)
    AND max_timestamp >= $2 AND min_timestamp < $3)
"""

log = structlog.get_logger()


class Busy(Unavailable):
    """Another process applies a policy at the moment."""


class _Late(Exception):
    """Records came that are kept."""


class Expiry:
    """
    Applies *policy*, again and again.

    It remembers which partitions it has looked through today, for late records are few.
    """

    def __init__(self, policy: Policy, actor: Actor) -> None:
        self._policy = policy
        self._actor = actor
        self._seen: dict[str, dt.date] = {}

    async def apply(
        self,
        pool: asyncpg.Pool,
        now: dt.datetime,
        told: Callable[[Going], object],
        *,
        dry_run: bool = False,
        trusted: bool = False,
    ) -> Clock:
        """
        Delete what isn't kept at the time *now*, and tell each partition's part when it is gone.

        With *dry_run* only tell what would go. Gives the time that counted, which is an earlier
        one where a clock has jumped ahead, unless the clocks are *trusted*.

        Raises:
            Busy: another process does the same.
            Unavailable: the database is away, or a long query holds a partition that is to go;
                what was told before is gone all the same. Try again later.
        """
        gone: dict[dt.date, int] = {}
        held = []
        async with _alone(pool) as connection:
            clock = await retention_clock.looked(connection, now, trusted=trusted, keep=not dry_run)
            now = clock.counted.astimezone(dt.UTC)
            today = now.date()
            days = sorted(await partitions.days(connection, "log_entries"))
            for day in (None, *days):
                if self._seen.get(named(day)) == today and not dry_run:
                    continue
                survey = await surveyed(connection, self._policy, day, now)
                try:
                    if survey is not None and (survey.going or survey.whole):
                        going = survey.planned
                        if not dry_run:
                            going = await self._clear(connection, survey, now)
                        told(going)
                        if day and going.whole:
                            gone[day] = going.bytes
                except asyncpg.LockNotAvailableError:
                    held.append(named(day))
                else:
                    self._seen[named(day)] = today
            left = [day for day in days if day < today and day not in gone]
            freed = sum(gone.values()) if dry_run else 0
            await self._fit(connection, left, told, freed, dry_run=dry_run)
            if not dry_run:
                await self._forget(connection, today)
        if held:
            raise Unavailable(f"long queries hold {', '.join(held)}")
        return clock

    async def _clear(self, connection: Any, survey: Survey, now: dt.datetime) -> Going:
        """Delete what *survey* says."""
        if survey.whole and survey.day:
            with suppress(_Late):
                await self._drop(connection, survey.day, survey.planned, survey)
                return survey.planned
        deleted = await deletion.swept(connection, survey.sweep(self._policy, now), self._actor)
        if survey.day and survey.share > COMPACT_SHARE:
            await _compact(connection, survey.partition)
        return msgspec.structs.replace(survey.planned, deleted=tuple(deleted), whole=False)

    async def _drop(
        self, connection: Any, day: dt.date, going: Going, survey: Survey | None = None
    ) -> None:
        """Drop a partition and enter that in the audit; raise _Late if it has what is kept."""
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{partitions.LOCK_TIMEOUT}'")
            for each in going.deleted:
                await deletion.entered(connection, self._actor, each)
            await partitions.drop(connection, "log_entries", day)
            times = partitions.start(day), partitions.start(day + partitions.DAY)
            for each in going.deleted[:1]:
                await deletion.letters_gone(connection, self._actor, times, each.reason)
            # Nobody can write to it any more, so this is the last word.
            if (
                survey is not None
                and not survey.total
                and await connection.fetchval(CAME_SINCE, survey.snapshot, *times)
            ):
                raise _Late

    async def _fit(
        self,
        connection: Any,
        days: list[dt.date],
        told: Callable[[Going], object],
        freed: int,
        *,
        dry_run: bool,
    ) -> None:
        """Drop the oldest of *days* until all the rest is within the limit."""
        if (limit := self._policy.max_bytes) is None:
            return
        total = await connection.fetchval(TOTAL_SIZE[await engine(connection)]) - freed
        for day in days:
            if total <= limit:
                return
            partition = named(day)
            records = await connection.fetchval(f"SELECT count(*) FROM {partition}")
            going = Going(
                place=partition,
                whole=True,
                deleted=(Deleted(place=partition, reason=FULL, records=records),),
                bytes=await size(connection, partition),
            )
            if not dry_run:
                await self._drop(connection, day, going)
            told(going)
            total -= going.bytes
        if total > limit:  # today's are never dropped
            log.warning("disk_limit_exceeded", bytes=total, max_bytes=limit)

    async def _forget(self, connection: Any, today: dt.date) -> None:
        """Drop the ledger's partitions from before everything that is kept."""
        oldest = []
        if self._policy.longest is not None:
            oldest.append(today - self._policy.longest * partitions.DAY)
        if self._policy.max_bytes is not None:
            oldest += [min({today, *await partitions.days(connection, "log_entries")})]
        if oldest and (dropped := await partitions.drop_ledger(connection, max(oldest))):
            log.info("ledger_dropped", days=[day.isoformat() for day in dropped])


@asynccontextmanager
async def _alone(pool: asyncpg.Pool) -> AsyncIterator[Any]:
    with translated():
        async with pool.acquire() as connection:
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
                raise Busy("another process deletes old records at the moment")
            try:
                await connection.execute("SET plan_cache_mode = force_custom_plan")
                yield connection
            finally:
                await connection.execute("RESET plan_cache_mode")
                await connection.fetchval("SELECT pg_advisory_unlock($1)", LOCK)


async def _compact(connection: Any, partition: str) -> None:
    """Give the room of deleted rows back to the disk, if that is quick."""
    await connection.execute(
        f"SET lock_timeout = '{partitions.LOCK_TIMEOUT}';"
        f" SET statement_timeout = '{COMPACT_TIMEOUT}'"
    )
    try:
        await connection.execute(f"VACUUM (FULL, ANALYZE) {partition}")
    except (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError) as exc:
        log.info("not_compacted", partition=partition, reason=str(exc))
    finally:
        await connection.execute("RESET lock_timeout; RESET statement_timeout")
