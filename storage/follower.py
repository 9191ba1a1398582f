"""
Following the table: what has been committed since a position, in pieces, each record once.

Transactions are read in the order of their numbers, of those that are committed at the moment,
and the records of one in the order of time and id. The ledger tells which transactions there
are, and at which times their records lie. Small ones are read together in one query; of a large
one a piece is read along the index by time.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003  msgspec reads the annotations
from contextlib import asynccontextmanager
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from storage import filters, ledger_days, shards, stored
from storage.entries import SELECTED, Entry, entry
from storage.errors import Rejected, translated
from storage.extents import Ledger
from storage.layout import PARTITIONS, Engine, engine
from storage.ledger_days import Days
from storage.moments import sent
from storage.pieces import (
    LAST,
    NUMBERED,
    PLACE,
    WANTED,
    XID,
    Statement,
    numbers,
    select,
)
from storage.positions import BEGINNING, Place, Position, Snapshot
from storage.roll_ups import STILL
from storage.settlement import settled
from storage.stored import Interned, Stored
from storage.where import Where

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import asyncpg

    from storage.search import Search
    from storage.stored import After

BEGIN = f"""
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL statement_timeout = '5min';
SET LOCAL plan_cache_mode = force_custom_plan;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_material = off;
{ledger_days.STILL};
{STILL}
"""
TIMEOUT = 30.0  # seconds until there is a connection
SNAPSHOT = "SELECT pg_current_snapshot()::text"
# Of what the ledger has forgotten, that which a position has not seen. At the beginning nobody
# asks for what was before everything that there is.
NOW = """
SELECT pg_current_snapshot()::text, coalesce(array_agg(last), '{}'),
    coalesce(array_agg(records), '{}')
FROM ledger_dropped WHERE $1::xid8 > '0' AND (last >= $1::xid8 OR last = ANY ($2::xid8[]))
"""
SINCE = """
SELECT xid FROM ledger WHERE received_at >= $1 ORDER BY xid LIMIT 1
"""
LAG = """
SELECT coalesce(sum(records), 0)::bigint,
    coalesce(extract(epoch FROM clock_timestamp() - min(received_at)), 0)::float8,
    (SELECT coalesce(sum(relpages) * current_setting('block_size')::float8
        / nullif(sum(reltuples), 0), 0)
    FROM pg_class WHERE reltuples > 0 AND relkind = 'r' AND oid IN (SELECT partition FROM {}))
