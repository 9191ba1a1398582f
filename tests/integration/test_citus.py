"""Citus as the engine: a coordinator with two workers, and what is committed where and when."""

from __future__ import annotations

from urllib.parse import urlsplit

import psycopg
import pytest
import structlog

from storage import citus, encoding, engines, migrate, partitions, restriction
from storage import database as connections
from storage.errors import Unavailable, Unsuitable
from storage.follower import Follower
from storage.layout import NAMES
from storage.pages import NEWEST
from storage.positions import BEGINNING
from storage.settlement import settle
from tests import postgres
from tests.builders import NOON, record
from tests.stored import store

TODAY, DAY = NOON.date(), partitions.DAY
PLENTY = {"records": 1_000, "bytes": 10**8, "now": NOON}
PLAIN = f"SELECT msg, level, severity_number, xid FROM log_entries e ORDER BY {NEWEST}"
GID = "citus_0_999999_1_0"


@pytest.fixture(name="workers")
def _workers(database, server, distributed):
    """The DSNs of the test's database on the two workers."""
    if not distributed:
        pytest.skip(reason="the server has no Citus")
    name = urlsplit(database).path.strip("/")
    return [postgres.named(dsn, name) for dsn, _ in postgres.WORKERS[server]]


@pytest.fixture(name="plain")
def _plain(empty_database, server, distributed):
    """A migrated database that is plain, on a coordinator with workers."""
    if not distributed:
        pytest.skip(reason="the server has no Citus")
    migrate.upgrade(empty_database)
    postgres.join(server, urlsplit(empty_database).path.strip("/"))
    return empty_database


def shard(worker):
    """Give the name of a shard of *worker* that holds rows of no day."""
    with psycopg.connect(worker) as connection:
        (name,) = connection.execute(
            "SELECT relname FROM pg_class WHERE relname ~ '^log_entries_default_[0-9]+$'"
        ).fetchone()
    return name


def leave_prepared(workers, coordinator, msg):
    """Commit a record on the coordinator, and on a worker only prepare it."""
    with psycopg.connect(coordinator) as connection:
        xid = connection.execute("SELECT pg_current_xact_id()::text").fetchone()[0]
        connection.execute(
            "INSERT INTO ledger (receiver, sender, requests, records, min_timestamp,"
            " max_timestamp) VALUES ('otlp', '', 1, 1, %s, %s)",
            (NOON, NOON),
        )
        connection.execute("INSERT INTO pg_dist_transaction (groupid, gid) VALUES (1, %s)", (GID,))
        with psycopg.connect(workers[0], autocommit=True) as worker:
            worker.execute("BEGIN; SET LOCAL citus.enable_manual_changes_to_shards = on")
            worker.execute(
                f"INSERT INTO {shard(workers[0])} (id, timestamp, xid, level, msg)"
                " VALUES (1, %s, %s::text::xid8, 'INFO', %s)",
                (NOON, xid, msg),
            )
            worker.execute(f"PREPARE TRANSACTION '{GID}'")


async def test_records_are_divided(pool, workers):
    """
    Each worker has some of the records, and the coordinator none.
    """
    await partitions.maintain(pool, TODAY, ahead=1)
    await store(pool, *(record(msg=str(number)) for number in range(100)))
    held = []
    for worker in workers:
        with psycopg.connect(worker) as connection:
            names = connection.execute(
                "SELECT relname FROM pg_class WHERE relname ~ '^log_entries_20251113_[0-9]+$'"
            ).fetchall()
            counts = [
                connection.execute(f"SELECT count(*) FROM {n}").fetchone()[0] for (n,) in names
            ]
            held.append(sum(counts))

    assert sum(held) == 100
    assert min(held) > 20
    assert 100 == await pool.fetchval("SELECT count(*) FROM log_entries")
    assert ["log_entries_20251112", "log_entries_20251113", "log_entries_20251114"] == [
        row[0] for row in await pool.fetch(f"{NAMES} ORDER BY 1")
    ][:-1]


async def test_what_is_not_committed_everywhere_is_not_passed_over(pool, workers, database):
    """
    A record that is committed here, and on its worker not yet, is followed when it is there.
    """
    follower = Follower(pool)
    await store(pool, record(msg="before"))
    leave_prepared(workers, database, "on its way")
    await store(pool, record(msg="after"))
    now = await follower.now()
    piece = await follower.stored(BEGINNING, None, **PLENTY)
    with pytest.raises(Unavailable, match="on their way"):
        await settle(pool)
    with psycopg.connect(workers[0], autocommit=True) as worker:
        worker.execute(f"COMMIT PREPARED '{GID}'")
    await settle(pool)
    rest = await follower.stored(piece.position, None, **PLENTY)
    since = await follower.stored(now, None, **PLENTY)

    assert ["before", "after"] == [row.record.msg for row in piece.rows]
    assert ["on its way"] == [row.record.msg for row in rest.rows]
    assert ["on its way"] == [row.record.msg for row in since.rows]
    assert 0 == piece.gone == rest.gone


