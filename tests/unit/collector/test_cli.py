"""The command: what it prints, and its exit codes."""

from __future__ import annotations

import asyncio
import io
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import structlog
from msgspec.structs import replace

from collector import cli, configfile, engine, own_log, supervisor
from collector.commands import serve
from collector.control import Failed
from collector.supervisor import Order
from storage import migrate
from storage.errors import Unavailable

BROKEN = "receivers:\n  otlp:\n    protocol: {}\nservice:\n  shutdown_timeout: 0\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    """An empty working directory, and no database in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return tmp_path


@pytest.fixture(name="run")
def _run(capsys):
    """A function that runs the command: its exit code, stdout and stderr."""

    def run(*arguments):
        try:
            code = cli.main(arguments)
        except SystemExit as exc:  # argparse
            code = exc.code
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["serve"],
        ["migrate"],
        ["check-config"],
        ["print-config"],
        ["retention"],
        ["cleanup"],
        ["delete"],
        ["demo"],
    ],
)
def test_help(run, command):
    """
    Every command describes itself.
    """
    code, out, err = run(*command, "--help")

    assert (0, "") == (code, err)
    assert out.startswith(" ".join(["usage: pixsim-collector", *command]))


def test_version(run):
    """
    The version is that of the installed distribution.
    """
    code, out, _ = run("--version")

    assert code == 0
    assert re.fullmatch(r"pixsim-collector \d+\.\d+\.\d+\n", out)


ASKING = ["query", "trace", "tail", "stats", "export", "forward"]
ASKED = f"""
import sys
from collector import cli

for name in {ASKING}:
    try:
        cli.main([name, "--help"])
    except SystemExit:
        pass
cli.main(["query", "--url", "http://127.0.0.1:1"])
print(*({{name.partition(".")[0] for name in sys.modules}} & {{"aiohttp", "asyncpg", "storage"}}))
"""


def test_a_question_imports_no_server():
    """
    A command that asks a collector waits for no import of what serves or stores.
    """
    done = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=True)
    assert "" == done.stdout.splitlines()[-1]
    assert "cannot be reached" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["sevre"],
        ["migrate", "down"],
        ["serve", "--conf", "x"],
        ["demo", "--rate=0"],
        ["cleanup"],
        ["cleanup", "--days", "0"],
        ["delete", "--yes"],
        ["delete", "--user", "1"],
        ["delete", "--user", "1", "--yes", "--dry-run"],
        ["delete", "--user", "1", "--job", "2", "--yes"],
    ],
)
def test_misuse(run, arguments):
    """
    A command line that makes no sense is exit code 2, with the usage.
    """
    code, _, err = run(*arguments)

    assert code == 2
    assert err.startswith("usage: pixsim-collector")


@pytest.mark.parametrize(
    "command", [["serve"], ["check-config"], ["print-config"], ["migrate", "current"]]
)
def test_bad_config(run, command):
    """
    Problems of the configuration are a line each on stderr, and exit code 2.
    """
    Path("bad.yaml").write_text(BROKEN)

    expected = (
        "pixsim-collector: bad.yaml:3: receivers.otlp.protocol:"
        " unknown key, did you mean protocols?\n"
        "pixsim-collector: bad.yaml:5: service.shutdown_timeout:"
        " expected a number of seconds above 0, found 0\n"
    )
    assert (2, "", expected) == run(*command, "--config", "bad.yaml")


def test_check_config(run):
    """
    A valid configuration is exit code 0; what is odd in it goes to stderr.
    """
    Path("config.yaml").write_text("service: {extensions: []}\n")

    expected = "pixsim-collector: warning: config.yaml: extensions.api: not used\n"
    assert run("check-config") == (0, "the configuration is valid\n", expected)


def test_print_config(run, monkeypatch):
    """
    print-config shows what is in effect, on stdout, and no password.
    """
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@db/logs")

    code, out, err = run("print-config")

    assert (0, "") == (code, err)
    assert "dsn: postgresql://me:***@db/logs\n" in out
    assert "hunter2" not in out


def test_migrate_sql(run):
    """
    `migrate sql` shows the schema without a database.
    """
    code, out, _ = run("migrate", "sql")

    assert code == 0
    assert "CREATE TABLE log_entries" in out


