"""Records written straight into Postgres, by a service that has no collector."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import secrets
from collections import Counter

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from pixsim_otel import native
from pixsim_otel.postgres import PostgresLogExporter
from pixsim_otel.record import to_sdk
from pixsim_otel.rows import READERS
from pixsim_otel.transport import Delivered, Retry

from collector.receivers.pixsim.decoding import decode
from collector.receivers.pixsim.mapping import record as mapped
from storage import database as storage_database
from storage import encoding, migrate
from storage.moments import moment
from tests.integration.conftest import ON_ONE_ENGINE
from tests.integration.test_migrate import BARE_TABLE
from tests.stored import store
from tests.unit.exporter.records import record

# What a server of another version does otherwise, the tests of storage would see.
pytestmark = [pytest.mark.usefixtures("server"), ON_ONE_ENGINE]

OURS = ("id", "xid", "created_at")  # the table's own to give


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    for name in ("PIXSIM_LOG_DB_TABLE", "PIXSIM_LOG_DB_AUTO_CREATE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(name="make")
def _make(database):
    """A function that makes exporters to the test's database, which close with the test."""
    made = []

    def make(url=database, **options):
        made.append(PostgresLogExporter(url, **options))
        return made[-1]

    yield make
    for exporter in made:
        exporter.shutdown()


@pytest.fixture(name="exporter")
def _exporter(make):
    return make()


def run(dsn, statement, *arguments):
    """Run a statement, and give the rows that it answers with."""
    with psycopg.connect(dsn, autocommit=True, options="-c timezone=UTC") as connection:
        cursor = connection.execute(statement, arguments or None)
        return cursor.fetchall() if cursor.description else []


def rows(dsn):
    """All rows of the table in the order in which they were stored, without ids."""
    ids = ", ".join(f"'{name}'" for name in OURS)
    return [
        row
        for (row,) in run(dsn, f"SELECT to_jsonb(l) - ARRAY[{ids}] FROM log_entries l ORDER BY id")
    ]


def by_collector(dsn, found):
    """Store *found* the way the collector does when they come to its native receiver."""

    async def write():
        now = moment(dt.datetime.now(dt.UTC))
        entries = decode(native.encode(found), Counter())["logs"]
        async with storage_database.connected(dsn, size=1, init=encoding.prepare) as pool:
            await store(pool, *(mapped(entry, now, set()) for entry in entries))

    asyncio.run(write())


# Of a trace_id that is no text the table's trigger makes one. And the collector alone looks
# into a text called exception for what was raised.
columns = sorted(READERS.keys() - {"trace_id"})
names = st.sampled_from([*columns, "extra", "event", "message", "id", "flags"]) | st.text(
    st.characters(exclude_categories=("Cs",)), max_size=5
)
texts = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=8),
    st.sampled_from(["12", " 7.0 ", "1e3", "true", "ingestion-55", "", "9" * 30, "x" * 3_000]),
)
numbers = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3) | st.floats() | st.just(12.0)
values = st.recursive(
    st.none() | st.booleans() | texts | numbers | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(names | st.just("$map"), inner, max_size=2)
    ),
    max_leaves=4,
)
records = st.builds(
    record,
    time=st.integers(10**15, 2**62),
    severity_number=st.integers(0, 24),
    severity_text=st.none() | st.sampled_from(["INFO", "WARNING", "CRITICAL", "NOTICE", "loud"]),
    body=values,
    attributes=st.dictionaries(names, values, max_size=5),
    resource=st.sampled_from([Resource({"service.name": "worker"}), Resource({})]),
    trace_id=st.sampled_from([0, 5]),
    span_id=st.sampled_from([0, 7]),
    event_name=st.none() | texts,
)


SPECIAL = [
    -0.0,
    0.0,
    1e-9,
    1e15,
    1e22,
    0.1,
    {"$map": 1},
    {"$a": [{"$double": "NaN"}]},
    "\0",
    ["\0"],
]


@given(st.lists(records, min_size=1, max_size=20))
@example([record(attributes={"v": value}) for value in SPECIAL])
@example([record(attributes={"extra": {"a": 1, "job_id": 2, "event": 3}, "job_id": 7, "a": 0})])
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_rows_are_the_collector_s(database, found):
    """
    A row is the same, whether a service writes it itself or its collector does.
    """
    run(database, "TRUNCATE log_entries, ledger")
    with contextlib.closing(PostgresLogExporter(database)) as exporter:
        outcome = exporter.send(found)
    written = rows(database)
    run(database, "TRUNCATE log_entries, ledger")
    by_collector(database, found)

    assert Delivered() == outcome
    assert rows(database) == written


