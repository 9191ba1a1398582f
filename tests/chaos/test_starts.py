"""Starts that are disturbed."""

from __future__ import annotations

import subprocess
import threading

import psycopg
import pytest

from tests.chaos.conftest import LONG
from tests.chaos.traffic import OneTry, Traffic
from tests.e2e.conftest import COMMAND, Collector, configuration
from tests.waiting import until

pytestmark = pytest.mark.skipif(not LONG, reason="make chaos has the time for these")
WAITS = """
SELECT count(*) FROM pg_stat_activity
WHERE query LIKE '%saved_views%' AND wait_event_type = 'Lock'
"""
TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"


def written(folder, dsn, name="config"):
    config = folder / f"{name}.yaml"
    spool = f'spool: {{folder: "{folder / "spool"}"}}'
    config.write_text(configuration(f'dsn: "{dsn}", {spool}', "workers: 1"))
    return config


def test_two_start_at_once_on_an_empty_database(empty_database, tmp_path):
    """
    Collectors that start at once on a database without our schema make it once, and both take
    records.
    """
    started = {}

    def start(name):
        started[name] = Collector(written(tmp_path, empty_database, name))

    threads = [threading.Thread(target=start, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        for collector in started.values():
            with Traffic(collector, (OneTry,)) as traffic:
                traffic.go_on()
            assert not traffic.settled(empty_database)
    finally:
        codes = [collector.stop() for collector in started.values()]

    assert [0, 0] == codes


def takes_records(config, dsn):
    """Start a collector, send it some, and give its exit code."""
    collector = Collector(config)
    try:
        with Traffic(collector, (OneTry,)) as traffic:
            traffic.go_on()
        assert not traffic.settled(dsn)
    finally:
        code = collector.stop()
    return code


def test_a_migration_fails(empty_database, tmp_path):
    """
    A migration that fails leaves those before it and no trace of its own, and the start says why.
    The next one does the rest.
    """
    config = written(tmp_path, empty_database)
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("CREATE TABLE saved_views ()")  # as a later migration does
        first = subprocess.run(
            [COMMAND, "serve", "--config", config], capture_output=True, text=True, check=False
        )
        (tables,) = connection.execute(TABLES).fetchone()
        connection.execute("DROP TABLE saved_views")

    assert first.returncode == 2
    assert 'relation "saved_views" already exists' in first.stderr
    assert tables > 1
    assert takes_records(config, empty_database) == 0


def test_a_migration_is_killed(empty_database, tmp_path):
    """
    A collector that is killed in the middle of a migration leaves nothing of it; the next start
    does the rest.
    """
    config = written(tmp_path, empty_database)
    with (
        psycopg.connect(empty_database) as connection,
        psycopg.connect(empty_database, autocommit=True) as watching,
    ):
        connection.execute("CREATE TABLE saved_views ()")  # which the migration has to wait for
        with subprocess.Popen([COMMAND, "serve", "--config", config]) as killed:
            until(lambda: watching.execute(WAITS).fetchone() == (1,))
            killed.kill()
        connection.rollback()

    assert takes_records(config, empty_database) == 0
