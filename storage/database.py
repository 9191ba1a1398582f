"""Connections to Postgres, set the way every part of us relies on."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

import asyncpg
import structlog

from migrations.reader import READER
from storage.errors import StorageError, Unavailable, translated
from storage.layout import ENGINE
from storage.pooler import Pooled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping

Pool = asyncpg.Pool

SETTINGS = {
    "application_name": "pixsim-collector",
    "synchronous_commit": "on",  # an acknowledged record is on disk, whatever the server's default
    "timezone": "UTC",
    "jit": "off",  # compiling takes longer than our queries do
}
# Of a writer that is gone without a word, so that its transaction ends too.
WRITING_SETTINGS = SETTINGS | {"idle_in_transaction_session_timeout": "60s"}
# What one query may cost at most, for who sets no limits of its own.
READING_SETTINGS = SETTINGS | {
    "application_name": "pixsim-collector reader",
    "default_transaction_read_only": "on",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
    "work_mem": "32MB",  # for each sort, and twice for each hash; beyond it they go to disk
}
TEMP_FILE_LIMIT = "4GB"  # of a query's sorts and hashes on disk; only a superuser may set it
CONNECT_TIMEOUT = 10.0  # seconds
PATIENCE = 0.1  # seconds from the closing of a connection to the end of what waits for it
CLOSE_TIMEOUT = 5.0  # seconds; Pool.close alone waits for ever for connections still out

# Nobody may become a role that there isn't, and one without rights on our tables is of no use.
MAY_READ = f"""
SELECT coalesce((SELECT has_table_privilege(oid, to_regclass('log_entries'), 'SELECT')
    FROM pg_roles WHERE rolname = $1), false), ({ENGINE})
"""

log = structlog.get_logger()


@asynccontextmanager
async def connected(
    dsn: str,
    *,
    size: int,
    at_once: bool = True,
    pooled: bool = False,
    settings: Mapping[str, str] = SETTINGS,
    init: Callable[[Any], Coroutine[Any, Any, None]] | None = None,
) -> AsyncIterator[asyncpg.Pool]:
    """
    Hold a pool of up to *size* connections to *dsn* open; *init* is done to each new one.

    *pooled* is whether *dsn* leads to a pooler, as `storage.pooler` has it.

    Raises:
        Unavailable: the database cannot be reached *at_once*.
    """
    options: dict[str, Any] = {"server_settings": dict(settings), "init": init}
    if pooled:
        options = _pooled(settings, init)
    with translated():
        pool = await asyncpg.create_pool(
            dsn,
            min_size=0,  # or else asyncpg tells of each try to have as many again
            max_size=size,
            timeout=CONNECT_TIMEOUT,
            reset=_keep,
            **options,
        )
    try:
        if at_once:
            with translated():
                async with pool.acquire():
                    pass
        yield pool
    finally:
        try:
            await asyncio.wait_for(pool.close(), CLOSE_TIMEOUT)
        except TimeoutError:
            pool.terminate()


async def answers(dsn: str) -> bool:
    """Tell whether the database can be reached."""
    try:
        async with connected(dsn, size=1):
            return True
    except Unavailable:
        return False


@asynccontextmanager
async def reading(
    dsn: str, *, size: int, at_once: bool = True, pooled: bool = False
) -> AsyncIterator[asyncpg.Pool]:
    """
    Hold a pool for queries open, as `connected` does: they can change nothing.

    They run as the role `READER`, which may read our tables and nothing else; where our own
    may not become it, as our own, which is said once.
    """
    told = False

    async def restrict(connection: Any) -> None:
        nonlocal told
        problem = await _restrict(connection)
        if problem and not told:
            log.warning("queries_run_as_owner", reason=problem)
            told = True

    async with connected(
        dsn, size=size, at_once=at_once, pooled=pooled, settings=READING_SETTINGS, init=restrict
    ) as pool:
        yield pool


class Lender(Protocol):
    """What lends connections, such as a pool."""

    def acquire(self) -> AbstractAsyncContextManager[Any]:
        """Lend one inside a block."""


class _Kept:
    """Lends the same connection of *pool* again and again, one at a time, until it is lost."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._connection: Any = None

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        if self._connection is not None and closed(self._connection):
            await self.release()
        if self._connection is None:
            self._connection = await self._pool.acquire()
        yield self._connection

    async def release(self) -> None:
        """Give it back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._pool.release(connection)


@asynccontextmanager
async def kept(pool: asyncpg.Pool) -> AsyncIterator[Lender]:
    """
    Give what lends a connection of *pool*, the same each time, and keeps it inside the block.

    It is for who commits little at a time: to borrow a connection takes as long as to encode
    some ten records.
    """
    lender = _Kept(pool)
    try:
        yield lender
    finally:
        await lender.release()


@asynccontextmanager
async def limited(lender: Lender, seconds: float) -> AsyncIterator[Any]:
    """
    Give a connection of *lender* for at most *seconds*.

    Then it is closed, and what it does fails: to cancel it one would have to wait for the
    server, which perhaps hangs.

    Raises:
        TimeoutError: they were not enough.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    try:
        async with asyncio.timeout_at(end + PATIENCE), lender.acquire() as connection:
            closing = loop.call_at(end, connection.terminate)
            try:
                yield connection
            except StorageError:
                raise
            except Exception as exc:
                # Of a connection that is being lost asyncpg raises whatever it has come to.
                if isinstance(exc, asyncpg.InternalClientError):
                    connection.terminate()
                if closed(connection):
                    raise ConnectionError(f"the connection was lost: {exc!r}") from exc
                raise
            finally:
                closing.cancel()
    except Exception as exc:
        if loop.time() < end:
            raise
        raise TimeoutError(f"no answer within {seconds:g} s") from exc


async def _restrict(connection: Any) -> str | None:
    """Take rights from *connection*; give the reason where that can't be."""
    with suppress(asyncpg.InsufficientPrivilegeError):  # the server's own limit holds
        await _hold(connection, "temp_file_limit", TEMP_FILE_LIMIT)
    may_read, kept_by = await connection.fetchrow(MAY_READ, READER)
    if kept_by == "citus":
        return "as another role the coordinator reaches no worker; see docs/citus.md"
    if not may_read:
        return f"there is no role {READER} that may read log_entries; see docs/sql.md"
    try:
        await _hold(connection, "role", READER)
    except asyncpg.InsufficientPrivilegeError as exc:
        return f"{exc}; see docs/sql.md"
    return None


async def _hold(connection: Any, name: str, value: str) -> None:
    """Set what is to hold for as long as *connection* lives."""
    if type(connection) is Pooled:  # of any asyncpg says that it is an instance
        await connection.hold(name, value)
    else:
        await connection.execute(f"SET {name} = '{value}'")


def _pooled(
    settings: Mapping[str, str], init: Callable[[Any], Coroutine[Any, Any, None]] | None
) -> dict[str, Any]:
    """Give the options of connections through a pooler, which keeps the name of who connects."""

    async def prepare(connection: Pooled) -> None:
        connection.settings = dict(settings)
        if init is not None:
            await init(connection)

    return {
        "server_settings": {"application_name": settings["application_name"]},
        "connection_class": Pooled,
        "statement_cache_size": 0,
        "init": prepare,
    }


def closed(connection: Any) -> bool:
    """Tell whether *connection* of a pool is lost; the pool has then taken it back."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True


async def _keep(connection: object) -> None:
    """Leave a connection as it is: nobody here leaves settings, cursors or locks behind."""
