"""Connections through PgBouncer, which lends its own for a transaction at a time."""

from __future__ import annotations

import asyncio
import itertools

import asyncpg
import pytest

from collector import configfile, engine, examination
from storage import database, encoding, export, layout, pooler, search
from storage.errors import Unsuitable
from storage.reader import Reader
from tests.builders import NOON, record
from tests.pooling import needed, pooling
from tests.stored import store

SETTINGS = """
SELECT current_setting('transaction_read_only'), current_setting('statement_timeout'),
    current_setting('synchronous_commit'), current_setting('timezone'), current_user::text
"""
LEFT = """
SELECT current_setting('default_transaction_read_only'), current_setting('statement_timeout'),
    current_user = session_user, (SELECT count(*) FROM pg_prepared_statements), pg_backend_pid()
"""


def configured(dsn, direct="", kept_by="postgres"):
    text = f'exporters: {{postgres: {{dsn: "{dsn}", direct_dsn: "{direct}", engine: {kept_by}}}}}'
    return configfile.parse(text, "test", {}).config


@needed
async def test_settings_are_those_of_each_transaction(database, distributed):
    """
    Whatever is done through a pooler has our settings, the role for queries among them, and leaves
    nothing behind for who has the connection next: no setting, no role, no prepared statement.
    """
    with pooling(database) as between:
        dsn = between.dsn
        # With Citus queries run as whoever connects.
        await _read_and_written(dsn, user="postgres" if distributed else "pixsim_reader")
        connection = await asyncpg.connect(dsn, statement_cache_size=0)
        left = [await connection.fetchrow(LEFT) for _ in range(16)]
        await connection.close()

    assert len({row[4] for row in left}) > 1
    assert {("off", "0", True, 0)} == {row[:4] for row in map(tuple, left)}


async def _read_and_written(dsn, *, user):
    async with (
        database.connected(dsn, size=2, pooled=True, init=encoding.prepare) as pool,
        database.reading(dsn, size=4, pooled=True) as readers,
    ):
        # Each of two does something, so that nobody has the same server twice.
        stored = await asyncio.gather(*(store(pool, record(job_id=n)) for n in range(1, 9)))
        settings = await asyncio.gather(*(readers.fetchrow(SETTINGS) for _ in range(16)))
        reader = Reader(readers)
        found = await asyncio.gather(*(reader.job(n) for n in range(1, 9)))
        async with export.exporting(reader, search.EVERYTHING, now=NOON) as blocks:
            exported = [entry async for block in blocks for entry in block]
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await readers.execute("DELETE FROM ledger")

    assert {("on", "1min", "on", "UTC", user)} == set(map(tuple, settings))
    assert [[e.id for e in trace.entries] for trace in found] == stored
    assert sorted(entry.id for entry in exported) == sorted(itertools.chain(*stored))


@needed
async def test_a_pooler_is_told_from_a_server(database, server, pool):
    """
    What lends its connections for less than a session is known, and is no place for migrations;
    one that keeps sessions is as good as the server, and one before another database is refused.
    """
    kept_by = await layout.engine(pool)
    with pooling(database) as between, pooling(database, "session") as keeping:
        assert not await pooler.lends(database)
        assert not await pooler.lends(keeping.dsn)
        with pytest.raises(Unsuitable, match="direct_dsn leads to the server itself"):
            await engine.upgrade(configured(between.dsn).store, between.dsn, print)
        await engine.check(configured(between.dsn, database, kept_by).store, database)
        with pytest.raises(Unsuitable, match="other tables than direct_dsn"):
            await engine.check(configured(between.dsn, server).store, server)
        told = {}
        for config in (configured(between.dsn), configured(between.dsn, database)):
            there = examination.there(config, config.store.server)
            told[config.store.direct_dsn] = [check async for check in there]

    assert [("pooler", "problem")] == [(check.name, check.state) for check in told[""]]
    assert ("pooler", "ok") == (told[database][0].name, told[database][0].state)
    assert len(told[database]) > 5
