"""Several processes that take records in are one collector, whatever becomes of each."""

from __future__ import annotations

import signal
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import requests

from tests.e2e.sender import Sender, stored
from tests.waiting import PATIENCE, until

NEW = "https://new.example"
INGEST = "/api/v1/logs/ingest"


def workers(collector):
    """The processes that take records in, and the one that keeps house."""
    taking, keeping = [], []
    for child in psutil.Process(collector.process.pid).children():
        with suppress(psutil.Error):  # it has just died
            if "collector.worker" in child.cmdline():
                (keeping if child.nice() else taking).append(child)
    return taking, keeping


def told(collector, event):
    """The lines of the collector's log that say this."""
    return [line for line in collector.lines if f'"{event}"' in line]


@contextmanager
def sending(collector, number=4):
    """Some senders that post all the time, inside the block."""
    senders = [Sender(collector.native, first=1 + 1_000_000 * n) for n in range(number)]
    try:
        until(lambda: all(len(sender.acknowledged) > 3 for sender in senders))
        yield senders
        seen = [len(sender.acknowledged) for sender in senders]
        until(lambda: all(len(s.acknowledged) > n + 3 for s, n in zip(senders, seen, strict=True)))
    finally:
        for sender in senders:
            sender.stop()


def acknowledged(senders):
    return set().union(*(sender.acknowledged for sender in senders))


def test_workers_that_are_killed(start, database):
    """
    A worker that is killed costs no acknowledged record and nobody but those connected to it,
    and is started again; the counters are those of all workers, the dead one's included. When
    the supervisor is killed its workers stop by themselves, with what they acknowledged stored,
    and leave nothing behind.
    """
    collector = start(service="workers: 2")
    taking, keeping = workers(collector)
    with sending(collector) as senders:
        taking[0].kill()
        keeping[0].kill()
        until(lambda: [2, 1] == [len(found) for found in workers(collector)])
    until(lambda: collector.counters()["pixsim_workers_restarted_total", frozenset()] == 2)
    counters = collector.counters()
    kept = len(acknowledged(senders))
    for _ in range(8):
        requests.post(collector.native + INGEST, data="{", timeout=5)
    refusals = [
        requests.get(f"{collector.native}/api/v1/refusals", timeout=5).json() for _ in range(4)
    ]
    last = Sender(collector.native)
    until(lambda: len(last.acknowledged) > 10)
    left = [worker for some in workers(collector) for worker in some]
    folder = Path(left[0].environ()["PROMETHEUS_MULTIPROC_DIR"])
    collector.stop(signal.SIGKILL)
    _, running = psutil.wait_procs(left, PATIENCE)
    last.stop()

    statuses = [status for sender in senders for status in sender.statuses]
    assert (2, 1) == (len(taking), len(keeping))
    assert {200, "gone"} >= set(statuses)
    assert len(senders) >= statuses.count("gone")
    assert kept <= counters["pixsim_records_stored_total", frozenset({("receiver", "pixsim")})]
    assert acknowledged([*senders, last]) <= stored(database)
    assert [8] * 4 == [
        sum(each["requests"] for each in answer["requests"] if each["route"] == INGEST)
        for answer in refusals
    ]
    assert 1 == len({answer["since"] for answer in refusals})
    assert len(left) == 3
    assert not running
    assert not folder.exists()


@pytest.mark.parametrize("number", [1, 2])
def test_a_new_configuration(start, database, number):
    """
    SIGHUP puts workers with the new configuration in the place of the old ones, and no request
    is lost or refused meanwhile. A file with problems changes nothing, and each is told.
    """
    collector = start(service=f"workers: {number}")
    good = collector.config.read_text()
    before = workers(collector)[0]
    with sending(collector) as senders:
        for text, event in (
            (f"{good}\nhello: there\n", "reload_failed"),
            (good.replace(f"workers: {number}", "workers: 3"), "reload_failed"),
            (good.replace("api: {", f"api: {{cors: {{allowed_origins: {NEW}}}, "), "reloaded"),
        ):
            seen = len(told(collector, event))
            collector.config.write_text(text)
            collector.process.send_signal(signal.SIGHUP)
            until(lambda seen=seen, event=event: len(told(collector, event)) > seen)
    headers = requests.get(f"{collector.native}/", headers={"Origin": NEW}, timeout=5).headers
    code = collector.stop()

    assert [{200}] * len(senders) == [set(sender.statuses) for sender in senders]
    assert acknowledged(senders) == stored(database)
    assert "hello: unknown section" in told(collector, "reload_failed")[0]
    assert "service.workers has changed" in told(collector, "reload_failed")[1]
    assert headers["Access-Control-Allow-Origin"] == NEW
    assert len(before) == (number if number > 1 else 0)
    assert not any(worker.is_running() for worker in before)
    assert code == 0
