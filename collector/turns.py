"""Decoding in turns: one request at a time, in slices, so that commits go on meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SLICE = 50  # records that are decoded before input and output are served
SLICES_A_TURN = 80  # then the next request has its turn


class Turns:
    """
    Gives requests their turn to be decoded, in the order in which they ask.

    Were all decoded at the same time, all would be ready at the same time, with Postgres idle
    before and the processor after it.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def run(self, slices: Iterator[None]) -> None:
        """Exhaust *slices*, each of which does about `SLICE` records of work."""
        while True:
            async with self._turn:
                for _ in range(SLICES_A_TURN):
                    if next(slices, self) is self:
                        return
                    await asyncio.sleep(0)
