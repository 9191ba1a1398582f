"""Migrations, against a real Postgres."""

from __future__ import annotations

import concurrent.futures
from pathlib import Path

import asyncpg
import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

import migrations
from storage import migrate
from storage.errors import Unavailable

# What today's services create when they start first (the direct writer of 2025).
BARE_TABLE = """
CREATE TABLE log_entries (
    id serial PRIMARY KEY, timestamp timestamp NOT NULL, level varchar(20) NOT NULL,
    service varchar(50) NOT NULL, env varchar(20) NOT NULL DEFAULT 'dev', msg text,
    request_id varchar(100), job_id integer, submission_id integer, artifact_id integer,
    provider_job_id varchar(255), provider_id varchar(50), operation_type varchar(50),
    stage varchar(50), user_id integer, error text, error_type varchar(100),
    duration_ms integer, attempt integer, extra json, created_at timestamp DEFAULT now(),
    team text
);
CREATE INDEX log_entries_job_id_idx ON log_entries (job_id);
INSERT INTO log_entries (timestamp, level, service, msg, job_id, extra, team) VALUES
    ('2025-11-13 00:30:00.123456', 'ERROR', 'api', 'before us', 7,
     '{"a": 1, "nul": "\\u0000", "trace_id": "t1"}', 'blue'),
    ('2025-11-13 00:31:00', 'INFO', 'api', 'list', NULL, '[1]', NULL),
    ('2025-11-13 00:32:00', 'INFO', 'api', 'none', NULL, NULL, NULL);
"""


async def rows(dsn, query, *args):
    connection = await asyncpg.connect(dsn, server_settings={"timezone": "UTC"})
    try:
        return [tuple(row) for row in await connection.fetch(query, *args)]
    finally:
        await connection.close()


def test_head():
    """The number of the last file is that of the migration which Alembic takes for the newest."""
    folder = str(Path(migrations.__file__).parent)
    config = Config()
    config.set_main_option("script_location", folder)

    assert migrate.head() == ScriptDirectory.from_config(config).get_current_head()


async def test_upgrade_and_current(empty_database):
    """
    `current` is nothing before the first `upgrade`, and the newest migration after.
    """
    before = migrate.current(empty_database)
    migrate.upgrade(empty_database)
    migrate.upgrade(empty_database)

    assert before is None
    assert migrate.current(empty_database) == migrate.head()


async def test_many_may_upgrade_at_once(empty_database):
    """
    Collectors that start together migrate once, and all go on.
    """
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        list(threads.map(migrate.upgrade, [empty_database] * 4))

    assert migrate.current(empty_database) == migrate.head()


async def test_sql_for_who_runs_it_by_hand(empty_database):
    """
    The dry run is SQL that psql can run, and leaves the schema that `upgrade` makes.
    """
    with psycopg.connect(empty_database) as connection:
        connection.execute(migrate.upgrade_sql())

    assert migrate.current(empty_database) == migrate.head()


async def test_unreachable_database_is_one_line():
    """
    A database that is away is an error of one line, without the password.
    """
    with pytest.raises(Unavailable) as caught:
        migrate.upgrade("postgresql://me:secret@127.0.0.1:1/nothing")

    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_table_made_before_us_is_adopted(empty_database):
    """
    A bare ``log_entries`` is taken over with its rows: naive times are UTC, JSON becomes
    jsonb, columns we don't have go to extra, and new ids follow the old ones.
    """
    with psycopg.connect(empty_database) as connection:
        connection.execute(BARE_TABLE)
    migrate.upgrade(empty_database)
    found = await rows(
        empty_database,
        "SELECT id, timestamp::text, severity_number, job_id, trace_id, extra::text"
        " FROM log_entries ORDER BY id",
    )
    next_id = await rows(empty_database, "SELECT nextval('log_entry_ids')")
    ledger = await rows(empty_database, "SELECT receiver, records FROM ledger")

    assert found == [
        (
            1,
            "2025-11-13 00:30:00.123456+00",
            17,
            7,
            "t1",
            '{"a": 1, "nul": "\ufffd", "team": "blue", "trace_id": "t1"}',
        ),
        (2, "2025-11-13 00:31:00+00", 9, None, None, '{"extra": [1]}'),
        (3, "2025-11-13 00:32:00+00", 9, None, None, None),
    ]
    assert next_id[0][0] > 3
    assert ledger == [("sql", 3)]


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        pytest.param(
            "timestamp, level, service, env, msg, request_id, job_id, submission_id,"
            " artifact_id, provider_job_id, provider_id, operation_type, stage, user_id, error,"
            " error_type, duration_ms, attempt, extra",
            "'2025-11-13 00:30:00.5', 'ERROR', 'api', 'dev', 'direct', 'r1', 7, 8, 9, 'p', 'pixverse',"
            ' \'i2v\', \'provider:submit\', 1, NULL, NULL, 12, 1, \'{"k": "v", "trace_id": "t9"}\'',
            id="2025",
        ),
        pytest.param(
            "timestamp, level, service, env, msg, domain, request_id, job_id, submission_id,"
            " generation_id, provider_job_id, provider_id, operation_type, stage, channel, user_id,"
            " error, error_type, duration_ms, attempt, extra",
            "'2025-11-13 00:30:00.5+00', 'ERROR', 'api', 'dev', 'direct', 'provider', 'r1', 7, 8, 9,"
            " 'p', 'pixverse', 'i2v', 'provider:submit', 'api', 1, NULL, NULL, 12, 1,"
            ' \'{"trace_id": "t9"}\'',
            id="2026",
        ),
    ],
)
async def test_direct_writers_insert_unchanged(database, columns, values):
    """
    An INSERT that names the columns services know works, gets an id and a severity, and is
    entered in the ledger; so it is found and followed like all others.
    """
    with psycopg.connect(database, options="-ctimezone=UTC") as connection:
        connection.execute(f"INSERT INTO log_entries ({columns}) VALUES ({values})")
    found = await rows(
        database,
        "SELECT e.msg, severity_number, trace_id, timestamp::text, e.id > 0, l.receiver,"
        " l.records FROM log_entries e JOIN ledger l ON l.xid = e.xid"
        " AND e.timestamp BETWEEN l.min_timestamp AND l.max_timestamp",
    )

    assert found == [("direct", 17, "t9", "2025-11-13 00:30:00.5+00", True, "sql", 1)]


async def test_purging_statements_work(database, distributed):
    """
    Services' DELETE by age and TRUNCATE work on the table; with Citus both are refused.
    """
    insert = "INSERT INTO log_entries (level, timestamp) VALUES ('INFO', '2020-01-01')"
    delete = "DELETE FROM log_entries WHERE timestamp < now() - interval '30 days'"
    truncate = "TRUNCATE log_entries"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(insert)
        if distributed:
            with pytest.raises(psycopg.errors.FeatureNotSupported, match="cannot modify views"):
                connection.execute(delete)
            with pytest.raises(psycopg.errors.WrongObjectType, match="is not a table"):
                connection.execute(truncate)
            return
        deleted = connection.execute(delete).rowcount
        connection.execute(insert)
        connection.execute(truncate)
        left = connection.execute("SELECT count(*) FROM log_entries").fetchone()

    assert (deleted, left) == (1, (0,))
