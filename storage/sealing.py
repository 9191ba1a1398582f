"""
The index for searches of text, built of each day that is over, and of its parts before that.

Each is built beside the writers (CONCURRENTLY), one at a time. It is an index of the day's own
partition and no other's. Rows that come later are added as they come: a row then costs what
five do without it, but late rows are few.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from storage import partitions, trigrams
from storage.errors import translated
from storage.layout import ROWS_SIZE, engine
from storage.partitions import DAY

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

    from storage.reader import Reader

    Connection = PoolConnectionProxy[asyncpg.Record]

TABLE = "log_entries"
LOCK = 7_166_349_251_015_427  # the advisory lock of who builds the indexes
SETTLED = dt.timedelta(minutes=10)  # from a part's end until its index: senders are late by less
DAY_SETTLED = dt.timedelta(hours=1)
BULK = 10_000  # records of a day in `SETTLED`: while somebody fills it, its index waits
SMALL = 1024 * 1024  # bytes; a partition of no more is looked through in milliseconds
MEMORY = "256MB"  # of one build
# What came late is searched row by row until there is so much of it.
PENDING = 1024  # kB

EXTENSION = """
SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_trgm'
"""
INDEXES = """
SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = to_regclass($1) AND c.relname ~ $2
"""
# The newest record of each request, of those that came lately, says what day it fills.
FILLED = """
SELECT coalesce(sum(records), 0) FROM ledger
WHERE received_at > $1 AND max_timestamp >= $2 AND max_timestamp < $3
"""
STATISTICS = "SELECT 1 FROM pg_statistic_ext WHERE stxname = $1 AND stxrelid = to_regclass($2)"
STATE = f"""
SELECT c.relname, {{0}}(c.oid),
    coalesce(sum(pg_relation_size(x.oid)), 0)::bigint,
    coalesce(bool_or(x.relname = c.relname || '_text'), false),
    count(x.oid) FILTER (WHERE x.relname <> c.relname || '_text')
FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
LEFT JOIN (pg_index i JOIN pg_class x ON x.oid = i.indexrelid)
    ON i.indrelid = c.oid AND i.indisvalid AND x.relname ~ (c.relname || '_text(_[0-9]{{{{2}}}})?$')
WHERE h.inhparent IN (to_regclass('{TABLE}_days'), to_regclass('{TABLE}'))
    AND c.relname ~ '^{TABLE}_[0-9]{{{{8}}}}$'
