"""The SQL that we show people runs, as it stands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import asyncpg
import pytest

from storage import database as connections
from tests.builders import record
from tests.stored import store

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = re.findall(r"```sql\n(.*?)```", (DOCS / "sql.md").read_text(), re.DOTALL)
(WITH_CITUS,) = re.findall(r"WITH recent .*?;", (DOCS / "citus.md").read_text(), re.DOTALL)
ROLES = [text for text in EXAMPLES if "CREATE ROLE" in text]
QUERIES = [text for text in EXAMPLES if text not in ROLES]
DASHBOARD = json.loads((DOCS / "grafana" / "pixsim-logs.json").read_text())
JOBS = """
CREATE TABLE jobs (id bigint PRIMARY KEY, customer_id bigint, status text, created_at timestamptz);
INSERT INTO jobs VALUES (7, 42, 'failed', now()), (8, 42, 'failed', now()), (9, 43, 'failed', now())
"""
MACROS = (
    (r"\$__timeFilter\((.*?)\)", r"\1 BETWEEN '2025-11-13T00:00:00Z' AND '2025-11-14T00:00:00Z'"),
    (
        r"\$__timeGroupAlias\((.*?), \$__interval\)",
        r'floor(extract(epoch from \1)/60)*60 AS "time"',
    ),
)


@pytest.fixture(name="stored")
async def _stored(pool):
    """Some jobs, and what they logged."""
    await store(
        pool,
        record(job_id=7, msg="began", severity_number=9, service="api"),
        record(job_id=7, error="timed out", severity_number=17, service="it's", duration_ms=5.0),
        record(job_id=9, error="of another", severity_number=17),
        record(extra={"job_id": "ingestion-55"}, trace_id="t"),
    )
    await pool.execute(JOBS)


async def test_examples(database, pool, stored, distributed):
    """
    Every query of docs/sql.md runs, and what is not of our own tables runs as the reader.

    Citus has no NOT EXISTS between a table of one's own and the records; docs/citus.md has what
    says the same.
    """
    statements = [each.strip() for query in QUERIES for each in query.split(";") if each.strip()]
    if distributed:
        (refused,) = (each for each in statements if "NOT EXISTS" in each)
        statements.remove(refused)
        with pytest.raises(asyncpg.FeatureNotSupportedError, match="Use CTE"):
            await pool.fetch(refused)
        assert [(8,)] == [tuple(row) for row in await pool.fetch(WITH_CITUS)]
    async with connections.reading(database, size=1) as readers:
        for statement in statements:
            await (pool if "jobs j" in statement else readers).fetch(statement)


async def test_failed_jobs_with_their_last_error(pool, stored):
    """
    The example finds the failed jobs of a customer, with the last error of each.
    """
    (query,) = (text for text in QUERIES if "CROSS JOIN LATERAL" in text)
    found = await pool.fetch(query)

    assert [(7, "timed out")] == [(row["id"], row["last_error"]) for row in found]


@pytest.mark.parametrize("text", ROLES)
async def test_roles(pool, text, distributed):
    """
    The statements that make roles run, where the role isn't there yet.

    With Citus they don't let anybody read the records; docs/citus.md says what does.
    """
    ours = ["log_entries", "log_entries_days", "log_entries_arriving"] if distributed else []
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            if "CREATE ROLE pixsim_reader" in text:
                await connection.execute("ALTER ROLE pixsim_reader RENAME TO pixsim_other")
            await connection.execute(text)
            assert await connection.fetchval(
                "SELECT bool_and(has_table_privilege('pixsim_reader', oid, 'SELECT')) FROM pg_class"
                " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')"
                " AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = pg_class.oid) AND relname"
                " NOT IN ('access_keys', 'sessions_ended', 'jobs', 'roll_up_deleted',"
                " 'pixsim_collector_alembic_version') AND relname <> ALL ($1::text[])",
                ours,
            )
        finally:
            await transaction.rollback()


def queries():
    """The queries of all panels and variables."""
    targets = (target for panel in DASHBOARD["panels"] for target in panel["targets"])
    variables = (v for v in DASHBOARD["templating"]["list"] if v["type"] == "query")
    return [target["rawSql"] for target in targets] + [each["query"] for each in variables]


def filled(query, job):
    """A query as Grafana sends it."""
    for pattern, text in MACROS:
        query = re.sub(pattern, text, query)
    quoted = job.replace("'", "''")
    query = query.replace("${service:sqlstring}", "'api','it''s'")
    query = query.replace("${job:sqlstring}", f"'{quoted}'")
    assert "$" not in re.sub(r"'[^']*'", "", query)
    return query


@pytest.mark.parametrize("job", ["7", "ingestion-55", "", "9" * 30, "it's"])
async def test_dashboard(database, stored, job):
    """
    Every query of the dashboard runs as the reader, whatever job is asked for.
    """
    async with connections.reading(database, size=1) as readers:
        found = {query: await readers.fetch(filled(query, job)) for query in queries()}
    (seen,) = (rows for query, rows in found.items() if "jobs_seen" in query)

    assert len(seen) == (job in {"7", "ingestion-55"})


def test_dashboard_is_whole():
    """
    The dashboard names no server's own things, and every panel has a place of its own.
    """
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    places = {
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    }
    areas = sum(panel["gridPos"]["w"] * panel["gridPos"]["h"] for panel in DASHBOARD["panels"])

    assert len(set(ids)) == len(ids)
    assert len(places) == areas
    assert {x for x, _ in places} == set(range(24))
    assert {"${database}"} == {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]}
