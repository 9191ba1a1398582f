"""
The way into the table: group commit by COPY, with an outcome for each request.

Batches that arrive while COPYs run are gathered and go together in the next ones. A
batch is all in one transaction, so that it is stored whole (but for refused rows) or not
at all.
"""

from __future__ import annotations

import asyncio
import collections
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from storage import ledger
from storage.attempt import Attempt
from storage.copying import TABLE, copier, copy, intern
from storage.database import kept, limited
from storage.errors import (
    Faulty,
    KeyReused,
    Rejected,
    StorageError,
    Unavailable,
    translated,
)
from storage.ids import Ids
from storage.layout import COPYING, Engine, engine
from storage.records import Batch, LogRecord, Outcome, Resource, Scope
from storage.repeats import Keys, Repeated, outcome, seen_before

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    import asyncpg

KNOWN_AT_MOST = 100_000  # resources and scopes remembered as stored
# Records that a commit takes, even if its share is less; and fewer wait for another commit of few.
FEW = 200
log = structlog.get_logger()


class WriterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How the writer uses its connections."""

    connections: int = 2  # transactions at once: one is encoded while others commit
    commit_records: int = 10_000  # a commit takes no further request beyond this many records
    commit_timeout: float = 10.0  # seconds; beyond it the requests are Unavailable
    # Where what fails has another place to go to: seconds for a commit of `commit_records`, and
    # for a larger one in proportion. What waits behind one that fails then fails with it.
    patience: float | None = None
    # Whether a transaction may commit before we have heard that all of it is written.
    straight: bool = True
    deduplicates: bool = True  # whether what is sent again is stored once


class _Waiting(msgspec.Struct, eq=False):
    batch: Batch
    outcome: asyncio.Future[Outcome]


class LogWriter:
    """Stores batches; `submit` returns after the commit."""

    def __init__(
        self, pool: asyncpg.Pool, config: WriterConfig, committed: Callable[[float, int], object]
    ) -> None:
        self._pool = pool
        self._config = config
        self._committed = committed
        self._queue: collections.deque[_Waiting] = collections.deque()
        self._under_way = 0  # records that somebody waits for
        self._queued = 0  # those of them that are in no commit yet
        self._small = 0  # commits under way, of fewer than `FEW`
        self._arrived = asyncio.Event()
        self._closing = False
        self._taking = asyncio.Lock()
        self._ids = Ids()
        self._known: set[int] = set()
        self._failing = False
        self._engine: Engine | None = None  # None: unknown

    async def submit(self, batch: Batch) -> Outcome:
        """
        Return once *batch* is committed; its stored records then have their ids.

        Records that have one already keep it.

        Raises:
            Uncertain: the connection was lost during the commit; what may be stored has ids.
            Unavailable: nothing of the batch was stored; the same one may succeed later.
        """
        if self._closing:
            raise Unavailable("the collector is stopping")
        if not batch.records:
            return Outcome(stored=0)
        waiting = _Waiting(batch, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._queued += len(batch.records)
        self._under_way += len(batch.records)
        self._tell_due()
        try:
            return await waiting.outcome
        finally:
            self._under_way -= len(batch.records)

    def close(self) -> None:
        """Take no more; `run` ends when what waits is written."""
        self._closing = True
        self._arrived.set()

    async def run(self) -> None:
        """Write until `close` is called and nothing waits any more."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._config.connections):
                tasks.create_task(self._write_all(), name=f"writer {number}")

    async def _write_all(self) -> None:
        async with kept(self._pool) as lender:
            while True:
                async with self._taking:
                    while not self._due:
                        if self._closing and not self._queue:
                            return
                        self._arrived.clear()
                        await self._arrived.wait()
                    group = self._take()
                    records = [record for w in group for record in w.batch.records]
                    small = len(records) < FEW
                    self._small += small
                    # Ids are given here, in the order of arrival: they break ties of time.
                    failure: StorageError | None = None
                    try:
                        await self._ids.give(lender, records, self._limit(0))
                    except StorageError as exc:
                        failure = exc
                await self._finish(group, records, Attempt(lender), failure)
                self._small -= small
                self._tell_due()

    @property
    def _due(self) -> bool:
        """Tell whether to begin a commit: few records soon go with more, in fewer commits."""
        return bool(self._queue) and (not self._small or self._queued >= FEW)

    def _tell_due(self) -> None:
        if self._due:
            self._arrived.set()

    def _take(self) -> list[_Waiting]:
        """
        Take the requests of the next commit.

        It has no more than its share of all that is under way. Were one to take all that waits,
        all senders would have their answers at once, and what they send next would find us idle
        first and then would have to wait.
        """
        share = self._under_way // (self._config.connections + 1)
        most = min(max(share, FEW), self._config.commit_records)
        group: list[_Waiting] = []
        records, keys = 0, set()
        while self._queue and (not group or records < most):
            if (key := self._queue[0].batch.key) is not None:
                if key.digest in keys:
                    break  # the same request once more: it will be seen that it was stored
                keys.add(key.digest)
            group.append(self._queue.popleft())
            records += len(group[-1].batch.records)
        self._queued -= records
        return group

    async def _finish(
        self,
        group: Sequence[_Waiting],
        records: Sequence[LogRecord],
        attempt: Attempt,
        failure: StorageError | None,
    ) -> None:
        """Write *records* and tell every request of *group* what became of it."""
        known = group if self._config.deduplicates else ()
        keys = Keys([waiting.batch for waiting in known])
        failure = failure or await self._tried(group, records, keys, attempt)
        self._tell(failure)
        if failure is None:
            for place, number in keys.ids.items():
                records[place].id = number
        else:
            attempt.keep_ids(records, keys)
            self._fail_waiting(failure)
        refused = attempt.refused | keys.refused
        start = 0
        for number, waiting in enumerate(group):
            places = range(start, start + len(waiting.batch.records))
            start = places.stop
            if waiting.outcome.done():  # its sender has gone; what was written stays written
                continue
            if failure is not None:
                waiting.outcome.set_exception(failure)
            elif number in keys.reused:
                waiting.outcome.set_exception(KeyReused("another request had this Idempotency-Key"))
            else:
                waiting.outcome.set_result(outcome(places, refused, keys))

    async def _tried(
        self,
        group: Sequence[_Waiting],
        records: Sequence[LogRecord],
        keys: Keys,
        attempt: Attempt,
    ) -> StorageError | None:
        """Write *records*; give what kept us from it."""
        try:
            await self._write(group, records, keys, attempt)
        except StorageError as exc:
            return attempt.failed(exc)
        except Exception as exc:  # noqa: BLE001  one group's bug must not end all others' way in
            failure = Faulty(f"{type(exc).__name__} while writing")
            failure.__cause__ = exc
            return failure
        return None

    def _limit(self, records: int) -> float:
        """Give the seconds that a commit of *records* may take."""
        config = self._config
        if config.patience is None:
            return config.commit_timeout
        longer = max(1, records / config.commit_records)
        return min(config.patience * longer, config.commit_timeout)

    def _fail_waiting(self, failure: StorageError) -> None:
        """Let what waits, if it can go elsewhere, fail now and not after a wait of its own."""
        if self._config.patience is None or isinstance(failure, Faulty):
            return
        while self._queue:
            waiting = self._queue.popleft()
            if not waiting.outcome.done():
                waiting.outcome.set_exception(Unavailable(str(failure)))
        self._queued = 0

    def _tell(self, failure: StorageError | None) -> None:
        """Log when commits begin to fail, and when they succeed again."""
        if failure is not None:
            self._engine = None  # perhaps it has become another
        if failure is not None and not self._failing:
            log.error("commits_fail", error=str(failure), exc_info=failure.__cause__)
        elif failure is None and self._failing:
            log.info("commits_succeed_again")
        self._failing = failure is not None

    async def _write(
        self,
        group: Sequence[_Waiting],
        records: Sequence[LogRecord],
        keys: Keys,
        attempt: Attempt,
    ) -> None:
        """Store *records* in one transaction; *attempt* has how that went."""
        start = time.perf_counter()
        straight = True
        with translated():
            async with limited(attempt.lender, self._limit(len(records))) as connection:
                attempt.backend = connection.get_server_pid()
                while True:
                    try:
                        await self._transact(
                            connection, group, records, keys, attempt, straight=straight
                        )
                        break
                    except Repeated:  # the rare cases may cost another try
                        await keys.find(connection)
                    except Rejected:  # and its savepoints
                        if not straight:
                            raise
                        straight = False
        stored = len(records) - len(attempt.refused) - len(keys.ids)
        self._committed(time.perf_counter() - start, stored)

    async def _transact(
        self,
        connection: Any,
        group: Sequence[_Waiting],
        records: Sequence[LogRecord],
        keys: Keys,
        attempt: Attempt,
        *,
        straight: bool,
    ) -> None:
        batches = [waiting.batch for waiting in group]
        places: Sequence[int] = range(len(records))
        if keys.ids:
            places = [place for place in places if place not in keys.ids]
            records = [records[place] for place in places]
        attempt.refused, attempt.uncertain = {}, False
        if not records:
            return
        fresh = self._unknown(batches)
        with translated(), seen_before():
            # Another task's failure may make it unknown at any moment.
            if (kept_by := self._engine) is None:
                kept_by = self._engine = await engine(connection)
            plain = kept_by == "postgres"  # of the others no COPY takes statements behind it
            if straight and self._config.straight and plain and not any(fresh):
                attempt.uncertain = True
                await copy(connection, TABLE[kept_by], records, ledger.entry(batches, {}, keys))
                return
            async with connection.transaction():
                if setting := COPYING[kept_by]:
                    await connection.execute(setting)
                await intern(connection, *fresh)
                copying = copier(kept_by, straight=straight)
                bad = await copying(connection, TABLE[kept_by], records)
                attempt.refused = {places[place]: reason for place, reason in bad.items()}
                await connection.execute(ledger.entry(batches, attempt.refused, keys))
                attempt.uncertain = True
        if len(self._known) > KNOWN_AT_MOST:
            self._known.clear()
        # Only now: an insert that was rolled back must be made again.
        self._known.update(*fresh)

    def _unknown(self, batches: Sequence[Batch]) -> tuple[dict[int, Resource], dict[int, Scope]]:
        """Give the resources and scopes that are seen for the first time."""
        known = self._known
        return (
            {r.id: r for b in batches for r in b.resources.values() if r.id not in known},
            {s.id: s for b in batches for s in b.scopes.values() if s.id not in known},
        )


@asynccontextmanager
async def writing(
    pool: asyncpg.Pool, config: WriterConfig, committed: Callable[[float, int], object]
) -> AsyncIterator[LogWriter]:
    """
    A writer that writes inside the block and is drained at its end.

    The connections of *pool* are those that `storage.encoding.prepare` was done to.
    *committed* is told the seconds and the records of each commit.
    """
    writer = LogWriter(pool, config, committed)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(writer.run(), name="writer")
        try:
            yield writer
        finally:
            writer.close()
