"""Postgres is away for a while, and who sends once and never again does not notice."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from contextlib import contextmanager

import psycopg
import pytest
import requests

from tests.e2e.conftest import starting
from tests.stoppable import stoppable
from tests.waiting import until

SPOOLED = ("pixsim_spool_records", frozenset())


@pytest.fixture(name="postgres", scope="module")
def _postgres():
    with stoppable() as server:
        yield server


@pytest.fixture(name="start")
def _start(postgres, tmp_path):
    with starting(postgres.dsn, tmp_path) as start:
        yield start


class OneTry:
    """Posts numbered records, each once and on a connection of its own."""

    def __init__(self, collector, first):
        self.collector = collector
        self.acknowledged, self.others = [], []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, args=(first,))
        self._thread.start()

    def _send(self, number):
        while not self._stop.is_set():
            number += 1
            answer = posted(self.collector, number)
            if answer.startswith("200"):
                self.acknowledged.append(number)
            else:
                self.others.append(answer)

    def stop(self):
        self._stop.set()
        self._thread.join()


def posted(collector, number):
    try:
        answer = requests.post(
            f"{collector.native}/api/v1/logs/ingest",
            json={"level": "INFO", "service": "sender", "attempt": number},
            timeout=10,
        )
    except requests.ConnectionError as exc:
        return str(exc)
    return f"{answer.status_code} {answer.text}"


@contextmanager
def sending(collector, first=0):
    senders = [OneTry(collector, 1_000_000 * number) for number in range(first, first + 3)]
    try:
        yield senders
    finally:
        for sender in senders:
            sender.stop()


def stored(postgres):
    """How often each number is stored."""
    with psycopg.connect(postgres.dsn) as connection:
        rows = connection.execute("SELECT attempt FROM log_entries WHERE service = 'sender'")
        return Counter(row[0] for row in rows)


def go_on(senders, number=15):
    """Return when each of *senders* has that many more acknowledged."""
    before = [len(sender.acknowledged) for sender in senders]
    until(
        lambda: all(len(s.acknowledged) >= n + number for s, n in zip(senders, before, strict=True))
    )


@pytest.mark.timeout(240)
def test_nothing_is_lost_and_nothing_twice(start, postgres):
    """
    Senders that try once have all stored, each once, while Postgres is shut down, starts again,
    is killed and hangs. Where the collector is killed too, with its spool half full or with the
    database away when it starts again, whatever it acknowledged is stored all the same.
    """
    collector = start(service="workers: 2")
    with sending(collector) as senders:
        go_on(senders)
        postgres.stop()
        go_on(senders)
        ready = requests.get(f"{collector.native}/ready", timeout=10)
        postgres.start()
        go_on(senders)
        with postgres.hanging():
            go_on(senders)
            health = requests.get(f"{collector.native}/health", timeout=10)
        go_on(senders)
        postgres.kill()
        go_on(senders)
    refused = [answer for sender in senders for answer in sender.others]
    collector.stop(signal.SIGKILL)
    again = start(service="workers: 1")
    with sending(again, first=3) as others:
        go_on(others)
        postgres.start()
        go_on(others)
    until(lambda: again.counters()[SPOOLED] == 0)
    acknowledged = {n for sender in (*senders, *others) for n in sender.acknowledged}
    until(lambda: acknowledged <= stored(postgres).keys())
    found = stored(postgres)
    again.stop()

    assert (200, "spooling") == (ready.status_code, ready.json()["status"])
    assert "disconnected" == health.json()["database"]
    assert not refused
    assert {1} == set(found.values())
    for event in ("spool_fills", "spool_drained"):
        assert any(f'"{event}"' in line for line in (*collector.lines, *again.lines))


def test_beyond_its_limit_senders_are_told(start, postgres, tmp_path):
    """
    When the spool is full, requests are answered with 503 and both reasons, counted, and the
    collector is not ready; what was acknowledged before is stored, and room is there again.
    """
    limits = f'enabled: true, folder: "{tmp_path}", max_bytes: 65536, after: 0.2'
    collector = start(f'dsn: "{postgres.dsn}", spool: {{{limits}}}', "workers: 1")
    postgres.stop()
    numbers = iter(range(9_000_000, 9_001_000))
    acknowledged = []
    while (answer := posted(collector, number := next(numbers))).startswith("200"):
        acknowledged.append(number)
    ready = requests.get(f"{collector.native}/ready", timeout=10)
    counters = collector.counters()
    postgres.start()
    until(lambda: set(acknowledged) <= stored(postgres).keys())
    until(lambda: collector.counters()[SPOOLED] == 0)
    again = posted(collector, next(numbers))
    collector.stop()

    assert 10 < len(acknowledged)
    assert answer.startswith("503")
    assert "65536" in answer
    assert "Postgres" in answer
    assert 503 == ready.status_code
    refused = {("route", "/api/v1/logs/ingest"), ("reason", "spoolfull")}
    assert 1 == counters["pixsim_requests_refused_total", frozenset(refused)]
    spooled = counters["pixsim_records_spooled_total", frozenset({("receiver", "pixsim")})]
    assert len(acknowledged) == spooled
    assert again.startswith("200")


def test_it_stops_whatever_postgres_does(start, postgres):
    """
    While Postgres hangs a collector that is told to stop ends within its time, and what it has
    acknowledged is stored by the next one.
    """
    collector = start(service="shutdown_timeout: 0.1")
    with postgres.hanging():
        assert posted(collector, 77_000_001).startswith("200")
        assert 1 == collector.stop()
    assert "stopped_hard" in collector.output
    start()
    until(lambda: 77_000_001 in stored(postgres))
