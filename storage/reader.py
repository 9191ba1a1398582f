"""
Reading log records: traces, and the values of a field; `storage.pages` has the pages.

Every method reads one snapshot, so that the parts of its answer agree, and raises
`storage.errors.Unavailable` when a statement takes longer than the reader's limit.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from storage import counts, fields, filters, restriction
from storage.database import limited
from storage.entries import Entry, entry
from storage.errors import Unavailable, translated
from storage.layout import Engine, engine
from storage.pages import NEWEST, OLDEST, followed, selected
from storage.roll_ups import STILL
from storage.where import Where, joined

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncIterator, Sequence

    from asyncpg.pool import PoolConnectionProxy

    from storage.fallback import Fallback
    from storage.search import Search

# Fields whose values keep their type; every other name is a key of `extra`.
DISTINCT = {"level", *fields.TEXTS, *fields.IDS, "duration_ms", "severity_number"} - {"error"}

BEGIN = """
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL statement_timeout = {milliseconds};
SET LOCAL plan_cache_mode = {plan}
"""
# The best plan of a filter depends on its values: what suits a minute doesn't suit a month.
# A trace always goes by its index, and with many partitions planning is most of its time.
FILTER, TRACE = "force_custom_plan", "force_generic_plan"


MOST_ENTRIES = 50_000  # of a trace; no reader can do with more


class Trace(msgspec.Struct, frozen=True):
    """What a trace has, oldest first; *cut* is whether that is only its beginning."""

    entries: list[Entry]
    cut: bool


class Reader:
    """
    Answers questions about the stored records; *timeout* is in seconds, a statement.

    *probing* has the connection of `ping`, which so doesn't wait for slow questions; *fallback*
    is where requests go that are sent while the database is away.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        timeout: float = 30.0,
        probing: asyncpg.Pool | None = None,
        fallback: Fallback | None = None,
    ) -> None:
        self._pool = pool
        self._probing = probing or pool
        self.timeout = timeout
        self.fallback = fallback
        self._engine: Engine | None = None  # None: unknown

    def within(self, timeout: float) -> Reader:
        """Give a reader of the same records with another limit."""
        return Reader(self._pool, timeout=timeout, probing=self._probing, fallback=self.fallback)

    async def job(self, job: int | str, *, expand: bool = False) -> Trace:
        """Give the entries of a job, oldest first; *expand* as for `request`."""
        return await self._trace("job_id", job, expand=expand)

    async def request(self, request_id: str, *, expand: bool = False) -> Trace:
        """
        Give the entries of a request, oldest first.

        With *expand* also those of every trace that touched it, whatever request, or none,
        they name themselves.
        """
        return await self._trace("request_id", request_id, expand=expand)

    async def trace(self, trace_id: str) -> Trace:
        """Give the entries of a trace, oldest first."""
        return await self._trace("trace_id", trace_id, expand=False)

    async def keys(self, search: Search, *, now: dt.datetime, sample: int) -> tuple[int, list[str]]:
        """
        Look at the newest *sample* records of *search*.

        Give how many there are, and their keys of `extra`.
        """
        where = filters.where(search, now)
        newest = _newest(str(where), where.bind(sample))
        async with self.reading() as connection:
            rows = await connection.fetch(
                f"WITH newest AS MATERIALIZED ({newest}) SELECT (SELECT count(*) FROM newest),"
                " ARRAY(SELECT DISTINCT key FROM newest,"
                " jsonb_object_keys(CASE jsonb_typeof(extra)"
                " WHEN 'object' THEN extra ELSE '{}' END) key)",
                *where.arguments,
            )
        return rows[0][0], sorted(rows[0][1])

    async def distinct(
        self, field: str, search: Search, *, now: dt.datetime, limit: int
    ) -> list[str | float]:
        """Give the values of *field* in the records of *search*, sorted, without null."""
        async with self.reading() as connection:
            known = await counts.distinct(connection, field, search, now, limit)
            if known is not None:
                return known
            where = filters.where(search, now)
            if field in fields.COLUMNS and field not in DISTINCT:
                field = f"extra.{field}"
            value = fields.value(where, field)
            text = fields.field(field).kind in {"text", "level", "key"}
            collate = ' COLLATE "C"' if text else ""
            where.add(f"{value} IS NOT NULL")
            rows = await connection.fetch(
                f"SELECT DISTINCT ({value}){collate}"
                f" FROM log_entries WHERE {where} ORDER BY 1 LIMIT {where.bind(limit)}",
                *where.arguments,
            )
        return [row[0] for row in rows]

    async def divided(self, connection: Any) -> bool:
        """Tell whether the records are divided among servers, by Citus; it stays so."""
        if self._engine is None:
            self._engine = await engine(connection)
        return self._engine == "citus"

    async def ping(self, *, timeout: float) -> None:  # noqa: ASYNC109  also of the connecting
        """Return when the database answers within *timeout* seconds, or raise Unavailable."""
        with translated():
            async with limited(self._probing, timeout) as connection:
                await connection.fetchval("SELECT 1")

    @asynccontextmanager
    async def owning(self) -> AsyncIterator[PoolConnectionProxy]:
        """
        Give a connection that may write too, for the little that is kept for readers.

        It is that of `ping`, whose callers have a second: so a statement has no longer.
        """
        with translated():
            async with (
                self._probing.acquire(timeout=self.timeout) as connection,
                connection.transaction(),
            ):
                await connection.execute("SET LOCAL statement_timeout = 800")
                yield connection

    async def _trace(self, name: str, value: str | int, *, expand: bool) -> Trace:
        where = Where()
        async with self.reading(TRACE) as connection:
            if await self.divided(connection):  # Citus has no plan for arguments it doesn't know
                await connection.execute(f"SET LOCAL plan_cache_mode = {FILTER}")
            # Of partitions several conditions are one: Postgres joins what their indexes find.
            apart = (expand or name == "job_id") and await engine(connection) == "timescaledb"
            if apart and name == "job_id":
                ways = filters.job(where, value)
            else:
                ways = [filters.equals(where, name, (value,))]
            if expand:
                touched = await connection.fetch(
                    f"SELECT DISTINCT trace_id FROM {_either(ways)} e WHERE trace_id IS NOT NULL",
                    *where.arguments,
                )
                traces = where.bind([row[0] for row in touched])
                ways.append(f"trace_id IS NOT NULL AND trace_id = ANY ({traces}::text[])")
                ways = ways if apart else [joined("OR", ways)]
            # One row more tells whether there are more.
            tail = f"LIMIT {MOST_ENTRIES + 1}"
            rows = await connection.fetch(
                selected("true", OLDEST, tail, _either(ways)), *where.arguments
            )
        entries = [entry(row) for row in rows[:MOST_ENTRIES]]
        return Trace(entries, cut=len(rows) > MOST_ENTRIES or followed(rows))

    @asynccontextmanager
    async def reading(self, plan: str = FILTER) -> AsyncIterator[PoolConnectionProxy]:
        """
        Hold a connection whose statements read one snapshot, each within the time limit.

        It sees what the asker's key is for, as `storage.restriction` has it.

        Other questions than those here, in modules of their own, are asked through it.
        """
        with translated():
            async with self._pool.acquire(timeout=self.timeout) as connection:
                milliseconds = max(1, int(self.timeout * 1000))
                await connection.execute(BEGIN.format(milliseconds=milliseconds, plan=plan))
                try:
                    await connection.execute(STILL)
                    if (restricted := restriction.current.get()) is not None:
                        await restriction.enter(connection, restricted)
                    yield connection
                except asyncpg.QueryCanceledError as exc:
                    raise Unavailable(
                        f"the query took longer than {self.timeout:g} s; narrow it, by time best"
                    ) from exc
                finally:
                    await connection.execute("ROLLBACK")


def _either(ways: Sequence[str]) -> str:
    """
    Give the rows that meet any of some conditions, each by its own index.

    By OFFSET Postgres doesn't know that they are wanted in the order of time, and can't hope to
    find enough of them early on a walk along it.
    """
    selects = []
    for place, way in enumerate(ways):
        others = "".join(f" AND ({other}) IS NOT TRUE" for other in ways[:place])
        selects.append(f"(SELECT * FROM log_entries WHERE ({way}){others} OFFSET 0)")
    return f"({' UNION ALL '.join(selects)})"


def _newest(condition: str, limit: str) -> str:
    return f"SELECT extra FROM log_entries e WHERE {condition} ORDER BY {NEWEST} LIMIT {limit}"
