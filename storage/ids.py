"""Ids of records: reserved many at a time, so that they are known before a record is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage.database import limited
from storage.errors import translated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from storage.database import Lender
    from storage.records import LogRecord

AT_ONCE = 1_000  # the increment of the sequence
LEAST = 10  # times as many are reserved with one call, which takes as long as for one
RESERVE = "SELECT nextval('log_entry_ids') FROM generate_series(1, $1)"


class Ids:
    """Gives ids in the order in which it is asked for them."""

    def __init__(self) -> None:
        self._reserved: Iterator[int] = iter(())

    async def give(self, lender: Lender, records: Sequence[LogRecord], seconds: float) -> None:
        """
        Give an id to each of *records* that has none, within *seconds*.

        Raises:
            Unavailable: the database did not reserve any.
        """
        for record in records:
            if record.id is not None:
                continue
            if (number := next(self._reserved, None)) is None:
                blocks = max(LEAST, -(-len(records) // AT_ONCE))
                with translated():
                    async with limited(lender, seconds) as connection:
                        found = await connection.fetch(RESERVE, blocks)
                self._reserved = iter([row[0] + n for row in found for n in range(AT_ONCE)])
                number = next(self._reserved)
            record.id = number
