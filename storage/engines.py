"""What all engines but plain Postgres have in common: a step after the migrations, and a check."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from storage import database, migrate
from storage.errors import Unsuitable, translated
from storage.layout import Engine, engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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


EXTENSION = """
SELECT (SELECT extversion FROM pg_extension WHERE extname = $1) AS version,
    EXISTS (SELECT FROM pg_available_extensions WHERE name = $1) AS installed,
    current_setting($2, true) IS NOT NULL AS loaded
"""


class Extension(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine needs of the server."""

    engine: Engine  # and the extension's name
    name: str  # as people write it
    preloaded: str  # what to do in shared_preload_libraries
    # That there is where it is loaded; only a superuser may read shared_preload_libraries.
    setting: str
    oldest: tuple[int, int]


async def extend(connection: Any, wanted: Extension) -> None:
    """
    Make the extension in this database.

    Raises:
        Unsuitable: the server doesn't have it, doesn't load it, or has one that is too old.
    """
    help_ = HELP[wanted.engine]
    asked = (EXTENSION, wanted.engine, wanted.setting)
    found = await connection.fetchrow(*asked)
    if not found["installed"]:
        raise Unsuitable(f"the Postgres server has no {wanted.name}; {help_}")
    if not found["loaded"]:
        raise Unsuitable(
            f"the Postgres server doesn't load {wanted.name}: {wanted.preloaded} its"
            f" shared_preload_libraries and start it anew; {help_}"
        )
    if found["version"] is None:
        try:
            await connection.execute(f"CREATE EXTENSION {wanted.engine}")
        except asyncpg.PostgresError as exc:
            problem = f"no extension {wanted.engine} can be made: {exc}; {help_}"
            raise Unsuitable(problem) from exc
        found = await connection.fetchrow(*asked)
    version: str = found["version"]
    if tuple(map(int, version.replace("-", ".").split(".")[:2])) < wanted.oldest:
        oldest = ".".join(map(str, wanted.oldest))
        raise Unsuitable(f"{wanted.name} {version} is older than {oldest}; {help_}")


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
