"""Decoding in turns: one request at a time, in slices, so that commits go on meanwhile."""

from __future__ import annotations

import asyncio
import collections
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SLICE = 50  # records that are decoded before input and output are served, if there is little
SLICES_A_TURN = 80  # then the next request has its turn
LONGEST = 0.25  # seconds until input and output are served, however long they took before


class Turns:
    """
    Gives requests their turn to be decoded, in the order in which they ask.

    Were all decoded at the same time, all would be ready at the same time, with Postgres idle
    before and the processor after it. Decoding takes as long at a time as all else took before
    it: in a flood the refusal of most requests would else leave no time for the others.
    """

    def __init__(self) -> None:
        self._waiting: collections.deque[tuple[Iterator[None], asyncio.Future[None]]]
        self._waiting = collections.deque()
        self._busy = False
        self._task: asyncio.Task[None] | None = None
        self._begun = self._others = 0.0

    async def run(self, slices: Iterator[None]) -> None:
        """Exhaust *slices*, each of which does about `SLICE` records of work."""
        if not self._busy:  # most often, and then another task would be a detour
            self._busy = True
            try:
                if await self._turn(slices):
                    return
            finally:
                self._hand_over()
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((slices, done))
        if not self._busy:
            self._busy = True
            self._hand_over()
        await done

    def _hand_over(self) -> None:
        if self._waiting:
            self._task = asyncio.create_task(self._serve(), name="decoding")
        else:
            self._busy = False

    async def _serve(self) -> None:
        """Give all that wait their turns, and set what they wait for."""
        while self._waiting:
            slices, done = self._waiting.popleft()
            failure: Exception | None = None
            ended = True
            try:
                ended = done.cancelled() or await self._turn(slices)
            except Exception as exc:  # noqa: BLE001  it is of the request, which is told
                failure = exc
            if not ended:
                self._waiting.append((slices, done))
            elif not done.cancelled():
                done.set_exception(failure) if failure else done.set_result(None)
            await self._serve_others()
        self._busy = False

    async def _turn(self, slices: Iterator[None]) -> bool:
        """Do up to `SLICES_A_TURN` of *slices*, and tell whether there are no more."""
        for _ in range(SLICES_A_TURN):
            if next(slices, self) is self:
                return True
            await self._serve_others()
        return False

    async def _serve_others(self) -> None:
        """Let the loop serve others, if they have not had as much time as decoding has."""
        now = time.perf_counter()
        if now - self._begun < min(self._others, LONGEST):
            return
        await asyncio.sleep(0)
        self._begun = time.perf_counter()
        self._others = self._begun - now
