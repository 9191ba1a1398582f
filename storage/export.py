"""
All that a search finds, oldest first, however much it is.

It is read through a cursor of the database in one snapshot, in blocks, so that neither side
ever holds more than a block, and only as quickly as the blocks are taken.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from storage import filters
from storage.entries import SELECTED, Entry, entry
from storage.pages import OLDEST

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncGenerator, AsyncIterator

    from asyncpg.pool import PoolConnectionProxy

    from storage.reader import Reader
    from storage.search import Search

MOST_ROWS, MOST_BYTES = 100, 1024 * 1024  # of a block; a single record may be larger
ENDLESS = """
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0
"""

BOUNDLESS = "SET LOCAL citus.max_intermediate_result_size = -1"


@asynccontextmanager
async def exporting(
    reader: Reader, search: Search, *, now: dt.datetime, limit: int | None = None
) -> AsyncIterator[AsyncGenerator[list[Entry], None]]:
    """
    Give the blocks of what *search* finds at the time *now*, of it all or of the first *limit*.

    The block holds a connection of *reader*; it has no time limit.
    """
    where = filters.where(search, now)
    tail = "" if limit is None else f"LIMIT {where.bind(limit)}::bigint"
    async with reader.reading() as connection:
        await connection.execute(ENDLESS)
        if await reader.divided(connection):  # all of it is then brought together first
            await connection.execute(BOUNDLESS)
            tail += " OFFSET 0"
        # As one SELECT it could be sorted with all that is formatted; `entry` passes over a column.
        statement = (
            f"SELECT NULL, {SELECTED} FROM (SELECT * FROM log_entries e WHERE {where}"
            f" ORDER BY {OLDEST} {tail}) e ORDER BY {OLDEST}"
        )
        blocks = _blocks(connection, statement, where.arguments)
        try:
            yield blocks
        finally:
            await blocks.aclose()


async def _blocks(
    connection: PoolConnectionProxy, statement: str, arguments: list[object]
) -> AsyncGenerator[list[Entry], None]:
    cursor = await connection.cursor(statement, *arguments)
    number = 1
    while rows := await cursor.fetch(number):
        entries = [entry(row) for row in rows]
        # The next block has as many rows as this one lets expect to be of its size.
        taken = 1 + sum(map(size, entries))
        number = max(1, min(MOST_ROWS, 2 * number, len(entries) * MOST_BYTES // taken))
        yield entries


def size(each: Entry) -> int:
    """Give the bytes of what may be large in a record, near enough."""
    return len(each.msg or "") + len(each.error or "") + len(bytes(each.extra or b""))
