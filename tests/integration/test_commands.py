"""The commands that delete records: what they print, leave, and enter in the audit."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import socket
from pathlib import Path

import psycopg
import pytest

from collector import cli
from collector.commands.expiry import size
from storage import database as connections
from storage import encoding, partitions
from tests.builders import record
from tests.stored import store

NOW = dt.datetime.now(dt.UTC).replace(hour=12)
DAY = partitions.DAY
CONFIG = """
exporters:
  postgres: {retention: {days: 30, rules: [{service: worker, level: debug, days: 3}]}}
"""


def day(ago):
    return f"log_entries_{NOW - ago * DAY:%Y%m%d}"


@pytest.fixture(name="run")
def _run(database, tmp_path, monkeypatch, capsys):
    """A function that runs the command on a database with some records."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("LOGNAME", "somebody")
    Path("config.yaml").write_text(CONFIG)
    debug = {"severity_number": 5, "service": "worker"}

    async def fill():
        async with connections.connected(database, size=1, init=encoding.prepare) as pool:
            await store(
                pool,
                record(timestamp=NOW, msg="a", user_id=12),
                record(timestamp=NOW - 5 * DAY, msg="b", job_id=7),
                record(timestamp=NOW - 5 * DAY, msg="c", **debug),
                record(timestamp=NOW - 40 * DAY, msg="d", extra={"job_id": "ingestion-55"}),
                record(timestamp=NOW - 40 * DAY, msg="e", request_id="r", **debug),
            )
            await partitions.maintain(pool, NOW.date(), ahead=0)

    asyncio.run(fill())

    def run(*arguments):
        code = cli.main(arguments)
        out, err = capsys.readouterr()
        return code, out.splitlines(), err

    return run


@pytest.fixture(name="sql")
def _sql(database):
    """A function that asks the database."""

    def sql(query):
        with psycopg.connect(database) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else None

    return sql


@pytest.fixture(name="left")
def _left(sql):
    """A function that gives the messages of all records."""
    return lambda: "".join(row[0] for row in sql("SELECT msg FROM log_entries ORDER BY msg"))


def without_sizes(lines):
    return [line.split(" records, ")[0] if "KiB" in line else line for line in lines]


def test_retention(run, sql, left):
    """
    `retention --dry-run` shows what `retention` then deletes, by partition and by rule, and
    deletes nothing; the audit says who did the other.
    """
    planned = run("retention", "--dry-run")
    before = left()
    done = run("retention")
    again = run("retention")
    audit = sql("SELECT DISTINCT who, command FROM log_deletions")

    told = [
        f"{day(40)}: drop it with 2",
        f"{day(5)}: delete 1",
        "  1 records: service: worker, level: debug, older than 3 days",
        "  1 records: all others, older than 30 days",
    ]
    by_rule = [
        "  2 records: service: worker, level: debug, older than 3 days",
        "  1 records: all others, older than 30 days",
    ]
    assert (0, "") == (planned[0], planned[2])
    assert [*told[:2], *by_rule] == without_sizes(planned[1])[:-1]
    assert planned[1][-1].startswith("would be deleted: 3 records of 2 partitions, ")
    assert before == "abcde"
    assert [*told[:2], *by_rule] == without_sizes(done[1])[:-1]
    assert done[1][-1].startswith("deleted: 3 records of 2 partitions, ")
    assert left() == "ab"
    assert again == (0, ["deleted: 0 records of 0 partitions, 0 bytes on disk"], "")
    assert [(f"somebody@{socket.gethostname()}", "retention")] == audit


def test_retention_after_a_jump(run, sql, left):
    """
    Where the clock has jumped ahead the commands delete nothing and say why, but when told that it
    is right.
    """
    sql("UPDATE retention_clock SET counted = now() - interval '90 days', seen = now()")
    code, lines, _ = run("cleanup", "--days", "4")
    before = left()
    _, trusted, _ = run("retention", "--trust-clock")

    assert code == 0
    assert "the clock has jumped ahead to" in lines[-1]
    assert lines[-1].endswith("until it has stood for a day; --trust-clock counts from now")
    assert before == "abcde"
    assert trusted[-1].startswith("deleted: 3 records")
    assert left() == "ab"


def test_cleanup(run, sql, left):
    """
    `cleanup` deletes what is older than the days given, whatever the rules say.
    """
    planned = run("cleanup", "--days", "4", "--dry-run")
    before = left()
    code, lines, _ = run("cleanup", "--days", "4")

    assert planned[1][-1].startswith("would be deleted: 4 records of 2 partitions, ")
    assert before == "abcde"
    assert code == 0
    assert lines[-1].startswith("deleted: 4 records of 2 partitions, ")
    assert left() == "a"
    assert [("cleanup --days 4",)] == sql("SELECT DISTINCT command FROM log_deletions")
    assert [("local", "cleanup --days 4")] == sql("SELECT who, action FROM audit_log")


@pytest.mark.parametrize(
    ("arguments", "place", "kept"),
    [
        pytest.param(["--user", "12"], day(0), "bcde", id="user"),
        pytest.param(["--job", "7"], day(5), "acde", id="job"),
        pytest.param(["--job", "ingestion-55"], day(40), "abce", id="job without a number"),
        pytest.param(["--request", "r"], day(40), "abcd", id="request"),
    ],
)
def test_delete(run, sql, left, arguments, place, kept):
    """
    `delete --dry-run` shows what `delete --yes` then deletes.
    """
    words = " ".join(arguments).removeprefix("--")
    planned = run("delete", *arguments, "--dry-run")
    before = left()
    done = run("delete", *arguments, "--yes")

    line = f"{place}: delete 1 records"
    assert (0, [line, f"would be deleted of {words}: 1 records"], "") == planned
    assert before == "abcde"
    assert (0, [line, f"deleted of {words}: 1 records"], "") == done
    assert left() == kept
    assert [(place, 1, f"delete --{words}", words)] == sql(
        "SELECT place, records, command, reason FROM log_deletions"
    )


def test_delete_what_is_shared(run, sql):
    """
    The id of a user is also taken off the resources that name it.
    """
    attributes = '\'{"enduser.id": 12, "host.name": "h"}\''
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute(f"INSERT INTO resources (id, attributes) VALUES (1, {attributes})")
    planned = run("delete", "--user", "12", "--dry-run")
    done = run("delete", "--user", "12", "--yes")

    assert "resources: forget the id in 1" in planned[1]
    assert "resources: forget the id in 1" in done[1]
    assert [({"host.name": "h"},)] == sql("SELECT attributes FROM resources")


def test_of_nothing(run, left):
    """
    Where there is nothing to delete, that is no error.
    """
    assert run("delete", "--user", "99", "--yes") == (
        0,
        ["deleted of user 99: 0 records"],
        "",
    )
    assert left() == "abcde"


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 * 2**40, "5120.0 GiB")],
)
def test_size(number, expected):
    """
    Sizes are told in the unit that fits.
    """
    assert expected == size(number)
