"""Connections to Postgres, set the way every part of us relies on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import asyncpg
import structlog

from migrations.reader import READER
from storage.errors import translated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping

Pool = asyncpg.Pool

SETTINGS = {
    "application_name": "pixsim-collector",
    "synchronous_commit": "on",  # an acknowledged record is on disk, whatever the server's default
    "timezone": "UTC",
    "jit": "off",  # compiling takes longer than our queries do
}
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
CLOSE_TIMEOUT = 5.0  # seconds; Pool.close alone waits for ever for connections still out

# Nobody may become a role that there isn't, and one without rights on our tables is of no use.
MAY_READ = """
SELECT coalesce((SELECT has_table_privilege(oid, to_regclass('log_entries'), 'SELECT')
    FROM pg_roles WHERE rolname = $1), false)
"""

log = structlog.get_logger()


@asynccontextmanager
async def connected(
    dsn: str,
    *,
    size: int,
    settings: Mapping[str, str] = SETTINGS,
    init: Callable[[Any], Coroutine[Any, Any, None]] | None = None,
) -> AsyncIterator[asyncpg.Pool]:
    """
    Hold a pool of up to *size* connections to *dsn* open; *init* is done to each new one.

    Raises:
        Unavailable: the database cannot be reached.
    """
    with translated():
        pool = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size,
            server_settings=dict(settings),
            timeout=CONNECT_TIMEOUT,
            init=init,
            reset=_keep,
        )
    try:
        yield pool
    finally:
        try:
            await asyncio.wait_for(pool.close(), CLOSE_TIMEOUT)
        except TimeoutError:
            pool.terminate()


@asynccontextmanager
async def reading(dsn: str, *, size: int) -> AsyncIterator[asyncpg.Pool]:
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

    async with connected(dsn, size=size, settings=READING_SETTINGS, init=restrict) as pool:
        yield pool


async def _restrict(connection: Any) -> str | None:
    """Take rights from *connection*; give the reason where that can't be."""
    with suppress(asyncpg.InsufficientPrivilegeError):  # the server's own limit holds
        await connection.execute(f"SET temp_file_limit = '{TEMP_FILE_LIMIT}'")
    if not await connection.fetchval(MAY_READ, READER):
        return f"there is no role {READER} that may read log_entries; see docs/sql.md"
    try:
        await connection.execute(f"SET ROLE {READER}")
    except asyncpg.InsufficientPrivilegeError as exc:
        return f"{exc}; see docs/sql.md"
    return None


def closed(connection: Any) -> bool:
    """Tell whether *connection* of a pool is lost; the pool has then taken it back."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True


async def _keep(connection: object) -> None:
    """Leave a connection as it is: nobody here leaves settings, cursors or locks behind."""