def test_a_typical_row(exporter, database):
    """
    Known names are columns, all else is extra, and the ledger tells followers of the rows.
    """
    one = record(
        body="job done",
        severity_text="WARNING",
        attributes={"event": "pipeline:done", "job_id": 7, "stage": "x:y", "path": "/a"},
    )
    outcome = exporter.send([one, record()])
    found = run(
        database,
        "SELECT level, severity_number, service, env, msg, job_id, stage, extra,"
        " to_char(timestamp, 'HH24:MI:SS.US') FROM log_entries ORDER BY id LIMIT 1",
    )
    ledger = run(database, "SELECT receiver, sender LIKE 'pixsim_otel%%', records FROM ledger")

    assert Delivered() == outcome
    assert [
        (
            *("warning", 13, "worker", "prod", "job done", 7, "x:y"),
            {"event": "pipeline:done", "path": "/a"},
            "12:00:00.123456",
        )
    ] == found
    assert [("sql", True, 2)] == ledger


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("ALTER TABLE log_entries ADD CONSTRAINT calm CHECK (msg !~ 'bad')", "calm"),
        ("CREATE INDEX ON log_entries (msg)", "index row"),
    ],
    ids=["constraint", "index"],
)
def test_refused_row_costs_only_itself(exporter, database, rule, expected):
    """
    A row that Postgres refuses is counted, with the reason; all others are stored, in order.
    """
    run(database, rule)
    bad = "bad" + secrets.token_hex(50_000)  # too long for an index's entry
    outcome = exporter.send([record(body=body) for body in ["a", bad, "b", "c", bad]])

    assert outcome.rejected == 2
    assert expected in outcome.reason
    assert bad[:20] not in outcome.reason
    assert ["a", "b", "c"] == [row["msg"] for row in rows(database)]


