"""What the collector does about a database that is away: the spool's settings, and its draining."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from typing import TYPE_CHECKING

import structlog

from collector import telemetry
from storage import database, drain, encoding, repeats, spool, writer
from storage.errors import StorageError, Unavailable
from storage.spool_file import SpoolConfig, SpoolFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from collector.exporters.postgres import Postgres
    from collector.forwarding.pace import Courtesy
    from storage.drain import Drained
    from storage.spool_file import Waits

AGAIN = 1.0  # seconds between two looks whether the database is back

log = structlog.get_logger()


def spool_config(postgres: Postgres) -> SpoolConfig:
    """Give what storage has to know of the spool."""
    return SpoolConfig(
        file=postgres.spool_file,
        max_bytes=postgres.spool.max_bytes,
        max_age=postgres.spool.max_age,
        min_free_bytes=postgres.spool.min_free_bytes,
    )


@asynccontextmanager
async def draining(
    postgres: Postgres, dsn: str, courtesy: Courtesy
) -> AsyncIterator[Callable[[], bool]]:
    """
    Store what is in the spool beside the block, as soon as the database takes it.

    So does a collector without one, with what is left of a time when it had one. Gives what
    tells whether something may be in the spool.
    """
    config = spool_config(postgres)
    if not postgres.spool.enabled and not config.file.exists():
        yield lambda: False
        return
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            database.connected(
                dsn,
                size=2,
                at_once=False,
                settings=database.WRITING_SETTINGS,
                init=encoding.prepare,
            )
        )
        settings = writer.WriterConfig(
            connections=1,
            commit_records=postgres.commit_records,
            commit_timeout=postgres.commit_timeout,
            straight=False,
            deduplicates=postgres.deduplication_window > 0,
        )
        log_writer = await stack.enter_async_context(
            writer.writing(pool, settings, lambda _, records: courtesy.took(records))
        )
        spooled = await stack.enter_async_context(spool.spooling(config))
        drainer = drain.Drain(spooled, pool, log_writer, _show, _count)
        await stack.enter_async_context(_beside(_drain(drainer, postgres), "drain"))
        stack.callback(telemetry.spool_records.set, 0)
        yield lambda: drainer.waiting


async def _drain(drainer: drain.Drain, postgres: Postgres) -> None:
    file = postgres.spool_file
    for other in set(file.parent.glob("*.sqlite3")) - {file}:
        if requests := await asyncio.to_thread(_waiting, other):
            log.warning("spool_of_another_database", file=str(other), requests=requests)
    async with drain.alone(file):
        await drainer.run()


def _waiting(file: Path) -> int:
    """Give the number of requests that wait in *file*."""
    with closing(SpoolFile(SpoolConfig(file=file))) as other, suppress(StorageError):
        return other.waits().requests
    return 0


def _show(waits: Waits) -> None:
    telemetry.spool_records.set(waits.records)
    telemetry.spool_bytes.set(waits.bytes)
    age = 0.0 if waits.since is None else time.time() - waits.since
    telemetry.spool_age_seconds.set(age)


def _count(drained: Drained) -> None:
    receiver, outcome = drained.batch.receiver, drained.outcome
    records = len(drained.batch.records)
    refused = len(outcome.refused) if outcome else 0
    repeated = outcome.repeated if outcome else 0
    stored = records - refused - repeated
    telemetry.records_stored.labels(receiver).inc(stored)
    for what, number in (("stored", stored), ("repeated", repeated), ("refused", refused)):
        if number:
            telemetry.records_drained.labels(receiver, what).inc(number)


class Forgetting:
    """
    Forgets what requests were known by, `window` seconds after they were stored.

    Nothing is forgotten while a request that came again may be *waiting* in a spool; those of
    other machines have as long after an outage.
    """

    def __init__(
        self,
        pool: database.Pool,
        window: float,
        waiting: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool, self._window = pool, window
        self._waiting, self._clock = waiting, clock
        self._failed = -math.inf

    async def forget(self) -> list[str]:
        """Forget what is old enough."""
        if self._waiting() or self._clock() - self._failed < self._window:
            return []
        try:
            return await repeats.forget(self._pool, self._window)
        except Unavailable:
            self._failed = self._clock()
            raise


@asynccontextmanager
async def when_there(
    enter: Callable[[], AbstractAsyncContextManager[None]], *, spools: bool
) -> AsyncIterator[None]:
    """
    Be in the block that *enter* gives, as soon as the database is there for it.

    Raises:
        Unavailable: it isn't now, and nothing *spools* meanwhile.
    """
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(enter())
        except Unavailable as exc:
            if not spools:
                raise
            log.warning("database_away_at_start", error=str(exc))
            await stack.enter_async_context(_beside(_later(enter), "later"))
        yield


async def _later(enter: Callable[[], AbstractAsyncContextManager[None]]) -> None:
    told = ""
    while True:
        await asyncio.sleep(AGAIN)
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(enter())
            except Unavailable as exc:
                if told != (told := str(exc)):
                    log.warning("database_still_away", error=told)
                continue
            await asyncio.Event().wait()


@asynccontextmanager
async def _beside(doing: Coroutine[None, None, None], name: str) -> AsyncIterator[None]:
    """Let a task do this beside the block, and end it then."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(doing, name=name)
        try:
            yield
        finally:
            task.cancel()
