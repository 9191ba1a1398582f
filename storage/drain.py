"""
The way from the spool into the table: oldest first, each request once, whoever is killed when.

A transaction that failed may be committed all the same, and one that nobody waits for any more
may be yet. So before a request is written, its records have ids, which the spool knows; and
before one is written that may have been, two things are made sure of:

* no transaction that began before can commit any more: the server's process that may still run
  it is ended, and all that hold the ledger's lock, as they do from before their commit until
  after it, are waited for;
* none of the ids is in the table.
"""

from __future__ import annotations

import asyncio
import fcntl
import math
import time
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from storage.database import SETTINGS, limited
from storage.errors import KeyReused, StorageError, Unavailable, translated
from storage.ids import Ids
from storage.layout import engine
from storage.settlement import settle
from storage.spool_file import Attempt, Refused, SpoolFile, Waits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    import asyncpg

    from storage.records import Batch, Outcome
    from storage.spool import Spool
    from storage.spool_file import Entry
    from storage.writer import LogWriter

POLL = 0.5  # seconds between two looks at the spool
PIECE = 5_000  # records that are taken out at once
TIMEOUT = 5.0  # seconds for a statement
ENDING = 2.0  # seconds that transactions which may have stored an entry have to end
AGAIN = 30.0  # seconds until an entry is tried again that failed alone

# Those of other applications are none of ours, whatever number a process has got meanwhile.
END = f"""
SELECT pg_is_in_recovery(), count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE pid = ANY ($1::integer[]) AND application_name = '{SETTINGS["application_name"]}'
    AND pid <> pg_backend_pid()
"""
HOLDERS = """
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = 'ledger'::regclass AND mode = 'RowExclusiveLock'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
# By the index of the times, however many days there are; and the server gives up when we do.
INDEXED = f"""
SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_custom_plan;
SET LOCAL statement_timeout = {TIMEOUT * 1_000:.0f}
"""
# Not by the index of ids: of some thousand it looks for each in each range of blocks, for a minute.
STORED = """
SELECT id FROM log_entries
WHERE timestamp = ANY ($1::timestamptz[]) AND id + 0 = ANY ($2::bigint[])
"""

log = structlog.get_logger()


class Drained(msgspec.Struct, frozen=True):
    """
    What became of a request that has left the spool.

    There is no *outcome* where a transaction before has stored it, of which that wasn't known.
    """

    batch: Batch
    outcome: Outcome | None


class Drain:
    """
    Takes requests out of *spool* into the table.

    *writer* is not straight, *pool* one as it has. *looked* is told what waits, and *drained*
    what became of a request.
    """

    def __init__(
        self,
        spool: Spool,
        pool: asyncpg.Pool,
        writer: LogWriter,
        looked: Callable[[Waits], object],
        drained: Callable[[Drained], object],
    ) -> None:
        self._spool, self._pool, self._writer = spool, pool, writer
        self._looked, self._drained = looked, drained
        self._ids = Ids()
        self._postponed: dict[int, float] = {}  # entries that fail alone, and when they are due
        self._most = PIECE
        self._outage: _Outage | None = None
        self.waiting = True  # whether something may be in the spool

    async def run(self) -> None:
        """Empty the spool, again and again, until this is cancelled."""
        while True:
            try:
                waits = await self._look()
                if waits.requests:
                    await self._empty()
            except StorageError as exc:
                log.debug("spool_waits", error=str(exc))
            except Exception:
                log.exception("spool_failed")
            await asyncio.sleep(POLL)

    async def _look(self) -> Waits:
        waits = await self._spool.call(SpoolFile.waits)
        self.waiting = waits.requests > 0
        self._looked(waits)
        if waits.requests and self._outage is None:
            self._outage = _Outage()
            log.warning("spool_fills", requests=waits.requests, records=waits.records)
        elif not waits.requests and self._outage is not None:
            log.info("spool_drained", **self._outage.told())
            self._outage = None
            self._postponed.clear()
            await self._spool.call(SpoolFile.shrink)
        return waits

    async def _empty(self) -> None:
        """Take out what there is."""
        piece = await self._spool.call(SpoolFile.piece, 0, self._most)
        while piece.last:
            start = time.monotonic()
            for number in piece.unreadable:
                if number not in self._postponed:
                    self._postponed[number] = math.inf
                    log.error("spool_unreadable", entry=number)
            due = [e for e in piece.entries if self._postponed.get(e.id, 0.0) <= start]
            if due:
                await self._take(due)
                await self._look()
            # Requests come first: we work for half of the time.
            await asyncio.sleep(min(time.monotonic() - start, POLL))
            piece = await self._spool.call(SpoolFile.piece, piece.last, self._most)

    async def _take(self, entries: Sequence[Entry]) -> None:
        """
        Store *entries* and take them out of the spool.

        Raises:
            Unavailable: the database is away.
        """
        settled, unsettled = await self._settled([e for e in entries if e.attempt.ids])
        await self._leave([(entry, None) for entry in settled])
        gone = {entry.id for entry in (*settled, *unsettled)}
        rest = [entry for entry in entries if entry.id not in gone]
        if not rest:
            return
        await self._number(rest)
        outcomes = await asyncio.gather(*map(self._store, rest), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, StorageError):
                raise outcome
        await self._leave(
            [
                (entry, outcome)
                for entry, outcome in zip(rest, outcomes, strict=True)
                if not isinstance(outcome, BaseException)
            ]
        )
        failures = [outcome for outcome in outcomes if isinstance(outcome, StorageError)]
        if not failures:
            self._most = min(2 * self._most, PIECE)
            return
        await self._ping()
        # The database answers, so it may be one of them that it does not take: it is found by
        # taking fewer, and left aside for a while.
        self._most = 1
        if len(rest) == 1:
            self._postponed[rest[0].id] = time.monotonic() + AGAIN
            log.error("spool_entry_fails", entry=rest[0].id, error=str(failures[0]))
            return
        raise failures[0]

    async def _store(self, entry: Entry) -> Outcome:
        batch = entry.batch
        numbers = [record.id for record in batch.records]
        try:
            return await self._writer.submit(batch)
        except KeyReused:
            # Who sent it was told that it is stored, before somebody else used its key.
            batch.key = None
            for record, number in zip(batch.records, numbers, strict=True):
                record.id = number
            return await self._writer.submit(batch)

    async def _leave(self, outcomes: Sequence[tuple[Entry, Outcome | None]]) -> None:
        """Take the entries out whose *outcomes* these are."""
        refused = [
            Refused(entry.batch, entry.batch.records[each.index], each.reason)
            for entry, outcome in outcomes
            for each in (outcome.refused if outcome is not None else ())
        ]
        if not outcomes:
            return
        await self._spool.call(SpoolFile.settle, [entry for entry, _ in outcomes], refused)
        for entry, outcome in outcomes:
            self._drained(Drained(entry.batch, outcome))
        if self._outage is not None:
            self._outage.requests += len(outcomes)
            self._outage.records += sum(len(entry.batch.records) for entry, _ in outcomes)
            self._outage.refused += len(refused)
        if refused:
            log.error("spool_refused", records=len(refused), reason=refused[0].reason)

    async def _number(self, entries: Sequence[Entry]) -> None:
        """Give ids to the records of *entries*, and let the spool know them."""
        attempts: list[tuple[int, Attempt]] = []
        for entry in entries:
            records, ids = entry.batch.records, entry.attempt.ids
            if ids and None not in ids:
                for record, number in zip(records, ids, strict=True):
                    record.id = number
            await self._ids.give(self._pool, records, TIMEOUT)
            attempts.append((entry.id, Attempt([record.id for record in records])))
        await self._spool.call(SpoolFile.attempt, attempts)

    async def _settled(self, entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
        """
        Tell which of *entries* are stored, and of which that can't be known yet.

        No transaction that may have stored one of the others will.
        """
        if not entries:
            return [], []
        with translated():
            async with limited(self._pool, TIMEOUT) as connection:
                if not await _over(connection, {e.attempt.backend for e in entries}):
                    return [], list(entries)
                stored = await _stored(connection, entries)
        return [entry for entry in entries if not stored.isdisjoint(entry.attempt.ids)], []

    async def _ping(self) -> None:
        with translated():
            async with limited(self._pool, TIMEOUT) as connection:
                await connection.fetchval("SELECT 1")


class _Outage:
    """What is said of the time in which the spool was used."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.requests = self.records = self.refused = 0

    def told(self) -> dict[str, object]:
        return {
            "requests": self.requests,
            "records": self.records,
            "refused": self.refused,
            "seconds": round(time.monotonic() - self.start, 1),
        }