def test_migrate(run, monkeypatch):
    """
    `migrate` runs on the configured database, and shows where that is then.
    """
    monkeypatch.setenv("DATABASE_URL", "postgresql://db/logs")
    upgraded = []
    monkeypatch.setattr(migrate, "upgrade", upgraded.append)
    monkeypatch.setattr(engine, "reach", lambda postgres, dsn: asyncio.sleep(0))
    monkeypatch.setattr(engine, "_renew", lambda dsn, told: asyncio.sleep(0))
    monkeypatch.setattr(migrate, "current", lambda dsn: "0001" if dsn in upgraded else None)

    assert run("migrate", "current") == (0, "no migration\n", "")
    assert run("migrate", "upgrade") == (0, "0001\n", "")
    assert upgraded == ["postgresql://db/logs"]


def test_database_away(run, monkeypatch):
    """
    A database that cannot be reached is one line and exit code 2.
    """
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:1/logs")

    code, out, err = run("migrate", "upgrade")

    assert (2, "") == (code, out)
    assert re.fullmatch(r"pixsim-collector: .*127\.0\.0\.1.*\n", err)
    assert "hunter2" not in err


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (signal.SIGTERM, Order.STOP),
        (signal.SIGINT, Order.STOP),
        (signal.SIGHUP, Order.RELOAD),
    ],
)
def test_serve_has_orders_by_signals(run, monkeypatch, number, expected):
    """
    SIGTERM and Ctrl-C ask the collector to stop, SIGHUP to read its configuration again; when
    it has stopped the exit code is 0.
    """
    served = []

    async def serve(config, reload, orders):
        os.kill(os.getpid(), number)
        served.extend([config, reload(), await asyncio.wait_for(orders.get(), 5)])

    monkeypatch.setattr(supervisor, "serve", serve)

    code, out, _ = run("serve", "--workers", "3")

    config = configfile.load(None).config
    config = replace(config, service=replace(config.service, workers=3))
    assert (0, "") == (code, out)
    assert [config, config, expected] == served


def test_a_terminal_that_is_gone_stops_the_collector(run, monkeypatch):
    """
    SIGHUP of a terminal that was closed ends the collector that ran in it.
    """
    orders_got = []

    async def serve(config, reload, orders):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
        os.kill(os.getpid(), signal.SIGHUP)
        orders_got.append(await asyncio.wait_for(orders.get(), 5))

    monkeypatch.setattr(supervisor, "serve", serve)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run("serve")

    assert [Order.STOP] == orders_got


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        pytest.param(Unavailable("no route to db"), "no route to db", id="database"),
        pytest.param(Failed("a worker ended"), "a worker ended", id="worker"),
        pytest.param(OSError(98, "address already in use"), "address already in use", id="port"),
        pytest.param(PermissionError(13, "not allowed", "data"), "data: not allowed", id="folder"),
        pytest.param(
            ExceptionGroup("tasks", [Unavailable("connection lost")]), "connection lost", id="group"
        ),
    ],
)
def test_serve_fails(run, monkeypatch, exc, expected):
    """
    What the operator can mend is one line, without a traceback.
    """

    async def serve(config, reload, orders):
        raise exc

    monkeypatch.setattr(supervisor, "serve", serve)

    assert (2, "", f"pixsim-collector: {expected}\n") == run("serve")


@pytest.mark.parametrize("exc", [KeyError("x"), ExceptionGroup("", [OSError(), KeyError("x")])])
def test_bug(run, monkeypatch, exc):
    """
    A bug is a traceback.
    """

    async def serve(config, reload, orders):
        raise exc

    monkeypatch.setattr(supervisor, "serve", serve)

    with pytest.raises(type(exc)):
        run("serve")


@pytest.mark.parametrize("terminal", [True, False])
def test_a_traceback_shows_no_values(monkeypatch, terminal):
    """
    Our own log never shows what variables hold: it may be a sender's data, or a password.
    """
    lines = io.StringIO()
    lines.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", lines)
    own_log.to_stderr("info")
    try:
        password = "2retnuh"[::-1]  # a traceback shows the line, which must not hold it
        raise KeyError(len(password))
    except KeyError:
        structlog.get_logger().exception("request_failed")

    assert "KeyError" in lines.getvalue()
    assert "hunter2" not in lines.getvalue()


def test_the_server_may_have_many_connections():
    """
    A shell's limit of open files is raised as far as the system lets us.
    """
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(now, 1_000), most))
        serve._allow_files()

        expected = (
            serve.MOST_FILES if most == resource.RLIM_INFINITY else min(most, serve.MOST_FILES)
        )
        assert expected == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (now, most))
