"""
Holding a destination: of all processes one does, by an advisory lock of its session.

Each new holder raises the destination's epoch, and who has an older one records nothing any
more, so that a position is never moved back by who has lost the lock and doesn't know it.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import msgspec

from storage.database import closed
from storage.destinations import (
    CHANGE,
    REPLAYS,
    SELECT,
    Destination,
    Replay,
    State,
    Unknown,
    destination_of,
    replay_of,
)
from storage.errors import Unavailable, translated
from storage.moments import literal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import asyncpg

    from storage.positions import Position

SEED = 7_166_349_251_015_440  # the advisory locks of destinations are hashes of their names by it
TIMEOUT = 10.0  # seconds for a statement of the holder
# The server notices within 4 s that a holder's machine is gone, and gives the lock away.
WATCHED = """
SET tcp_keepalives_idle = 2; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 2;
SET tcp_user_timeout = 4000
"""
UNWATCHED = """
RESET tcp_keepalives_idle; RESET tcp_keepalives_interval; RESET tcp_keepalives_count;
RESET tcp_user_timeout
"""
LOCK = f"SELECT pg_try_advisory_lock(hashtextextended($1, {SEED}))"
UNLOCK = f"SELECT pg_advisory_unlock(hashtextextended($1, {SEED}))"
RAISE = """
UPDATE destinations SET epoch = epoch + 1, holder = $2, changed_at = now() WHERE name = $1
RETURNING epoch
"""
LEAVE = "UPDATE destinations SET holder = NULL WHERE name = $1 AND epoch = $2"
# Every second, which is too often to count what may be millions.
LOOK = f"{SELECT.format(letters=0)} WHERE name = $1"
RECORD = """
UPDATE destinations SET position = $3, sent = sent + $4, rejected = rejected + $5,
    skipped = skipped + $6, gone = gone + $7, dead = dead + $8,
    last_sent_at = CASE WHEN $4 > 0 THEN now() ELSE last_sent_at END
WHERE name = $1 AND epoch = $2
"""
RECORD_REPLAY = """
UPDATE replays SET position = $2, sent = sent + $3, changed_at = now(),
    state = CASE WHEN $4 AND state = 'running' THEN 'done' ELSE state END
WHERE id = $1
"""
BURY = """
INSERT INTO dead_letters (destination, entry_timestamp, entry_id, reason, status)
SELECT $1, found.timestamp, found.id, reason, status FROM (
    SELECT DISTINCT e.timestamp, e.id, reason, status, place
    FROM unnest($2::text[], $3::bigint[], $4::text[], $5::integer[])
        WITH ORDINALITY letter (time, id, reason, status, place)
    JOIN log_entries e ON e.timestamp = time::timestamptz AND e.id = letter.id) found
ORDER BY place
ON CONFLICT (destination, entry_timestamp, entry_id) DO UPDATE SET reason = excluded.reason,
    status = excluded.status, attempts = dead_letters.attempts + 1, retry = false
"""
RETRIED = """
WITH letters AS (
    DELETE FROM dead_letters WHERE destination = $1 AND id = ANY ($3)
        AND EXISTS (SELECT FROM destinations WHERE name = $1 AND epoch = $2 FOR UPDATE)
    RETURNING 1)
UPDATE destinations SET sent = sent + (SELECT count(*) FROM letters), last_sent_at = now()
WHERE name = $1 AND epoch = $2
"""
REFUSED = """
UPDATE dead_letters SET reason = $2, status = $3, attempts = attempts + 1, retry = false
WHERE id = $1
"""
FAILED = """
UPDATE destinations SET last_error = $3, last_error_at = now() WHERE name = $1 AND epoch = $2
"""


class Lost(Unavailable):
    """Somebody else holds the destination by now, or its position was changed by hand."""


class Letter(msgspec.Struct, frozen=True):
    """A record that a destination will not take, by the position after it."""

    position: Position
    reason: str
    status: int | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What is settled: all up to *position*, and what became of it since the last time."""

    position: Position
    sent: int = 0
    rejected: int = 0
    skipped: int = 0
    gone: int = 0
    letters: Sequence[Letter] = ()