def test_connection_lost(exporter, database):
    """
    When the connection breaks nothing is stored, and the same batch is stored later, once.
    """
    exporter.send([record(body="a")])
    run(
        database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    lost = exporter.send([record(body="b")])
    again = exporter.send([record(body="b")])

    assert isinstance(lost, Retry)
    assert Delivered() == again
    assert ["a", "b"] == [row["msg"] for row in rows(database)]


def test_locked_table(exporter, database):
    """
    A table that somebody has locked is waited for only as long as is allowed.
    """
    exporter.send([record(body="a")])
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE log_entries")
        outcome = exporter.send([record(body="b")], timeout=0.1)

    assert isinstance(outcome, Retry)
    assert Delivered() == exporter.send([record(body="b")])


def test_no_server(make):
    """
    A server that is not there may be there later; the password is not told.
    """
    outcome = make("postgresql://me:secret@127.0.0.1:1/logs").send([record()])

    assert isinstance(outcome, Retry)
    assert "secret" not in outcome.reason


def test_table_of_before_the_collector(make, empty_database):
    """
    In an older table what has no column, or does not fit it, is kept in extra.
    """
    run(empty_database, BARE_TABLE)
    run(empty_database, "TRUNCATE log_entries")
    attributes = {
        "job_id": 2**40,
        "user_id": 5,
        "duration_ms": 12.34,
        "generation_id": 9,
        "stage": "s" * 60,
        "nul": "a\0b",
    }
    outcome = make(empty_database).send(
        [record(attributes=attributes, resource=Resource({"service.name": "x" * 60 + "tail"}))]
    )
    (found,) = rows(empty_database)

    assert Delivered() == outcome
    assert (None, 5, 12, "s" * 50) == tuple(
        found[name] for name in ("job_id", "user_id", "duration_ms", "stage")
    )
    assert found["service"] == "x" * 46 + "tail"
    assert found["timestamp"] == "2025-11-13T12:00:00.123456"
    assert {
        "event": "hello",
        "job_id": 2**40,
        "generation_id": 9,
        "stage": "s" * 60,
        "service": "x" * 60 + "tail",
        "nul": "a�b",
    } == found["extra"]


def test_missing_table_is_made(make, empty_database):
    """
    A missing table is made, and the collector's migrations take its rows over.
    """
    exporter = make(empty_database)
    attributes = {"job_id": 7, "duration_ms": 1.5, "trace_id": "t", "a": [1]}
    exporter.send([record(attributes=attributes)])
    exporter.close()
    migrate.upgrade(empty_database)
    exporter.send([record(attributes=attributes)])
    adopted, direct = rows(empty_database)

    assert direct == adopted
    assert (7, 1.5, "t", 9) == tuple(
        direct[name] for name in ("job_id", "duration_ms", "trace_id", "severity_number")
    )


def test_migrated_while_it_writes(make, empty_database):
    """
    A migration under a running service costs no record.
    """
    exporter = make(empty_database)
    exporter.send([record(body="before")])
    migrate.upgrade(empty_database)
    outcome = exporter.send([record(body="after")])

    assert Delivered() == outcome
    assert ["before", "after"] == [row["msg"] for row in rows(empty_database)]


def test_missing_table_is_not_made(make, empty_database, monkeypatch):
    """
    Where tables are not a service's to make, records wait until somebody has made it.
    """
    monkeypatch.setenv("PIXSIM_LOG_DB_AUTO_CREATE", "no")
    exporter = make(empty_database)
    before = exporter.send([record()])
    migrate.upgrade(empty_database)

    assert isinstance(before, Retry)
    assert 'there is no table "log_entries"' in before.reason
    assert Delivered() == exporter.send([record()])


@pytest.mark.parametrize(
    ("given", "expected"),
    [("0", False), ("FALSE", False), (" off ", False), ("1", True), ("yes", True), ("", True)],
)
def test_who_makes_tables(monkeypatch, given, expected):
    """
    A missing table is made unless the environment says no, in one of the usual words.
    """
    monkeypatch.setenv("PIXSIM_LOG_DB_AUTO_CREATE", given)

    assert expected == PostgresLogExporter("postgresql://host/logs")._create


@pytest.mark.parametrize("name", ["Logs", "other.log_entries"])
def test_name_of_the_table(make, empty_database, monkeypatch, name):
    """
    The table may have another name, and be in a schema of its own.
    """
    run(empty_database, "CREATE SCHEMA other")
    monkeypatch.setenv("PIXSIM_LOG_DB_TABLE", name)
    make(empty_database).send([record()])
    quoted = ".".join(f'"{part}"' for part in name.split("."))

    assert [("hello",)] == run(empty_database, f"SELECT msg FROM {quoted}")


@pytest.mark.parametrize("driver", ["+psycopg2", "+asyncpg", "+psycopg"])
def test_url_of_sqlalchemy(driver):
    """
    A URL may name a driver, as SQLAlchemy's do.
    """
    expected = PostgresLogExporter("postgresql://me@host/logs")._conninfo

    assert expected == PostgresLogExporter(f"postgresql{driver}://me@host/logs")._conninfo


def test_url_of_the_environment(database, monkeypatch):
    """
    The URL of logs goes before the URL of everything.
    """
    monkeypatch.delenv("PIXSIM_LOG_DB_URL", raising=False)
    monkeypatch.setenv("LOG_DATABASE_URL", database)
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/other")
    exporter = PostgresLogExporter()
    outcome = exporter.send([record()])
    exporter.shutdown()

    assert Delivered() == outcome


def test_wrong_url(monkeypatch):
    """
    No URL, or one that is none, is an error at once, which doesn't show a password.
    """
    for name in ("PIXSIM_LOG_DB_URL", "LOG_DATABASE_URL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="PIXSIM_LOG_DB_URL"):
        PostgresLogExporter()
    with pytest.raises(ValueError, match="cannot be read") as caught:
        PostgresLogExporter("mysql://me:secret@host/db")

    assert "secret" not in str(caught.value)


def test_after_fork(exporter, database):
    """
    A forked process opens a connection of its own, and its parent goes on using its own.
    """
    exporter.send([record(body="parent")])
    own = exporter._connection.info.backend_pid
    child = os.fork()
    if child == 0:
        outcome = exporter.send([record(body="child")])
        another = exporter._connection.info.backend_pid != own
        os._exit(0 if outcome == Delivered() and another else 1)
    status = os.waitpid(child, 0)[1]
    outcome = exporter.send([record(body="parent again")])

    assert status == 0
    assert Delivered() == outcome
    assert ["parent", "child", "parent again"] == [row["msg"] for row in rows(database)]


def test_what_is_not_plain(exporter, database):
    """
    A value that nobody made plain is made plain; the records beside it are as they were.
    """
    wrong = [{"a": "\ud800"}, {"a": {1}}]
    outcome = exporter.send([record(attributes=each) for each in wrong])

    assert Delivered() == outcome
    assert ["�", [1]] == [row["extra"]["a"] for row in rows(database)]


def test_export(exporter, database):
    """
    The SDK's processors export through it.
    """
    result = exporter.export([to_sdk(record())])

    assert LogRecordExportResult.SUCCESS is result
    assert ["hello"] == [row["msg"] for row in rows(database)]