async def _over(connection: Any, backends: set[int]) -> bool:
    """Tell whether all transactions that began before, and those of *backends*, have ended."""
    end = time.monotonic() + ENDING
    running = {row[0] for row in await connection.fetch(HOLDERS)}
    while True:
        recovering, alive = await connection.fetchrow(END, list(backends))
        if recovering:  # what it will have as a primary isn't all there yet
            raise Unavailable("the server is a standby")
        if not alive and not running:
            return True
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.05)
        if running:
            running &= {row[0] for row in await connection.fetch(HOLDERS)}


async def _stored(connection: Any, entries: Sequence[Entry]) -> set[int | None]:
    """Give those of the ids that *entries* may have which are in the table."""
    times, ids = set(), []
    for entry in entries:
        for record, number in zip(entry.batch.records, entry.attempt.ids, strict=True):
            if number is not None:
                times.add(record.timestamp)
                ids.append(number)
    if await engine(connection) == "citus":
        await settle(connection)
    async with connection.transaction():
        await connection.execute(INDEXED)
        return {row[0] for row in await connection.fetch(STORED, list(times), ids)}


@asynccontextmanager
async def alone(file: Path) -> AsyncIterator[None]:
    """Be inside the block the only one who drains the spool *file*; wait until that is so."""
    with ExitStack() as stack:
        told = ""
        while True:
            try:
                file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                lock = stack.enter_context(file.with_suffix(".lock").open("a"))
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:  # a process that this one takes the place of
                stack.close()
            except OSError as exc:
                if told != (told := str(exc)):
                    log.error("spool_unusable", error=told)  # noqa: TRY400  no fault of ours
            await asyncio.sleep(POLL)
        yield