GROUP BY c.relname, c.oid ORDER BY c.relname DESC
"""

log = structlog.get_logger()


class Sealer:
    """Builds the indexes that are due."""

    def __init__(self, pool: asyncpg.Pool, *, small: int = SMALL) -> None:
        self._pool = pool
        self._small = small
        self._told = False

    async def seal(self, now: dt.datetime) -> list[str]:
        """
        Build every index that is due at *now*, aware; give what was done, a line each.

        Nothing where another process does it now, or the server has no pg_trgm, which is said
        once. What is cut short is begun anew the next time.

        Raises:
            Unavailable: the database is away; try again later.
        """
        with translated():
            async with self._pool.acquire() as connection:
                schema = await connection.fetchval(EXTENSION)
                if schema is None:
                    self._tell()
                    return []
                if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
                    return []
                try:
                    await connection.execute(
                        f"SET maintenance_work_mem = '{MEMORY}';"
                        # Newer servers build by several processes; the writers want theirs.
                        "SET max_parallel_maintenance_workers = 0"
                    )
                    done = []
                    for day in sorted(await partitions.days(connection, TABLE), reverse=True):
                        done += await self._seal_day(connection, schema, day, now)
                    return done
                finally:
                    await connection.execute(
                        "RESET maintenance_work_mem; RESET max_parallel_maintenance_workers"
                    )
                    await connection.fetchval("SELECT pg_advisory_unlock($1)", LOCK)

    def _tell(self) -> None:
        if not self._told:
            log.warning("searches_of_text_have_no_index", reason="the server has no pg_trgm")
            self._told = True

    async def _seal_day(
        self, connection: Connection, schema: str, day: dt.date, now: dt.datetime
    ) -> list[str]:
        leaf, start = f"{TABLE}_{day:%Y%m%d}", partitions.start(day)
        whole = f"{leaf}_text"
        indexes = await connection.fetch(INDEXES, leaf, f"^{whole}(_[0-9]+)?$")
        valid: dict[str, bool] = {row[0]: row[1] for row in indexes}
        if valid.get(whole):
            return await _leave(connection, leaf, valid)
        measured = ROWS_SIZE[await engine(connection)]
        size = await connection.fetchval(f"SELECT {measured}(to_regclass($1))", leaf)
        if size is None:  # who deletes has dropped it meanwhile
            return []
        over = start + DAY + DAY_SETTLED <= now
        if size <= self._small or not over:
            done = await _describe(connection, leaf)
        if size <= self._small:
            return done
        if over:
            if await connection.fetchval(FILLED, now - SETTLED, start, start + DAY) > BULK:
                return []
            done = await _build(connection, schema, leaf, whole, valid)
            await connection.execute(f"ANALYZE {leaf}")
            return done + await _leave(connection, leaf, valid)
        for begin, end in trigrams.parts(now):
            name = f"{whole}_{begin:%H}"
            if begin.date() == day and end + SETTLED <= now and not valid.get(name):
                where = f" WHERE {trigrams.within(begin, end)}"
                done += await _build(connection, schema, leaf, name, valid, where)
        return done


async def _leave(connection: Connection, leaf: str, valid: dict[str, bool]) -> list[str]:
    """Drop what the index of the whole day replaces; it has statistics of its own."""
    whole = f"{leaf}_text"
    parts = sorted(valid.keys() - {whole})
    for part in parts:
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {part}")
    if await connection.fetchval(STATISTICS, whole, leaf):
        await connection.execute(f"DROP STATISTICS {whole}")
    return [f"dropped index {part}" for part in parts]


async def _build(
    connection: Connection,
    schema: str,
    leaf: str,
    name: str,
    valid: dict[str, bool],
    where: str = "",
) -> list[str]:
    if name in valid:  # somebody was cut short; such an index costs and is of no use
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    start = dt.datetime.now(dt.UTC)
    await connection.execute(
        f"CREATE INDEX CONCURRENTLY {name} ON {leaf} USING gin"
        f' ({trigrams.LOG_TEXT} COLLATE "C" {schema}.gin_trgm_ops)'
        f" WITH (gin_pending_list_limit = {PENDING}){where}"
    )
    seconds = (dt.datetime.now(dt.UTC) - start).total_seconds()
    return [f"made index {name} in {seconds:.1f} s"]


async def _describe(connection: Connection, leaf: str) -> list[str]:
    """Let the planner know how many rows have a text, of a partition that no index tells it of."""
    name = f"{leaf}_text"
    if await connection.fetchval(STATISTICS, name, leaf):
        return []
    await connection.execute(
        f'CREATE STATISTICS {name} ON ({trigrams.LOG_TEXT} COLLATE "C") FROM {leaf}'
    )
    await connection.execute(f"ANALYZE {leaf}")
    return [f"made statistics {name}"]


class IndexedDay(msgspec.Struct, frozen=True, kw_only=True):
    """How searches of text go through one day."""

    day: dt.date
    bytes: int  # of the records
    index_bytes: int
    indexed: bool  # the whole of it
    parts: int  # indexed before the whole is


class TextIndex(msgspec.Struct, frozen=True, kw_only=True):
    """How searches of text go through the records; without *available*, row by row."""

    available: bool
    days: list[IndexedDay]


async def state(reader: Reader) -> TextIndex:
    """Tell which days have their index, newest first."""
    async with reader.reading() as connection:
        schema = await connection.fetchval(EXTENSION)
        size = ROWS_SIZE[await engine(connection)]
        rows: list[Any] = await connection.fetch(STATE.format(size))
    return TextIndex(
        available=schema is not None,
        days=[
            IndexedDay(
                day=dt.date.fromisoformat(name[-8:]),
                bytes=size,
                index_bytes=index_size,
                indexed=whole,
                parts=parts,
            )
            for name, size, index_size, whole, parts in rows
        ],
    )
