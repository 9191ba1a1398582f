"""Destinations: where records are sent on, and how far that has come; see also `storage.claims`."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  msgspec reads the annotations
from typing import Any, Literal, TypeAlias

import asyncpg
import msgspec

from storage.errors import Rejected, translated
from storage.positions import Position, Snapshot

State: TypeAlias = Literal["running", "paused", "stopped"]

REGISTER = "INSERT INTO destinations (name, position) VALUES ($1, $2) ON CONFLICT DO NOTHING"
SELECT = """
SELECT name, position, epoch, holder, state, reason, sent, rejected, skipped, dead, gone,
    {letters} AS letters, last_error, last_error_at, last_sent_at, created_at, changed_at
FROM destinations
"""
COUNTED = SELECT.format(letters="(SELECT count(*) FROM dead_letters WHERE destination = name)")
CHANGE = """
UPDATE destinations SET state = $2, reason = $3, changed_at = now()
WHERE name = $1 AND ($4::bigint IS NULL OR epoch = $4)
"""
SKIP = """
UPDATE destinations SET position = $2, skipped = skipped + $3, epoch = epoch + 1,
    changed_at = now()
WHERE name = $1
"""
REPLAY = "INSERT INTO replays (destination, position, upto) VALUES ($1, $2, $3) RETURNING id"
REPLAYS = """
SELECT id, destination, position, upto, state, sent, created_at, changed_at FROM replays
WHERE ($1::text IS NULL OR destination = $1) ORDER BY id
"""
CANCEL = "UPDATE replays SET state = 'cancelled' WHERE id = $1 AND state = 'running'"


class Unknown(Rejected):
    """There is no such destination."""


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """A destination as the table has it; *letters* is how many dead letters it has now."""

    name: str
    position: Position
    epoch: int
    holder: str | None
    state: State
    reason: str | None
    sent: int
    rejected: int
    skipped: int
    dead: int
    gone: int
    letters: int
    last_error: str | None
    last_error_at: dt.datetime | None
    last_sent_at: dt.datetime | None
    created_at: dt.datetime
    changed_at: dt.datetime


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent once more: from *position* on the transactions that *upto* sees."""

    id: int
    destination: str
    position: Position
    upto: Snapshot
    state: Literal["running", "done", "cancelled"]
    sent: int
    created_at: dt.datetime
    changed_at: dt.datetime


async def register(pool: asyncpg.Pool, name: str, start: Position) -> None:
    """Have a destination *name*; if it is new, it begins at *start*."""
    with translated():
        await pool.execute(REGISTER, name, str(start))


async def unregister(pool: asyncpg.Pool, name: str) -> None:
    """Forget a destination, its position and its dead letters."""
    with translated():
        _known(name, await pool.execute("DELETE FROM destinations WHERE name = $1", name))


async def status(pool: asyncpg.Pool) -> list[Destination]:
    """Give all destinations, by name."""
    with translated():
        return [destination_of(row) for row in await pool.fetch(f"{COUNTED} ORDER BY name")]


async def pause(pool: asyncpg.Pool, name: str, reason: str | None = None) -> None:
    """Have nothing more sent to *name* until `resume`; raise Unknown if there is none."""
    with translated():
        _known(name, await pool.execute(CHANGE, name, "paused", reason, None))


async def resume(pool: asyncpg.Pool, name: str) -> None:
    """Send to *name* again from where it was; raise Unknown if there is none."""
    with translated():
        _known(name, await pool.execute(CHANGE, name, "running", None, None))


async def skip(pool: asyncpg.Pool, name: str, position: Position, records: int = 0) -> None:
    """
    Go on from *position*; *records* that are before it, and were not settled, count as skipped.

    Raises:
        Unknown: there is no such destination.
    """
    with translated():
        _known(name, await pool.execute(SKIP, name, str(position), records))


async def replay(pool: asyncpg.Pool, name: str, start: Position, upto: Snapshot) -> int:
    """
    Send once more what follows *start* and *upto* sees, beside what is new; give the number.

    Raises:
        Unknown: there is no such destination.
    """
    with translated():
        try:
            number: int = await pool.fetchval(REPLAY, name, str(start), str(Position(upto)))
        except asyncpg.ForeignKeyViolationError:
            raise Unknown(f"there is no destination {name!r}") from None
    return number


async def replays(pool: asyncpg.Pool, name: str | None = None) -> list[Replay]:
    """Give all replays, or those of *name*, the oldest first."""
    with translated():
        return [replay_of(row) for row in await pool.fetch(REPLAYS, name)]


async def cancel(pool: asyncpg.Pool, number: int) -> None:
    """Send no more of a replay."""
    with translated():
        await pool.execute(CANCEL, number)


def destination_of(row: Any) -> Destination:
    """Make a destination of a row of `SELECT`."""
    return Destination(**{**row, "position": Position.parse(row["position"])})


def replay_of(row: Any) -> Replay:
    """Make a replay of a row of `REPLAYS`."""
    parsed = {
        "position": Position.parse(row["position"]),
        "upto": Position.parse(row["upto"]).seen,
    }
    return Replay(**{**row, **parsed})


def _known(name: str, status: str) -> None:
    if status.endswith(" 0"):
        raise Unknown(f"there is no destination {name!r}")
