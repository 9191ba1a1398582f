"""The embedded server, started for real."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import psycopg
import pytest

from storage import embedded
from tests.postgres import made_folder


def show(dsn, setting):
    with psycopg.connect(dsn) as connection:
        return connection.execute(f"SHOW {setting}").fetchone()[0]


def test_it_is_durable_and_set_for_writing(tmp_path):
    """
    A new server has our settings, and those that durability needs.
    """
    with embedded.running(tmp_path / "postgres") as dsn:
        found = {
            name: show(dsn, name)
            for name in ("fsync", "synchronous_commit", "full_page_writes", "timezone")
        }
        memory = show(dsn, "shared_buffers")

    assert {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "timezone": "UTC",
    } == found
    assert memory == "512MB"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGQUIT])
def test_it_restarts_after_a_kill_with_what_was_committed(tmp_path, how):
    """
    After the server was killed it starts again, with all that was committed.
    """
    folder = tmp_path / "postgres"
    with embedded.running(folder) as dsn:
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        pid = int((folder / "postmaster.pid").read_text().split()[0])
        os.kill(pid, how)
    with embedded.running(folder) as dsn, psycopg.connect(dsn) as connection:
        kept = connection.execute("SELECT n FROM kept").fetchone()

    assert (7,) == kept


def test_it_stops_with_the_block(tmp_path):
    """
    Nothing of the server runs after the block.
    """
    folder = tmp_path / "postgres"
    with embedded.running(folder):
        pid = int((folder / "postmaster.pid").read_text().split()[0])

    assert not (folder / "postmaster.pid").exists()
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_it_stops_with_the_last_user_that_lives(tmp_path):
    """
    A server that a killed process left behind is taken over, and stops with who took it.
    """
    folder = tmp_path / "postgres"
    script = (
        "import os, pathlib, signal, sys; from storage import embedded\n"
        "with embedded.running(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, folder], check=False)
    pid = int((folder / "postmaster.pid").read_text().split()[0])
    with embedded.running(folder):
        taken_over = int((folder / "postmaster.pid").read_text().split()[0])

    assert taken_over == pid
    assert not (folder / "postmaster.pid").exists()


def test_it_is_started_again_when_it_dies():
    """
    A server that is killed while it is used is started again, at the same address.
    """
    within = made_folder("pixsim-tests-kept-")
    folder = within / "postgres"

    def pid():
        return int((folder / "postmaster.pid").read_text().split()[0])

    with embedded.kept(folder) as dsn:
        killed = pid()
        os.kill(killed, signal.SIGKILL)
        end = time.monotonic() + 60
        while True:
            assert time.monotonic() < end
            time.sleep(0.05)
            with suppress(psycopg.OperationalError, ValueError, OSError):
                psycopg.connect(dsn).close()
                if pid() != killed:
                    break
    stopped = not (folder / "postmaster.pid").exists()
    shutil.rmtree(within)

    assert stopped
