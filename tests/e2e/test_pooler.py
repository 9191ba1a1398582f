"""All that a collector does goes through PgBouncer, which lends connections by the transaction."""

from __future__ import annotations

import asyncio
import json

import requests

from storage import access_keys, database, restriction
from storage.access_keys import Wanted
from storage.audit import Origin
from tests.e2e.sender import Sender, stored
from tests.e2e.test_forwarding import FORWARDER, destination
from tests.pooling import needed, pooling
from tests.waiting import until

LOGS = "/api/v1/logs"
OTLP = """
{"resourceLogs": [{
  "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "worker"}}]},
  "scopeLogs": [{"logRecords": [{"body": {"stringValue": "by OTLP"},
    "attributes": [{"key": "attempt", "value": {"intValue": "1"}}]}]}]
}]}
"""


async def _keys(dsn):
    """Make keys: of who may do everything, and of who reads what services called worker say."""
    us = Origin("local", "somebody@here")
    async with database.connected(dsn, size=1) as pool:
        await restriction.prepare(pool)
        wanted = (
            Wanted(name="all", scopes=["admin"]),
            Wanted(name="some", scopes=["query"], services=["worker"]),
        )
        keys = [await access_keys.create(pool, each, us) for each in wanted]
    return [{"X-API-Key": key} for key in keys]


@needed
def test_the_whole_way_through_a_pooler(start, database):
    """
    Through a pooler records come in by both receivers, are read by who may see only some, followed
    live, exported, counted and sent on, by several workers at once, who disturb nobody's session.
    """
    everything, some = asyncio.run(_keys(database))
    with pooling(database) as between, destination() as there:
        collector = start(
            f'dsn: "{between.dsn}", direct_dsn: "{database}"',
            "workers: 2, access: keys",
            FORWARDER.format(url=there.url),
        )
        native, otlp = f"{collector.native}{LOGS}", f"{collector.otlp}/v1/logs"

        def get(path, key, **parameters):
            answer = requests.get(f"{native}/{path}", params=parameters, headers=key, timeout=10)
            assert answer.ok, answer.text
            return answer

        with requests.get(f"{native}/tail", headers=some, timeout=30, stream=True) as tail:
            for n in range(2, 22):  # to both workers
                line = {"level": "INFO", "service": "api", "msg": "native", "attempt": n}
                answer = requests.post(
                    f"{native}/ingest", json=line, headers=everything, timeout=10
                )
                assert answer.ok, answer.text
            json_type = {"Content-Type": "application/json"}
            requests.post(otlp, OTLP, headers=everything | json_type, timeout=10).raise_for_status()
            lines = (line.decode() for line in tail.iter_lines())
            followed = next(line for line in lines if line.startswith("data: ") and "msg" in line)
        until(lambda: there.taken >= set(range(1, 22)))
        answers = [
            [get("query", key).json()["total"] for key in (everything, some)] for _ in range(4)
        ]
        exported = get("export", everything).text.splitlines()
        seen = [get("distinct/service", key).json() for key in (everything, some)]
        ready = requests.get(f"{collector.native}/ready", headers=everything, timeout=10)

    assert "by OTLP" in followed
    assert [[21, 1]] * 4 == answers
    assert set(range(1, 22)) == {json.loads(line)["attempt"] for line in exported}
    assert [["api", "worker"], ["worker"]] == [each["values"] for each in seen]
    assert 200 == ready.status_code
    assert "made log_entries_" in collector.output
    assert "commits_fail" not in collector.output
    assert "housekeeping_failed" not in collector.output


@needed
def test_a_pooler_that_is_killed(start, database):
    """
    While the pooler is away requests wait in the spool, and none is stored twice or lost.
    """
    with pooling(database) as between:
        collector = start(f'dsn: "{between.dsn}", direct_dsn: "{database}"', "workers: 1")
        sender = Sender(collector.native)
        for _ in range(3):
            before = len(sender.acknowledged)
            until(lambda before=before: len(sender.acknowledged) > before + 5)
            between.kill()
            before = len(sender.acknowledged)
            until(lambda before=before: len(sender.acknowledged) > before + 2)
            between.start()
        acknowledged = sender.stop()
        until(lambda: stored(database) >= acknowledged)
        total = requests.get(f"{collector.native}{LOGS}/query", timeout=10).json()["total"]

    assert acknowledged
    assert len(stored(database)) == total
