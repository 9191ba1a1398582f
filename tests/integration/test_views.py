"""The views for people, against a real Postgres."""

from __future__ import annotations

import asyncio
import datetime as dt

import psycopg
import pytest

from storage import database, migrate, partitions
from storage.records import Resource, Scope
from tests import postgres
from tests.builders import NOON, record
from tests.stored import store

SECOND = dt.timedelta(seconds=1)
DAYS = [NOON - n * partitions.DAY for n in range(3)]


@pytest.fixture(name="many", scope="module")
def _many(server):
    """A database of three days with many jobs, so that no plan is right by being small."""
    with postgres.clone(server) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        asyncio.run(made(dsn))
        for day in DAYS:
            connection.execute(
                "INSERT INTO log_entries (timestamp, level, severity_number, service, job_id,"
                " request_id, trace_id, extra)"
                " SELECT %s::timestamptz + n * interval '1 s', 'INFO', 9, 's', n / 4, 'r' || n,"
                " md5((n / 4)::text), '{}' FROM generate_series(1, 8000) n",
                [day],
            )
            connection.execute(
                "INSERT INTO log_entries (timestamp, level, service, extra) SELECT %s, 'INFO', 's',"
                " jsonb_build_object('job_id', 'ingestion-' || n) FROM generate_series(1, 8000) n",
                [day],
            )
        connection.execute("ANALYZE")
        connection.execute("CREATE TABLE jobs AS SELECT n AS id, n / 10 AS customer"
                           " FROM generate_series(1, 2000) n")  # fmt: skip
        connection.execute("ANALYZE jobs")
        yield connection


async def made(dsn):
    async with database.connected(dsn, size=1) as pool:
        await partitions.maintain(pool, DAYS[1].date(), ahead=1)


def scanned(plan):
    """The relations that a plan reads from end to end, Citus' parts of it too."""
    if isinstance(plan, list):
        return [name for part in plan for name in scanned(part)]
    if not isinstance(plan, dict):
        return []
    found = [plan["Relation Name"]] if plan.get("Node Type") == "Seq Scan" else []
    return found + scanned(list(plan.values()))


def entries_scanned(connection, query):
    (plan,) = connection.execute(f"EXPLAIN (FORMAT JSON) {query}").fetchone()[0]
    # the default partition is empty, and may be read; a shard's name goes on after the day's
    return {name[:20] for name in scanned(plan) if name.startswith("log_entries_2")}


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM logs WHERE job_id = 5",
        "SELECT * FROM logs WHERE job_id IS NULL AND extra ->> 'job_id' = 'ingestion-55'",
        "SELECT * FROM logs WHERE trace_id = 'x' ORDER BY timestamp",
        "SELECT * FROM logs WHERE request_id = 'r5'",
        "SELECT * FROM logs ORDER BY timestamp DESC LIMIT 100",
        "SELECT * FROM traces WHERE trace_id = 'x'",
        "SELECT * FROM traces WHERE trace_id IN ('x', 'y')",
        "SELECT * FROM jobs_seen WHERE job_id = 5",
        "SELECT * FROM jobs_seen WHERE job_id IN (5, 6)",
        "SELECT * FROM jobs_seen WHERE text_id = 'ingestion-55'",
        "SELECT * FROM jobs j CROSS JOIN LATERAL (SELECT * FROM jobs_seen WHERE job_id = j.id LIMIT 1) s",
        "SELECT id, (SELECT last_error FROM jobs_seen WHERE job_id = jobs.id) FROM jobs",
        "SELECT * FROM jobs j JOIN logs l ON l.job_id = j.id WHERE j.customer = 7",
    ],
)
def test_an_id_goes_by_its_index(many, query, distributed):
    """
    Who asks a view for an id, or joins it by one, doesn't read every record.

    With Citus, which takes conditions into no view that groups, that is true of `logs` alone.
    """
    grouped = "traces" in query or "jobs_seen" in query

    assert bool(entries_scanned(many, query)) is (distributed and grouped)


def test_what_an_id_would_cost_without_its_index(many):
    """
    The test above would see a scan: a condition on no indexed column is one of every day.
    """
    found = entries_scanned(many, "SELECT * FROM jobs_seen WHERE last_stage = 'x'")

    assert {f"log_entries_{day:%Y%m%d}" for day in DAYS} <= found


