"""
Each fault costs nothing that was acknowledged, stores nothing twice, and is over by itself.

``make chaos`` gives them half a minute each; else they last for two seconds.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import signal
import threading
import time
from contextlib import suppress

import psutil
import psycopg
import pytest

from tests.chaos.conftest import LONG
from tests.chaos.traffic import Retrying, Traffic
from tests.waiting import until

PAUSE = LONG or 2.0  # seconds
pytestmark = [pytest.mark.usefixtures("well"), pytest.mark.timeout(400)]

OURS = "application_name = 'pixsim-collector' AND pid <> pg_backend_pid()"


def kill_a_worker(stage):
    stage.workers()[0].kill()


def kill_who_keeps_house(stage):
    stage.workers(keeping=True)[0].kill()


def gone(process):
    """Whether *process* has ended, even if nobody has taken note of it."""
    with suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return True


def kill_the_collector(stage):
    left = stage.workers()
    stage.stop(signal.SIGKILL)
    until(lambda: all(map(gone, left)))  # else its successor's sockets are theirs
    stage.start()


def stop_the_workers(stage):
    stopped = stage.workers()
    for worker in stopped:
        worker.suspend()
    time.sleep(PAUSE)
    for worker in stopped:
        worker.resume()


def kill_a_backend(stage):
    (pid,) = stage.execute(f"SELECT pid FROM pg_stat_activity WHERE {OURS} LIMIT 1")[0]
    os.kill(pid, signal.SIGKILL)


def end_all_sessions(stage):
    stage.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OURS}")


def kill_the_postmaster(stage):
    stage.server.stop(signal.SIGKILL)
    time.sleep(PAUSE / 2)
    stage.server.start()


def restart_postgres(stage):
    stage.server.stop()
    time.sleep(PAUSE / 2)
    stage.server.start()


def stop_postgres(stage):
    with stage.server.hanging():
        time.sleep(PAUSE)


def lock_the_table(stage):
    with psycopg.connect(stage.dsn) as connection:
        connection.execute("LOCK TABLE log_entries_days IN ACCESS EXCLUSIVE MODE")
        time.sleep(PAUSE)


def deadlock(stage):
    """Hold what a commit writes last, and then want what it writes first."""
    with suppress(psycopg.errors.DeadlockDetected), psycopg.connect(stage.dsn) as connection:
        connection.execute("LOCK TABLE ledger IN EXCLUSIVE MODE")
        time.sleep(0.3)
        connection.execute("LOCK TABLE log_entries_days IN ACCESS EXCLUSIVE MODE")


def let_statements_time_out(stage):
    stage.execute("ALTER ROLE postgres SET statement_timeout = '1ms'")
    end_all_sessions(stage)
    time.sleep(PAUSE / 2)
    stage.execute("ALTER ROLE postgres RESET statement_timeout")
    end_all_sessions(stage)


def cut_a_copy(stage):
    """Cut the connection in the middle of a large COPY."""
    with Traffic(stage.collector, ()) as traffic:
        sender = Retrying(stage.collector, traffic.run, "large")
        stage.proxy.cut_after(300_000)
        sender.send(1, records=5_000)
        until(lambda: stage.proxy.cuts)
        traffic.senders = [sender]
        sender.start()
    assert not traffic.settled(stage.dsn)


FAULTS = [
    (kill_a_worker, "worker_died"),
    (kill_who_keeps_house, "worker_died"),
    (kill_the_collector, "listening"),
    (stop_the_workers, ""),
    (kill_a_backend, "spool_fills|commits_fail"),
    (end_all_sessions, ""),
    (kill_the_postmaster, "spool_fills"),
    (restart_postgres, "spool_fills"),
    (stop_postgres, "spool_fills"),
    (lock_the_table, "spool_fills"),
    (deadlock, ""),
    (let_statements_time_out, "spool_fills"),
    (cut_a_copy, "spool_fills|commits_fail"),
]
# Others are among the tests of promises, workers and outages, or differ little.
SHORT = {kill_a_backend, stop_the_workers, lock_the_table, deadlock, cut_a_copy}


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        pytest.param(fault, told, id=fault.__name__)
        for fault, told in FAULTS
        if LONG or fault in SHORT
    ],
)
def test_what_was_acknowledged_is_stored_once(stage, fault, told):
    """
    Senders that try once and senders that try again have all stored that was acknowledged, each
    record once; all of them are served again without anybody's doing, and the log says why they
    were not.
    """
    seen = len(stage.log)
    with Traffic(stage.collector) as traffic:
        traffic.go_on()
        failing = threading.Thread(target=fault, args=(stage,))
        failing.start()
        failing.join()
        traffic.go_on()
    twice = traffic.settled(stage.dsn)

    assert not twice
    assert re.search(told, "".join(stage.log[seen:]))


def test_a_partition_is_missing(stage):
    """
    What comes while the partition of its day is missing is stored in the default one, and is in
    its own as soon as that is made anew.
    """
    today = f"log_entries_{dt.datetime.now(dt.UTC):%Y%m%d}"
    seen = len(stage.log)
    stage.execute(f"DROP TABLE IF EXISTS {today}")
    with Traffic(stage.collector) as traffic:
        traffic.go_on()
        strays = stage.execute("SELECT count(*) FROM log_entries_default")
        kill_who_keeps_house(stage)  # its successor looks at once
        until(lambda: stage.execute(f"SELECT to_regclass('{today}')") != [(None,)])
        traffic.go_on()
    twice = traffic.settled(stage.dsn)

    assert not twice
    assert strays[0][0] > 0
    assert [(0,)] == stage.execute("SELECT count(*) FROM log_entries_default")
    assert f"made {today} of" in "".join(stage.log[seen:])
