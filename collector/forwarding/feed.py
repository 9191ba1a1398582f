"""
Records on their way to one destination: read in batches, sent some at once, recorded in order.

The position that is recorded is always one before which everything is settled. What is read and
not recorded yet is no more than the batches under way and the next one, and all of it is in the
table.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from collector.forwarding.attributes import changing
from collector.forwarding.outcomes import Outcome
from collector.forwarding.pace import Pace
from collector.forwarding.settlement import Letter, Settled, Settlement, Stopped
from storage import moments
from storage.errors import StorageError
from storage.positions import Position  # noqa: TC001  msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from collector.forwarding.pace import Courtesy
    from collector.forwarding.settings import Forwarder
    from storage.follower import Follower, StoredPiece
    from storage.positions import Snapshot
    from storage.stored import Stored

POLL = 1.0  # seconds, where nothing tells of a commit
EMPTY_INTERVAL = 1.0  # seconds between two recordings of a position and nothing else
TOO_OLD = "older than max_age"


# Commits an outcome with its position, or raises.
Record: TypeAlias = "Callable[[Outcome], Awaitable[None]]"
# Returns when something has been committed since the last time, and True; or after so many seconds.
Wake: TypeAlias = "Callable[[float], Awaitable[bool]]"


class Feed:
    """One reading of the table for a destination: the live one, or a replay up to *upto*."""

    def __init__(
        self,
        settings: Forwarder,
        follower: Follower,
        settlement: Settlement,
        record: Record,
        wake: Wake,
        courtesy: Courtesy,
        *,
        position: Position,
        upto: Snapshot | None = None,
    ) -> None:
        self._settings = settings
        self._search = settings.wanted
        self._change = changing(settings.attributes.drop, settings.attributes.rename)
        self._follower = follower
        self._settlement = settlement
        self._record = record
        self._wake = wake
        self.position = position  # of what has been read
        self._handed_on = position  # of that, what is recorded or will be
        self._upto = upto
        self._at_end = False  # of the table, when it was read
        self._pace = Pace(settings.rate_limit)
        self._courtesy = courtesy
        self._ending = asyncio.Event()

    @property
    def ending(self) -> bool:
        """Whether it has been told to end."""
        return self._ending.is_set()

    def end(self) -> None:
        """Begin no more batches; `run` returns when those under way are recorded."""
        self._ending.set()

    async def run(self, *, batches: int = -1) -> None:
        """
        Send until `end`, a replay's end, or after so many *batches*.

        Raises:
            Stopped: the destination takes nothing more.
            StorageError: an outcome could not be recorded, or nothing read.
        """
        under_way = _UnderWay()
        room = _Room(self._settings.concurrency)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(tasks, under_way, room, batches))
                await self._record_in_order(under_way, room)
        except BaseExceptionGroup as group:
            raise sole(group) from None

    async def _read(
        self, tasks: asyncio.TaskGroup, under_way: _UnderWay, room: _Room, batches: int
    ) -> None:
        """Read batches, each while there is no room for it yet, and have them settled."""
        recorded = time.monotonic()
        while batches:
            if self._at_end:  # what comes until there is room goes together
                await room.ready()
            if (piece := await self._next()) is None:
                break
            outcome = Outcome(position=piece.position, gone=piece.gone)
            settling = None
            if records := self._fresh(piece.rows, outcome):
                await room.taken()
                await self._pace.spend(len(records))
                await self._courtesy.pause(len(records))
                if self._ending.is_set():
                    break
                settling = tasks.create_task(self._settled(records, room))
                batches -= 1
            self.position = piece.position
            if settling or not outcome.empty or time.monotonic() - recorded > EMPTY_INTERVAL:
                recorded = time.monotonic()
                self._handed_on = piece.position
                under_way.add(_Batch(outcome, settling))
        if self._handed_on != self.position:
            under_way.add(_Batch(Outcome(position=self.position)))
        under_way.add(None)

    async def _settled(self, records: Sequence[Stored], room: _Room) -> Settled | Stopped:
        try:
            return await self._settlement.settle(records, room.lend)
        except Stopped as exc:  # is told in its turn
            return exc

    async def _next(self) -> StoredPiece | None:
        """Read the next batch when it is due; None at the end."""
        while not self._ending.is_set():
            if self._at_end and not self._upto and await self._waited():
                return None
            piece = await self._piece()
            self._at_end = not piece.more
            if piece.position != self.position:
                return piece
            if self._upto:
                return None
            if self._handed_on != self.position:
                return piece
        return None

    async def _piece(self) -> StoredPiece:
        return await self._follower.stored(
            self.position,
            self._search,
            records=self._settings.batch.max_records,
            bytes=self._settings.batch.max_bytes,
            now=dt.datetime.now(dt.UTC),
            upto=self._upto,
        )

    async def _waited(self) -> bool:
        """Wait for a batch that is worth reading; tell whether this has been told to end."""
        waking = asyncio.ensure_future(self._wake(POLL))
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            await asyncio.wait((waking, ending), return_when=asyncio.FIRST_COMPLETED)
            if waking.done() and waking.result():  # others may come, to be read with the first
                await asyncio.wait((ending,), timeout=self._settings.batch.timeout)
        finally:
            waking.cancel()
            ending.cancel()
        return self._ending.is_set()

    def _fresh(self, rows: Sequence[Stored], outcome: Outcome) -> list[Stored]:
        """Leave out what is too old, and change the rest as the settings say."""
        records = list(rows)
        settings = self._settings
        if settings.max_age and settings.too_old != "send":
            now = moments.moment(dt.datetime.now(dt.UTC))
            oldest = now - int(settings.max_age * moments.SECOND)
            records = [each for each in rows if each.record.timestamp >= oldest]
            if settings.too_old == "skip":
                outcome.skipped += len(rows) - len(records)
            else:
                old = [each for each in rows if each.record.timestamp < oldest]
                outcome.letters += [Letter(each, TOO_OLD) for each in old]
        return [self._change(each) for each in records] if self._change else records

    async def _record_in_order(self, under_way: _UnderWay, room: _Room) -> None:
        """Record what is settled, with as much of what follows as is settled by then."""
        while (batch := await under_way.first()) is not None:
            outcome = await batch.settled(room)
            while (batch := under_way.ready()) is not None:
                outcome.add(await batch.settled(room))
            await self._record(outcome)


class _Batch(msgspec.Struct):
    outcome: Outcome
    settling: asyncio.Task[Settled | Stopped] | None = None

    async def settled(self, room: _Room) -> Outcome:
        """Wait for it, and give all that became of it; or raise Stopped."""
        if self.settling is not None:
            settled = await self.settling
            if isinstance(settled, Stopped):
                raise settled
            self.outcome.sent += settled.sent
            self.outcome.rejected += settled.rejected
            self.outcome.letters += settled.letters
            room.release()
        return self.outcome

    @property
    def ready(self) -> bool:
        return self.settling is None or (
            self.settling.done() and not isinstance(self.settling.result(), Stopped)
        )


class _Room:
    """For the batches that may be under way at once, and some more in a case of need."""

    def __init__(self, batches: int) -> None:
        self._free = asyncio.Semaphore(batches)
        self._lent = 0

    async def ready(self) -> None:
        """Wait until there is room for a batch."""
        await self._free.acquire()
        self._free.release()

    async def taken(self) -> None:
        """Wait until there is room for a batch, and take it."""
        await self._free.acquire()

    def lend(self) -> None:
        """Let one more batch go; the next room that is given back is for this."""
        self._lent += 1
        self._free.release()

    def release(self) -> None:
        """Give back the room of a batch."""
        if self._lent:
            self._lent -= 1
        else:
            self._free.release()


class _UnderWay:
    """The batches that are read and not recorded, in order."""

    def __init__(self) -> None:
        self._batches: deque[_Batch | None] = deque()
        self._changed = asyncio.Event()

    def add(self, batch: _Batch | None) -> None:
        """Take *batch*, or None as the end."""
        self._batches.append(batch)
        self._changed.set()

    async def first(self) -> _Batch | None:
        """Wait for the first, and give it; None at the end."""
        while not self._batches:
            self._changed.clear()
            await self._changed.wait()
        return self._batches.popleft()

    def ready(self) -> _Batch | None:
        """Give the first if there is one that is settled."""
        batch = self._batches[0] if self._batches else None
        return self._batches.popleft() if batch and batch.ready else None


def sole(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give the error of storage or of the destination that *group* is, or itself if it isn't."""
    for exc in group.exceptions:
        found = sole(exc) if isinstance(exc, BaseExceptionGroup) else exc
        if not isinstance(found, (StorageError, Stopped)):
            return group
    return found
