"""Bringing the database to this version's schema, on the engine that the configuration names."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from collector.secrets import without_password
from storage import citus, database, engines, migrate, pooler, restriction, timescale
from storage.errors import Unavailable, Unsuitable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collector.exporters.postgres import Postgres


HELP = "see docs/scaling.md"


async def upgrade(postgres: Postgres, dsn: str, told: Callable[[str], object]) -> None:
    """
    Run the migrations that are missing, and then make of the tables what the engine wants.

    Raises:
        Unsuitable: the server doesn't have the engine, or cannot be worked with; see `reach`.
        Unavailable: the database is away, or a migration failed; the same call goes on.
    """
    await reach(postgres, dsn)
    await asyncio.to_thread(migrate.upgrade, dsn)
    if postgres.engine == "timescaledb":
        await timescale.prepare(dsn, compress_after=postgres.compress_after, told=told)
    if postgres.engine == "citus":
        await citus.prepare(dsn, shards=postgres.shards, told=told)
    await _renew(dsn, told)


async def check(postgres: Postgres, dsn: str) -> None:
    """
    Return if the tables are of the engine that the configuration names.

    Raises:
        Unsuitable: they are of another, or the database cannot be worked with; see `reach`.
        Unavailable: the database is away.
    """
    await reach(postgres, dsn)
    await engines.check(dsn, wanted=postgres.engine)


async def reach(postgres: Postgres, dsn: str) -> None:
    """
    Return if sessions at *dsn* last, and the pooler, if there is one, leads to the same tables.

    Raises:
        Unsuitable: they don't, or it leads elsewhere.
        Unavailable: the database is away, or the pooler.
    """
    with _at(dsn):
        lends = await pooler.lends(dsn)
    if lends:  # the locks of who migrates would be lost, or left behind
        raise Unsuitable(
            "a pooler lends its connections for a transaction at a time: exporters.postgres.dsn may"
            f" lead to one where direct_dsn leads to the server itself; {HELP}"
        )
    if not postgres.pooler:
        return
    with _at(postgres.pooler):
        same = await pooler.same(dsn, postgres.pooler)
    if not same:
        raise Unsuitable(
            "exporters.postgres.dsn leads to other tables than direct_dsn: both are to lead to one"
            f" database, with the same search_path; {HELP}"
        )


@contextmanager
def _at(dsn: str) -> Iterator[None]:
    """Say where a database is that cannot be reached inside the block."""
    try:
        yield
    except Unavailable as exc:
        raise Unavailable(f"{without_password(dsn)}: {exc}") from exc


async def _renew(dsn: str, told: Callable[[str], object]) -> None:
    """Let keys for some services see what the tables have now."""
    async with database.connected(dsn, size=1) as pool:
        try:
            await restriction.renew(pool)
        except Unsuitable as exc:  # who has such a key hears of it; nobody else needs it
            told(str(exc))
