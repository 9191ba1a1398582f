"""
The spool: where requests wait while Postgres doesn't take them.

A request is in it, and on disk, when `Spool.put` returns; `storage.drain` takes it out again when
it is stored. Requests that come while the disk is busy go together in the next transaction. All
of it happens on a thread, so that nobody else ever waits for the disk.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import msgspec

from storage.errors import Faulty, StorageError, Uncertain
from storage.spool_file import Attempt, Parcel, SpoolFile, encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from storage.records import Batch
    from storage.spool_file import SpoolConfig

MOST_REQUESTS = 1_000  # in one transaction

P = ParamSpec("P")
T = TypeVar("T")


class _Waiting(msgspec.Struct, eq=False):
    batch: Batch
    attempt: Attempt
    done: asyncio.Future[None]


class Spool:
    """The spool of *config* in this process; others may have the same."""

    def __init__(self, config: SpoolConfig) -> None:
        self._file = SpoolFile(config)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._queue: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def put(self, batch: Batch, failure: StorageError | None = None) -> None:
        """
        Return when *batch* is on disk; its records have no ids then.

        Those that they had are kept where the *failure* before is that they may be stored.

        Raises:
            SpoolFull: a limit is reached.
            SpoolFailed: the disk does not take it.
        """
        attempt = Attempt()
        if isinstance(failure, Uncertain):
            attempt = Attempt([record.id for record in batch.records], failure.backend)
        for record in batch.records:
            record.id = None
        waiting = _Waiting(batch, attempt, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all(), name="spool")
        await waiting.done

    async def call(
        self,
        method: Callable[Concatenate[SpoolFile, P], T],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """Do what a *method* of `SpoolFile` does."""
        run = asyncio.get_running_loop().run_in_executor
        return await run(self._thread, lambda: method(self._file, *arguments, **named))

    async def close(self) -> None:
        """Return when all that was put is on disk, or was refused, and the file is closed."""
        if self._writing is not None:
            await self._writing
        await self.call(SpoolFile.close)
        self._thread.shutdown()

    async def _write_all(self) -> None:
        while self._queue:
            group, self._queue = self._queue[:MOST_REQUESTS], self._queue[MOST_REQUESTS:]
            outcomes = await asyncio.get_running_loop().run_in_executor(
                self._thread, self._write, group
            )
            for waiting, failure in zip(group, outcomes, strict=True):
                if waiting.done.done():
                    continue  # its sender has gone; it is stored all the same
                if failure is None:
                    waiting.done.set_result(None)
                else:
                    waiting.done.set_exception(failure)
        self._writing = None

    def _write(self, group: Sequence[_Waiting]) -> list[StorageError | None]:
        """Put *group* on disk; give what became of each."""
        outcomes: list[StorageError | None] = []
        parcels = []
        for waiting in group:
            try:
                batch = waiting.batch
                parcels.append(Parcel(len(batch.records), encode(batch), waiting.attempt))
                outcomes.append(None)
            except Exception as exc:  # noqa: BLE001  one request's failure must not be another's
                outcomes.append(Faulty(f"{type(exc).__name__} while spooling"))
        failure: StorageError | None = None
        try:
            self._file.add(parcels)
        except StorageError as exc:
            failure = exc
        except Exception as exc:  # noqa: BLE001  who waits must be told, whatever it is
            failure = Faulty(f"{type(exc).__name__} while spooling")
        return [outcome or failure for outcome in outcomes]


@asynccontextmanager
async def spooling(config: SpoolConfig) -> AsyncIterator[Spool]:
    """A spool that may be used inside the block."""
    spool = Spool(config)
    try:
        yield spool
    finally:
        await spool.close()
