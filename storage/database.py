"""Connections to Postgres, set the way every part of us relies on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from storage.errors import translated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Pool = asyncpg.Pool

SETTINGS = {
    "application_name": "pixsim-collector",
    "synchronous_commit": "on",  # an acknowledged record is on disk, whatever the server's default
    "timezone": "UTC",
    "jit": "off",  # compiling takes longer than our queries do
}
CONNECT_TIMEOUT = 10.0  # seconds
CLOSE_TIMEOUT = 5.0  # seconds; Pool.close alone waits for ever for connections still out


@asynccontextmanager
async def connected(dsn: str, *, size: int) -> AsyncIterator[asyncpg.Pool]:
    """
    Hold a pool of up to *size* connections to *dsn* open.

    Raises:
        Unavailable: the database cannot be reached.
    """
    with translated():
        pool = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size,
            server_settings=SETTINGS,
            timeout=CONNECT_TIMEOUT,
            reset=_keep,
        )
    try:
        yield pool
    finally:
        try:
            await asyncio.wait_for(pool.close(), CLOSE_TIMEOUT)
        except TimeoutError:
            pool.terminate()


async def _keep(connection: object) -> None:
    """Leave a connection as it is: nobody here leaves settings, cursors or locks behind."""