async def test_a_commit_is_of_all_workers_or_none(pool, workers):
    """
    Where a worker is away nothing is stored, also not on the others, and the sender hears of it.
    """
    await pool.execute("UPDATE pg_dist_node SET nodeport = 1 WHERE groupid = 2")
    await pool.expire_connections()
    with pytest.RaisesGroup(Unavailable):
        await store(pool, *(record() for _ in range(100)))

    for worker in workers:
        with psycopg.connect(worker) as connection:
            count = f"SELECT count(*) FROM {shard(worker)}"
            assert connection.execute(count).fetchone() == (0,)
    assert 0 == await pool.fetchval("SELECT count(*) FROM ledger")


async def test_a_plain_database_is_distributed(plain):
    """
    All records stay, with their transactions, and so do the views; keys for some services, that
    were made before, are refused. It is done once.
    """
    told = []
    async with connections.connected(plain, size=2, init=encoding.prepare) as pool:
        await partitions.maintain(pool, TODAY, ahead=0)
        await store(pool, *(record(msg=f"{n}", timestamp=NOON - n * DAY) for n in range(4)))
        await pool.execute("INSERT INTO log_entries (level, msg) VALUES ('WARN', 'direct')")
        await pool.execute("CREATE VIEW mine AS SELECT msg FROM log_entries")
        await restriction.prepare(pool)
        before = await pool.fetch(PLAIN)
        for _ in range(2):
            await citus.prepare(plain, shards=2, told=told.append)
        await pool.expire_connections()
        after = await pool.fetch(PLAIN)

        assert before == after
        assert [5, 5] == [
            await pool.fetchval(f"SELECT count(*) FROM {view}") for view in ("mine", "logs")
        ]
        with pytest.raises(Unavailable, match="not made ready for restricted keys"):
            async with pool.acquire() as connection, connection.transaction():
                await restriction.enter(connection, restriction.Restriction(("api",), ()))
    assert [
        "log_entries is distributed, in 2 shards a day",
        "keys for some services or environments can query no more; see docs/citus.md",
    ] == told
    await engines.check(plain, wanted="citus")
    with pytest.raises(Unsuitable, match="is distributed"):
        await engines.check(plain, wanted="postgres")


async def test_what_would_stay_with_the_old_table(plain):
    """
    What depends on the table and can't be moved is named, and nothing is changed.
    """
    with psycopg.connect(plain) as connection:
        connection.execute("CREATE MATERIALIZED VIEW mine AS SELECT msg FROM log_entries")
    with pytest.raises(Unsuitable, match="materialized view mine"):
        await citus.prepare(plain, shards=2, told=print)

    await engines.check(plain, wanted="postgres")


async def test_a_server_without_it(empty_database, distributed):
    """
    A server that has no Citus, or a cluster without workers, is told in a line.
    """
    migrate.upgrade(empty_database)
    reason = "know its coordinator" if distributed else "has no Citus"
    with pytest.raises(Unsuitable, match=reason):
        await citus.prepare(empty_database, shards=2, told=print)


async def test_no_key_is_restricted(pool, workers):
    """
    Keys that query some services are refused, where they are made and where they are used.
    """
    assert workers
    with pytest.raises(Unsuitable, match="no key that queries can be restricted"):
        await restriction.prepare(pool)
    async with pool.acquire() as connection, connection.transaction():
        with pytest.raises(Unavailable):
            await restriction.enter(connection, restriction.Restriction(("api",), ()))


async def test_queries_run_as_ourselves(pool, workers, database):
    """
    Queries run as the collector's own user, also where the reader may read, and that is said.
    """
    assert workers
    await store(pool, record())
    await pool.execute(f"GRANT SELECT ON log_entries TO {connections.READER}")
    with structlog.testing.capture_logs() as lines:
        async with connections.reading(database, size=1) as readers:
            assert 1 == await readers.fetchval("SELECT count(*) FROM log_entries")

    assert ["docs/citus.md"] == [line["reason"].rpartition("see ")[2] for line in lines]


async def test_what_services_insert(pool, workers):
    """
    What a service inserts for itself gets its level's number and trace, and is in the ledger;
    so is what it copies.
    """
    assert workers
    async with pool.acquire() as connection, connection.transaction():
        for _ in range(2):
            await connection.execute(
                "INSERT INTO log_entries (level, extra) VALUES ($1, $2), ('INFO', NULL)",
                "WARN",
                '{"trace_id": "t"}',
            )
    rows = await pool.fetch("SELECT DISTINCT severity_number, trace_id, xid FROM log_entries")
    entries = await pool.fetch("SELECT receiver, requests, records, xid FROM ledger")

    assert {(13, "t"), (9, None)} == {(row[0], row[1]) for row in rows}
    assert [("sql", 1, 2)] * 2 == [tuple(row)[:3] for row in entries]
    assert 1 == len({row["xid"] for row in (*rows, *entries)})
    assert 0 == await pool.fetchval("SELECT count(*) FROM log_entries_arriving")

    await pool.copy_records_to_table("log_entries", records=[("DEBUG",)], columns=["level"])
    assert 1 == await pool.fetchval("SELECT records FROM ledger ORDER BY xid DESC LIMIT 1")
    assert 1 == await pool.fetchval("SELECT count(*) FROM log_entries WHERE severity_number = 5")
