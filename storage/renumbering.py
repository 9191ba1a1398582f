"""
Numbers of transactions that a backup has brought from another server, which are not ours.

This server will have transactions of the same numbers one day. The rows get numbers of the
past: 0 where every destination has read them, and else 2, which no transaction ever has. A
destination then goes on after 0. It so misses nothing, and gets again what others have not read.
"""

from __future__ import annotations

from typing import Any

from storage.layout import NAMES
from storage.positions import Position, Snapshot

AFTER = Position(Snapshot(1))  # sees 0 and not 2
POSITIONS = "SELECT position FROM destinations"
CURRENT = "SELECT pg_snapshot_xmax(pg_current_snapshot())"
RENUMBER = """
UPDATE {0} SET {1} = CASE WHEN {2} THEN '0'::xid8 ELSE '2'::xid8 END
WHERE {1} >= pg_snapshot_xmax(pg_current_snapshot())
"""
GO_ON = "UPDATE destinations SET position = $1, epoch = epoch + 1, changed_at = now()"
CANCEL = "UPDATE replays SET state = 'cancelled', changed_at = now() WHERE state = 'running'"


async def foreign(connection: Any) -> bool:
    """Tell whether a destination's position is of transactions that are still to come."""
    current = await connection.fetchval(CURRENT)
    return any(each.seen.xmax > current for each in await _positions(connection))


async def renumber(connection: Any) -> None:
    """Give rows with numbers that are still to come others; the same again changes nothing."""
    seen = " AND ".join(
        [f"({{0}} < '{each.seen.xmax}' {_but(each)})" for each in await _positions(connection)]
    )
    tables = [(row[0], "xid") for row in await connection.fetch(NAMES)]
    for table, column in (*tables, ("ledger", "xid"), ("ledger_dropped", "last")):
        condition = seen.format(column) or "false"
        await connection.execute(RENUMBER.format(table, column, condition))


async def go_on(connection: Any) -> None:
    """Set all destinations behind what they have read, in the caller's transaction."""
    await connection.execute(GO_ON, str(AFTER))
    await connection.execute(CANCEL)


async def _positions(connection: Any) -> list[Position]:
    return [Position.parse(row[0]) for row in await connection.fetch(POSITIONS)]


def _but(position: Position) -> str:
    running = ", ".join(f"'{each}'" for each in position.seen.running)
    return f"AND {{0}} NOT IN ({running})" if running else ""
