"""A sender that has no answer sends again, and what it sent is stored once."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time

import pytest
import requests

from tests.waiting import until


def otlp(number, **fields):
    """Some records of a request, told by *number*, as OTLP in JSON."""
    records = [
        {"body": {"stringValue": f"{number}-{place}"}, "timeUnixNano": f"{number}", **fields}
        for place in range(3)
    ]
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}


def found(collector, **parameters):
    logs = collector.query(limit=1000, **parameters)
    return sorted(entry["msg"] for entry in logs)


def test_c37_the_second_answer_is_the_first_one(shared):
    """
    C37: an OTLP request that comes again, byte for byte, is answered as before; each endpoint
    knows a request by its Idempotency-Key; a key that another body had is refused. Repeats are
    counted apart.
    """
    before = shared.counters()
    url = f"{shared.otlp}/v1/logs"
    answers = [requests.post(url, json=otlp(37_000), timeout=5) for _ in range(2)]
    assert [200, 200] == [answer.status_code for answer in answers]
    assert answers[0].content == answers[1].content

    for path in ("ingest", "ingest/batch"):
        line = {"level": "INFO", "service": "keyed", "msg": path}
        body = line if path == "ingest" else {"logs": [line, line]}
        answers = [
            requests.post(
                f"{shared.native}/api/v1/logs/{path}",
                json=body,
                headers={"Idempotency-Key": f"c37-{path}"},
                timeout=5,
            )
            for _ in range(2)
        ]
        assert [200, 200] == [answer.status_code for answer in answers]
        assert answers[0].json() == answers[1].json()
    other = requests.post(
        f"{shared.native}/api/v1/logs/ingest",
        json={"level": "INFO", "service": "keyed", "msg": "another"},
        headers={"Idempotency-Key": "c37-ingest"},
        timeout=5,
    )

    assert 422 == other.status_code
    assert "Idempotency-Key" in other.json()["detail"]
    assert ["37000-0", "37000-1", "37000-2"] == found(shared, q="msg:37000-*")
    assert ["ingest", "ingest/batch", "ingest/batch"] == found(shared, service="keyed")
    after = shared.counters()
    for receiver, number in (("otlp", 3), ("pixsim", 3)):
        key = ("pixsim_records_repeated_total", frozenset({("receiver", receiver)}))
        assert number == after[key] - before.get(key, 0)


def test_c37_records_without_a_time_may_be_of_two_events(shared):
    """
    C37: OTLP records that say no time at all are stored each time that they come.
    """
    body = {
        "resourceLogs": [
            {"scopeLogs": [{"logRecords": [{"body": {"stringValue": "no time at all"}}]}]}
        ]
    }
    for _ in range(2):
        assert 200 == requests.post(f"{shared.otlp}/v1/logs", json=body, timeout=5).status_code

    assert ["no time at all"] * 2 == found(shared, q='"no time at all"')


@pytest.mark.timeout(180)
def test_c37_whatever_is_killed_each_record_is_there_once(start, tmp_path):
    """
    C37: senders that try until there is a 200 have everything stored, once, while the collector
    and Postgres are killed at moments that nobody chose.
    """
    folder = tmp_path / "postgres"
    settings = f'dsn: embedded, data_folder: "{folder}"'
    running = [start(settings)]
    rng = random.Random(7)
    stop = threading.Event()
    sent = [0, 0]

    def send(which):
        number = which
        while not stop.is_set():
            number += 2
            while True:
                collector = running[-1]
                try:
                    answer = (
                        requests.post(f"{collector.otlp}/v1/logs", json=otlp(number), timeout=2)
                        if which
                        else requests.post(
                            f"{collector.native}/api/v1/logs/ingest",
                            json={"level": "INFO", "service": "keyed", "msg": f"{number}-0"},
                            headers={"Idempotency-Key": f"{number}"},
                            timeout=2,
                        )
                    )
                except requests.RequestException:
                    time.sleep(0.05)
                    continue
                assert answer.status_code in {200, 503}
                if answer.status_code == 200:
                    break
                time.sleep(0.05)
            sent[which] = number

    threads = [threading.Thread(target=send, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for what in ("collector", "postgres", "collector"):
        time.sleep(0.3 + rng.random())
        if what == "postgres":
            os.kill(int((folder / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        running[-1].stop(signal.SIGKILL)
        running.append(start(settings))
    time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join()
    until(lambda: running[-1].counters()["pixsim_spool_records", frozenset()] == 0)
    export = requests.get(f"{running[-1].native}/api/v1/logs/export", timeout=30)
    messages = sorted(line["msg"] for line in map(json.loads, export.text.splitlines()))
    running[-1].stop()

    expected = [f"{number}-0" for number in range(2, sent[0] + 1, 2)]
    expected += [f"{number}-{n}" for number in range(3, sent[1] + 1, 2) for n in range(3)]
    assert min(sent) > 10
    assert sorted(expected) == messages
