"""
Connections through a pooler such as PgBouncer, which lends its own for a transaction at a time.

Whatever outlives a transaction is lost there, or found by somebody else: settings, roles and
prepared statements. So all is done in transactions, each of which begins with the settings, and
statements have no names. What needs a session (its advisory locks, LISTEN, knowing which process of
the server one has) needs the server itself.
"""

from __future__ import annotations

import functools
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from storage.errors import translated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

TIMEOUT = 10.0  # seconds to connect, and for each question
LOOKS = 10  # times that two connections are compared
# Of a setting that says how transactions begin there is one for the transaction that has begun.
WITHIN = {"default_transaction_read_only": "transaction_read_only"}

PROCESS = "SELECT pg_backend_pid()"
LOCK = "SELECT pg_try_advisory_xact_lock($1), to_regclass('log_entries')::oid"


def _whole(method: Callable[..., Any]) -> Any:
    """Do *method* in a transaction, if none is open."""

    @functools.wraps(method)
    async def within(self: Pooled, *args: Any, **options: Any) -> Any:
        if self.is_in_transaction():
            return await method(self, *args, **options)
        async with self.transaction():
            return await method(self, *args, **options)

    return within


class Pooled(asyncpg.Connection):
    """A connection that does everything in transactions; each begins with `settings`."""

    settings: dict[str, str] = {}  # noqa: RUF012  it is never changed, but replaced

    async def hold(self, name: str, value: str) -> None:
        """Add a setting, if the server takes it."""
        async with self.transaction():
            await self.execute(f"SET LOCAL {name} = '{value}'")
        self.settings = self.settings | {name: value}

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:  # noqa: ASYNC109  asyncpg's
        """Do as asyncpg; a BEGIN is followed by the settings."""
        if self.is_in_transaction():
            return await super().execute(query, *args, timeout=timeout)
        begin, _, rest = query.partition(";")
        if not begin.lstrip().startswith("BEGIN"):
            async with self.transaction():
                return await super().execute(query, *args, timeout=timeout)
        settings = (f"SET LOCAL {WITHIN.get(n, n)} = '{v}'" for n, v in self.settings.items())
        try:
            return await super().execute("; ".join((begin, *settings, rest)), timeout=timeout)
        except asyncpg.PostgresError:
            self.terminate()  # there is no telling what it has of them
            raise

    fetch: Any = _whole(asyncpg.Connection.fetch)
    fetchrow: Any = _whole(asyncpg.Connection.fetchrow)
    fetchval: Any = _whole(asyncpg.Connection.fetchval)
    executemany: Any = _whole(asyncpg.Connection.executemany)
    copy_records_to_table: Any = _whole(asyncpg.Connection.copy_records_to_table)

    def get_server_pid(self) -> int:
        """Give 0: each transaction may have another process of the server, none that is known."""
        return 0

    async def _get_statement(self, *args: Any, named: object = False, **options: Any) -> Any:  # noqa: ARG002
        # Those of COPY and of cursors have names in asyncpg, even if it is told to keep none. They
        # would stay in the server, where they are in the way of others.
        return await super()._get_statement(*args, named="", **options)  # type: ignore[misc]


async def lends(dsn: str) -> bool:
    """
    Tell whether *dsn* leads to a pooler that lends its connections for less than a session.

    Raises:
        Unavailable: the database cannot be reached.
    """
    async with _connected(dsn) as one:
        ours = await one.fetchval(PROCESS, timeout=TIMEOUT)
        if ours == one.get_server_pid():
            return False
        # Two sessions have two processes; who lends gives the one that was used last, mostly.
        async with _connected(dsn) as other:
            theirs = await other.fetchval(PROCESS, timeout=TIMEOUT)
            for _ in range(LOOKS):
                now = [await each.fetchval(PROCESS, timeout=TIMEOUT) for each in (one, other)]
                if ours == theirs or now != [ours, theirs]:
                    return True
    return False


async def same(dsn: str, through: str) -> bool:
    """
    Tell whether our tables are those of the database *dsn* also *through* a pooler.

    Raises:
        Unavailable: one of them cannot be reached.
    """
    key = secrets.randbits(62)
    async with (
        _connected(dsn) as straight,
        _connected(through, Pooled) as pooled,
        pooled.transaction(),
    ):
        locked, table = await pooled.fetchrow(LOCK, key, timeout=TIMEOUT)
        free, ours = await straight.fetchrow(LOCK, key, timeout=TIMEOUT)
    return locked and not free and table == ours


@asynccontextmanager
async def _connected(
    dsn: str, kind: type[asyncpg.Connection] = asyncpg.Connection
) -> AsyncIterator[Any]:
    with translated():
        connection: Any = await asyncpg.connect(
            dsn, timeout=TIMEOUT, statement_cache_size=0, connection_class=kind
        )
        try:
            yield connection
        finally:
            await connection.close(timeout=TIMEOUT)
