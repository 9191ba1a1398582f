"""What was acknowledged is kept, whatever is killed."""

from __future__ import annotations

import os
import signal
import time

import pytest
import requests

from tests.e2e.sender import Sender, stored
from tests.waiting import until


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_c31_what_was_acknowledged_survives_the_collector(start, database, how):
    """
    C31, C47: each line answered with 200 is in the database, however the collector ended.
    """
    collector = start()
    sender = Sender(collector.native)
    time.sleep(0.7)
    code = collector.stop(how)
    acknowledged = sender.stop()

    assert len(acknowledged) >= 5
    assert acknowledged <= stored(database)
    assert code == (0 if how == signal.SIGTERM else -how)
    assert set(sender.statuses) <= {200, 503, "gone"}


def test_c36_a_database_that_is_killed_is_503_and_loses_nothing(start, tmp_path):
    """
    C36, C43: without a spool senders get 503 while Postgres is dead. The collector starts its own
    again, says so, and what was acknowledged before is there.
    """
    folder = tmp_path / "postgres"
    collector = start(f'dsn: embedded, data_folder: "{folder}", spool: {{enabled: false}}')
    sender = Sender(collector.native)
    until(lambda: len(sender.acknowledged) >= 5)
    os.kill(int((folder / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    until(lambda: 503 in sender.statuses)
    refused = requests.post(
        f"{collector.otlp}/v1/logs",
        data=b"",
        headers={"Content-Type": "application/x-protobuf"},
        timeout=5,
    )
    before = len(sender.acknowledged)
    until(lambda: len(sender.acknowledged) > before + 5)
    acknowledged = sender.stop()
    found = {
        e["attempt"] for page in range(99) for e in collector.query(limit=1000, offset=page * 1000)
    }
    collector.stop()  # and its Postgres, which a killed one would leave

    assert refused.status_code == 200  # nothing to store is no failure
    assert acknowledged <= found
    assert "embedded_postgres_died" in collector.output
    assert "embedded_postgres_started_again" in collector.output


def test_two_collectors_start_at_once(start, database):
    """
    Collectors of one database start together, and each takes records.
    """
    first, second = start(), start()
    for collector in (first, second):
        line = {"level": "INFO", "service": "sender", "attempt": collector.process.pid}
        requests.post(f"{collector.native}/api/v1/logs/ingest", json=line, timeout=5)

    assert {first.process.pid, second.process.pid} == stored(database)


def test_stop_is_quick_and_clean(start):
    """
    SIGTERM ends an idle collector at once, with open keep-alive connections, with code 0.
    """
    collector = start()
    with requests.Session() as session:
        session.get(f"{collector.native}/health", timeout=5)
        begin = time.monotonic()
        code = collector.stop()

    assert code == 0
    assert time.monotonic() - begin < 5
    assert "Traceback" not in collector.output