FROM (
    SELECT records, received_at FROM ledger WHERE xid >= $1::xid8 AND received_at >= $3
    UNION ALL SELECT records, received_at FROM ledger
    WHERE xid = ANY ($2::xid8[]) AND received_at >= $3
) unread
""".format(f"({PARTITIONS}) partitions")


class Foreign(Rejected):
    """A position is of transactions that this server has not come to: it is of another one."""


class Followed(msgspec.Struct, frozen=True, gc=False):
    """One record as readers get it, and the places of the searches that it meets."""

    entry: Entry
    wanted: tuple[int, ...]
    position: Position  # after this record
    xid: int


class StoredPiece(msgspec.Struct, frozen=True, kw_only=True):
    """
    Records that follow a position, and the position after them.

    It is also after records that no search wants, which *passed* counts too. *gone* are
    those that were deleted before this could read them. Without *more* this was the end.
    """

    rows: list[Stored]
    position: Position
    passed: int
    gone: int
    more: bool


class FollowedPiece(msgspec.Struct, frozen=True, kw_only=True):
    """As `StoredPiece`, of entries."""

    rows: list[Followed]
    position: Position
    passed: int
    gone: int
    more: bool


class Lag(msgspec.Struct, frozen=True):
    """What a position has not seen: *bytes* is an estimate, *seconds* the age of the oldest."""

    records: int
    bytes: int
    seconds: float


class _Read(msgspec.Struct, frozen=True, kw_only=True):
    """Rows as the database gives them, and what a piece of them says."""

    rows: Sequence[asyncpg.Record] = ()
    after: After = lambda _row: BEGINNING  # for there is none
    position: Position
    passed: int = 0
    gone: int = 0
    more: bool = False


class Follower:
    """Reads what follows a position, on connections of *pool* that may do no more than read."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._days = Days()
        self._ledger = Ledger(self._days)
        self._interned = Interned()
        self._engine: Engine | None = None  # None: unknown

    async def stored(
        self,
        position: Position,
        search: Search | None,
        *,
        records: int,
        bytes: int,  # noqa: A002
        now: dt.datetime,
        upto: Snapshot | None = None,
    ) -> StoredPiece:
        """
        Give what follows *position*, of *search* alone, with all that was kept of it.

        A piece goes past up to *records* records and has up to *bytes* bytes, but for one that
        is larger. With *upto* it begins no transaction but those that this snapshot sees.

        Raises:
            Foreign: the position is of another server.
            Unavailable: the database is away, or a lock is held for long; try again later.
        """
        statement = Statement(stored.SELECTED, where := Where(), stored.place)
        if search is not None:
            found = f"{_met(search, where, now)} AS wanted"
            statement = Statement(stored.SELECTED, where, stored.place, found, "wanted")
        async with self._reading() as connection:
            read = await self._read(
                connection,
                position,
                statement,
                records=records,
                bytes=bytes,
                upto=upto,
            )
            loaded = await self._interned.load(connection, read.rows)
        return StoredPiece(
            rows=stored.stored(read.rows, loaded, read.after),
            position=read.position,
            passed=read.passed,
            gone=read.gone,
            more=read.more,
        )

    async def entries(
        self,
        position: Position,
        searches: Sequence[Search],
        *,
        records: int,
        bytes: int,  # noqa: A002
        now: dt.datetime,
        upto: Snapshot | None = None,
    ) -> FollowedPiece:
        """Give what follows *position* and any of *searches* wants; else as `stored`."""
        where = Where()
        places = ", ".join(
            f"CASE WHEN {_met(search, where, now)} THEN {place} END"
            for place, search in enumerate(searches)
        )
        statement = Statement(
            f"timestamptz_send(timestamp), id, places, {SELECTED}",
            where,
            itemgetter(0, 1),
            f"array_remove(ARRAY[{places}]::integer[], NULL) AS places",
            "cardinality(places) > 0",
        )
        async with self._reading() as connection:
            read = await self._read(
                connection,
                position,
                statement,
                records=records,
                bytes=bytes,
                upto=upto,
            )
        return FollowedPiece(
            rows=[
                Followed(entry(row[:WANTED], 3), tuple(row[2]), read.after(row), row[XID])
                for row in read.rows
            ],
            position=read.position,
            passed=read.passed,
            gone=read.gone,
            more=read.more,
        )

    async def now(self) -> Position:
        """Give the position after all that is committed."""
        with translated():
            async with self._pool.acquire(timeout=TIMEOUT) as connection:
                text = await self._settled(connection, await connection.fetchval(SNAPSHOT))
        return Position(Snapshot.of(text))

    async def since(self, time: dt.datetime) -> Position:
        """
        Give the position before the first transaction that was received at *time* or later.

        What was received before that and is not committed yet comes after it too.
        """
        with translated():
            first: int | None = await self._pool.fetchval(SINCE, time)
        current = await self.now()
        return current if first is None else Position(current.seen.until(first - 1))

    async def lag(self, position: Position) -> Lag:
        """Tell how much follows *position*: a third of a second for a million transactions."""
        with translated():
            async with self._pool.acquire(timeout=TIMEOUT) as connection:
                row: Any = await connection.fetchrow(
                    LAG, position.seen.xmax, position.seen.running, self._days.start(position.seen)
                )
                unread, seconds, size = row
                if await self._divided(connection):
                    size = await shards.row_size(connection)
        records = max(unread - (position.within.read if position.within else 0), 0)
        return Lag(records, int(records * size), max(seconds, 0.0) if records else 0.0)

    async def _read(
        self,
        connection: Any,
        position: Position,
        statement: Statement,
        *,
        records: int,
        bytes: int,  # noqa: A002
        upto: Snapshot | None,
    ) -> _Read:
        row = await connection.fetchrow(NOW, position.seen.xmax, position.seen.running)
        current = Snapshot.of(await self._settled(connection, row[0]))
        dropped = dict(zip(row[1], row[2], strict=True))
        if position.seen.xmax > current.xmax:
            raise Foreign(f"position {position} is of transactions that this server has not had")
        reach = await self._ledger.reach(connection, position, upto or current, records)
        if reach is None:
            if dropped:
                position = Position(position.seen | (upto or current).until(max(dropped)))
            return _Read(position=position, gone=sum(dropped.values()))
        rows = await connection.fetch(
            select(statement, reach, records, bytes, divided=await self._divided(connection)),
            *statement.where.arguments,
        )
        former = reach.after.read if reach.after else 0
        number = NUMBERED if statement.wanted else numbers(rows)

        def after(row: asyncpg.Record) -> Position:
            time, id_ = statement.place(row)
            place = Place(xid := row[XID], sent(time), id_, former + number(row))
            return Position(reach.before[xid], place)

        passed = len(rows)
        if rows and statement.wanted:
            passed = rows[-1][PLACE]
        ended = not rows or (rows[-1][LAST] and not (reach.along and passed == records))
        end = after(rows[-1]) if rows else position
        if ended:
            end = reach.end
            if end.within:  # behind an extent
                end = Position(end.seen, msgspec.structs.replace(end.within, read=former + passed))
        if rows and statement.wanted and not rows[-1][WANTED]:
            rows.pop()
        gone = max(reach.expected - passed, 0) if ended and reach.expected is not None else 0
        return _Read(
            rows=rows,
            after=after,
            position=end,
            passed=passed,
            gone=gone + sum(number for last, number in dropped.items() if end.seen.sees(last)),
            more=reach.more or not ended,
        )

    async def _settled(self, connection: Any, snapshot: str) -> str:
        """Give *snapshot* but for what not all servers that have records see yet."""
        return await settled(connection, snapshot) if await self._divided(connection) else snapshot

    async def _divided(self, connection: Any) -> bool:
        if self._engine is None:
            self._engine = await engine(connection)
        return self._engine == "citus"

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Any]:
        with translated():
            await self._days.look(self._pool)
            async with self._pool.acquire(timeout=TIMEOUT) as connection:
                await connection.execute(BEGIN)
                try:
                    yield connection
                finally:
                    await connection.execute("ROLLBACK")


def _met(search: Search, where: Where, now: dt.datetime) -> str:
    return f"({filters.condition(search, where, now)}) IS TRUE"
