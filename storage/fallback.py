"""
The way in while Postgres may be away: into the table, else into the spool.

A request whose commit fails or does not come in time goes into the spool, and so do all others
from then on, at once. Now and then one of them tries the table first; when it is stored there,
all others go there again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from storage.errors import Faulty, SpoolFailed, SpoolFull, Unavailable
from storage.records import Outcome
from storage.spool_file import SpoolFile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from storage.records import Batch
    from storage.spool import Spool

TRY = 0.5  # seconds between two requests that try the table while it is away
STALE = 5.0  # seconds after which a failure says nothing, if nobody has tried since


class Fallback:
    """Stores batches by *write*, which is impatient, or puts them into *spool*."""

    def __init__(
        self,
        write: Callable[[Batch], Awaitable[Outcome]],
        spool: Spool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._spool = spool
        self._clock = clock
        self._failure: Unavailable | None = None  # why the table is not tried
        self._failed = self._due = 0.0  # when it was, and when it is again

    @property
    def away(self) -> bool:
        """Whether requests go into the spool, as far as is known."""
        return self._failure is not None and self._clock() < self._failed + STALE

    async def submit(self, batch: Batch) -> Outcome:
        """
        Return once *batch* is committed, or on disk in the spool.

        Raises:
            SpoolFull, SpoolFailed: neither takes it; the same one may succeed later.
            Faulty: it is we who can't write it.
        """
        if not batch.records:
            return Outcome(stored=0)
        failure = None
        if self._failure is None or self._tries():
            try:
                outcome = await self._write(batch)
            except Faulty:
                raise
            except Unavailable as exc:
                self._failure = failure = exc
                self._failed = self._clock()
                self._due = self._failed + TRY
            else:
                self._failure = None
                return outcome
        try:
            await self._spool.put(batch, failure)
        except (SpoolFull, SpoolFailed) as exc:
            raise type(exc)(f"{exc}; Postgres: {self._failure}") from self._failure
        return Outcome(stored=len(batch.records), spooled=True)

    async def check(self) -> None:
        """
        Return if there is room in the spool.

        Raises:
            SpoolFull, SpoolFailed: there is none.
        """
        await self._spool.call(SpoolFile.check)

    def _tries(self) -> bool:
        """Tell whether the next request is to try the table; the one after it isn't."""
        now = self._clock()
        if now < self._due:
            return False
        self._due = now + TRY
        return True