class Claim:
    """The holder's side of a destination, as long as the block of `claim` runs."""

    def __init__(self, connection: Any, name: str, epoch: int) -> None:
        self.name = name
        self._connection = connection
        self._epoch = epoch
        self._using = asyncio.Lock()

    async def destination(self) -> Destination:
        """
        Give the destination as it is now, without a count of its dead letters.

        It is what the holder looks at every second or so.

        Raises:
            Lost: this is no longer the holder, or the position has been changed.
        """
        async with self._used() as connection:
            row = await connection.fetchrow(LOOK, self.name)
        if row is None or row["epoch"] != self._epoch:
            raise Lost(f"destination {self.name} has another holder or position")
        return destination_of(row)

    async def record(self, progress: Progress) -> None:
        """
        Commit *progress*: position, counters and dead letters together, or nothing of it.

        Raises:
            Lost: this is no longer the holder, or the position has been changed.
            Unavailable: the database is away.
        """
        async with self._used() as connection, connection.transaction():
            status = await connection.execute(
                RECORD,
                self.name,
                self._epoch,
                str(progress.position),
                progress.sent,
                progress.rejected,
                progress.skipped,
                progress.gone,
                len(progress.letters),
            )
            self._check(status)
            await self._bury(connection, progress.letters)

    async def record_replay(self, replay: int, progress: Progress, *, done: bool) -> None:
        """Do as `record`, of a replay: the position is the replay's own."""
        async with self._used() as connection, connection.transaction():
            destination = await connection.fetchrow(
                "SELECT position FROM destinations WHERE name = $1 AND epoch = $2 FOR UPDATE",
                self.name,
                self._epoch,
            )
            self._check("UPDATE 0" if destination is None else "UPDATE 1")
            await connection.execute(
                RECORD,
                self.name,
                self._epoch,
                destination["position"],
                progress.sent,
                progress.rejected,
                progress.skipped,
                progress.gone,
                len(progress.letters),
            )
            await connection.execute(
                RECORD_REPLAY, replay, str(progress.position), progress.sent, done
            )
            await self._bury(connection, progress.letters)

    async def replays(self) -> list[Replay]:
        """Give the replays that are to be done."""
        async with self._used() as connection:
            rows = await connection.fetch(REPLAYS, self.name)
        return [each for each in map(replay_of, rows) if each.state == "running"]

    async def retried(
        self, sent: Sequence[int], failed: Sequence[tuple[int, str, int | None]]
    ) -> None:
        """
        Commit what became of dead letters: those with the ids of *sent* are none any more.

        Of *failed* each is an id, a reason and a status.
        """
        async with self._used() as connection, connection.transaction():
            self._check(await connection.execute(RETRIED, self.name, self._epoch, sent))
            await connection.executemany(REFUSED, failed)

    async def failed(self, error: str) -> None:
        """Say what went wrong the last time."""
        async with self._used() as connection:
            self._check(await connection.execute(FAILED, self.name, self._epoch, error))

    async def stop(self, reason: str) -> None:
        """Say that nothing is sent any more until somebody has mended *reason*."""
        await self._change("stopped", reason)

    async def run(self) -> None:
        """Say that it is sent to again, after `stop`."""
        await self._change("running", None)

    async def _change(self, state: State, reason: str | None) -> None:
        async with self._used() as connection:
            self._check(await connection.execute(CHANGE, self.name, state, reason, self._epoch))

    async def _bury(self, connection: Any, letters: Sequence[Letter]) -> None:
        places = [each.position.within for each in letters]
        if letters:
            await connection.execute(
                BURY,
                self.name,
                [literal(place.moment) for place in places if place],
                [place.id for place in places if place],
                [each.reason for each in letters],
                [each.status for each in letters],
            )

    def _check(self, status: str) -> None:
        if status.endswith(" 0"):
            raise Lost(f"destination {self.name} has another holder or position")

    @asynccontextmanager
    async def _used(self) -> AsyncIterator[Any]:
        """Have the connection alone; a failure of it is the end of the claim."""
        async with self._using:
            try:
                with translated():
                    async with asyncio.timeout(TIMEOUT):
                        yield self._connection
            except Unavailable as exc:
                if isinstance(exc.__cause__, TimeoutError):  # nobody knows what became of it
                    self._connection.terminate()
                if closed(self._connection):
                    raise Lost(f"the connection that held {self.name} is lost: {exc}") from exc
                raise


@asynccontextmanager
async def claim(pool: asyncpg.Pool, name: str, holder: str) -> AsyncIterator[Claim | None]:
    """
    Hold destination *name* in the block, or give None where another does.

    The block has a connection of *pool* to itself. *holder* is who it is, as host:process.

    Raises:
        Unknown: nobody has registered it.
        Unavailable: the database is away.
    """
    async with _acquired(pool) as connection:
        with translated():
            await connection.execute(WATCHED)
            locked = await connection.fetchval(LOCK, name)
        try:
            if not locked:
                yield None
                return
            with translated():
                epoch = await connection.fetchval(RAISE, name, holder)
            if epoch is None:
                raise Unknown(f"there is no destination {name!r}")
            yield Claim(connection, name, epoch)
            with suppress(Unavailable), translated():
                await connection.execute(LEAVE, name, epoch, timeout=TIMEOUT)
        finally:
            with suppress(Unavailable), translated():
                if locked:
                    await connection.fetchval(UNLOCK, name, timeout=TIMEOUT)
                await connection.execute(UNWATCHED, timeout=TIMEOUT)


@asynccontextmanager
async def _acquired(pool: asyncpg.Pool) -> AsyncIterator[Any]:
    """Have a connection of *pool*; what the block raises is none of its business."""
    with translated():
        connection = await pool.acquire(timeout=TIMEOUT)
    try:
        yield connection
    finally:
        await pool.release(connection)
