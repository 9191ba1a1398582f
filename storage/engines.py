"""What all engines but plain Postgres have in common: a step after the migrations, and a check."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from storage import database, migrate
from storage.errors import Unsuitable, translated
from storage.layout import engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from storage.layout import Engine

FOUND: dict[Engine, str] = {
    "postgres": "log_entries is a plain table",
    "timescaledb": "log_entries is a hypertable",
    "citus": "log_entries is distributed",
}
HELP: dict[Engine, str] = {
    "postgres": "see README.md",
    "timescaledb": "see docs/timescaledb.md",
    "citus": "see docs/citus.md",
}


@asynccontextmanager
async def alone(dsn: str) -> AsyncIterator[Any]:
    """Hold a connection and the lock of who migrates."""
    with translated():
        connection = await asyncpg.connect(
            dsn, timeout=database.CONNECT_TIMEOUT, server_settings=database.SETTINGS
        )
        try:
            await connection.fetchval("SELECT pg_advisory_lock($1)", migrate.LOCK)
            yield connection
        finally:
            await connection.close(timeout=database.CLOSE_TIMEOUT)


async def check(dsn: str, *, wanted: Engine) -> None:
    """
    Return if the rows are kept by the engine that is *wanted*.

    Raises:
        Unsuitable: they are not.
        Unavailable: the database is away.
    """
    with translated():
        connection = await asyncpg.connect(dsn, timeout=database.CONNECT_TIMEOUT)
        try:
            found = await engine(connection)
        finally:
            await connection.close(timeout=database.CLOSE_TIMEOUT)
    if found == wanted:
        return
    if found == "postgres":
        raise Unsuitable(
            f"{FOUND[found]}, and no engine {wanted} keeps it yet:"
            f" run `pixsim-collector migrate upgrade`; {HELP[wanted]}"
        )
    raise Unsuitable(f"{FOUND[found]}, so the engine is {found}, not {wanted}; {HELP[found]}")