async def test_jobs(pool):
    """
    A job is told as its records do: when, where, how often, and with what error, also a job
    whose id is no number.
    """
    story = (
        {"stage": "api:enqueue", "request_id": "r1"},
        {"service": "worker", "stage": "provider:submit", "attempt": 1, "request_id": "r2"},
        {"service": "worker", "severity_number": 17, "error": "timed out", "attempt": 1},
        {"service": "worker", "severity_number": 21, "msg": "gave up", "attempt": 2},
        {"service": "worker", "attempt": 2, "stage": "done"},
    )
    for job in ({"job_id": 7}, {"extra": {"job_id": "ingestion-55"}}):
        records = [
            record(timestamp=NOON + n * SECOND, **fields, **job) for n, fields in enumerate(story)
        ]
        await store(pool, *records)
    await store(pool, record(job_id=8, error="only a word"), record(msg="of no job"))
    found = await pool.fetch(
        "SELECT * FROM jobs_seen ORDER BY job_id NULLS LAST",
    )
    told = {
        "first_seen": NOON,
        "last_seen": NOON + 4 * SECOND,
        "records": 5,
        "errors": 2,
        "services": ["api", "worker"],
        "stages": ["api:enqueue", "done", "provider:submit"],
        "last_stage": "done",
        "attempts": 2,
        "last_error": "gave up",
        "request_ids": ["r1", "r2"],
    }

    assert {"job_id": 7, "text_id": None, **told} == dict(found[0])
    assert {"job_id": None, "text_id": "ingestion-55", **told} == dict(found[2])
    assert (8, "only a word", []) == (
        found[1]["job_id"],
        found[1]["last_error"],
        found[1]["stages"],
    )


async def test_traces(pool):
    """
    A trace is told as its records do.
    """
    await store(
        pool,
        record(trace_id="t", severity_number=9),
        record(trace_id="t", severity_number=17, service="worker", timestamp=NOON + SECOND),
        record(),
    )
    found = await pool.fetch("SELECT * FROM traces")

    assert [dict(row) for row in found] == [
        {
            "trace_id": "t",
            "first_seen": NOON,
            "last_seen": NOON + SECOND,
            "records": 2,
            "errors": 1,
            "services": ["api", "worker"],
        }
    ]


async def test_logs(pool):
    """
    A log has the attributes of its resource and its scope beside its own fields, and its level
    in one spelling.
    """
    resource = Resource(id=5, attributes='{"host.name": "h"}')
    scope = Scope(id=6, name="lib", version="1", attributes='{"a": 1}')
    await store(
        pool,
        record(msg="1", level="WARN", severity_number=13, resource_id=5, scope_id=6),
        record(msg="2", level="Fatal", severity_number=21),
        record(msg="3", level="Verbose", extra={"k": [1]}),
        resources={5: resource},
        scopes={6: scope},
    )
    found = await pool.fetch(
        "SELECT msg, severity, level, resource ->> 'host.name' AS host, scope_name,"
        " scope::text, extra::text FROM logs ORDER BY msg"
    )

    assert [tuple(row) for row in found] == [
        ("1", "warning", "WARN", "h", "lib", '{"a": 1}', None),
        ("2", "critical", "Fatal", None, None, None, None),
        ("3", "verbose", "Verbose", None, None, None, '{"k": [1]}'),
    ]


async def test_views_explain_themselves(pool):
    """
    Every view and every column of one says what it is, where psql shows it.
    """
    silent = await pool.fetch(
        "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE c.relname = ANY ($1) AND a.attnum > 0"
        " AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL)",
        ["logs", "traces", "jobs_seen"],
    )

    assert silent == []


def test_a_name_that_is_taken(empty_database):
    """
    Who has a table of a view's name keeps it, and the view has a longer one, until both go.
    """
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("CREATE TABLE logs (x text); CREATE TYPE traces AS ENUM ('a')")
        migrate.upgrade(empty_database)
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'v' AND relname ~ 'logs|traces|jobs_seen'"
            " AND relnamespace = 'public'::regnamespace ORDER BY 1"
        ).fetchall()
        table = connection.execute(
            "SELECT relkind::text FROM pg_class WHERE relname = 'logs'"
        ).fetchone()

    assert [("jobs_seen",), ("pixsim_logs",), ("pixsim_traces",)] == names
    assert table == ("r",)
