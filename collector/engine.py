"""Bringing the database to this version's schema, on the engine that the configuration names."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from storage import database, migrate, restriction, timescale
from storage.errors import Unsuitable

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.exporters.postgres import Postgres


async def upgrade(postgres: Postgres, dsn: str, told: Callable[[str], object]) -> None:
    """
    Run the migrations that are missing, and then make of the tables what the engine wants.

    Raises:
        Unsuitable: the server doesn't have the engine.
        Unavailable: the database is away, or a migration failed; the same call goes on.
    """
    await asyncio.to_thread(migrate.upgrade, dsn)
    if postgres.engine == "timescaledb":
        await timescale.prepare(dsn, compress_after=postgres.compress_after, told=told)
    await _renew(dsn, told)


async def check(postgres: Postgres, dsn: str) -> None:
    """
    Return if the tables are of the engine that the configuration names.

    Raises:
        Unsuitable: they are of another.
        Unavailable: the database is away.
    """
    await timescale.check(dsn, wanted=postgres.engine == "timescaledb")


async def _renew(dsn: str, told: Callable[[str], object]) -> None:
    """Let keys for some services see what the tables have now."""
    async with database.connected(dsn, size=1) as pool:
        try:
            await restriction.renew(pool)
        except Unsuitable as exc:  # who has such a key hears of it; nobody else needs it
            told(str(exc))
