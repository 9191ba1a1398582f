"""No question hangs the collector, whatever it asks: over HTTP, against a real Postgres."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager

import aiohttp
import pytest

from collector import server
from collector.api import Api, routes
from collector.body import InFlight
from storage import database as connections
from storage import pages, reader
from storage.reader import Reader
from tests.builders import NOON, record
from tests.stored import store

LOGS = "/api/v1/logs"
RUNNING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'pixsim-collector reader' AND state = 'active'"
)


@asynccontextmanager
async def serving(database, **config):
    api = Api(endpoint="127.0.0.1:0", **config)
    async with (
        connections.reading(database, size=2) as pool,
        connections.reading(database, size=1) as probing,
    ):
        offered = routes(api, Reader(pool, probing=probing), now=lambda: NOON)
        listening = server.listening(
            [server.Listener(api, offered)], InFlight(1_000), shutdown_timeout=2
        )
        async with listening as (url,), aiohttp.ClientSession(url) as client:
            yield client


async def until(pool, running):
    """Wait for the number of queries that run to be *running*."""
    async with asyncio.timeout(10):
        while await pool.fetchval(RUNNING) != running:  # noqa: ASYNC110  Postgres has no event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("path", ["/query", "/trace/job/1", "/distinct?field=queue", "/fields"])
async def test_a_query_ends_with_who_asked_it(database, pool, path):
    """
    When its asker hangs up a query is cancelled in Postgres, and its connection serves others.
    """
    async with serving(database) as client, pool.acquire() as locking:
        async with locking.transaction():
            await locking.execute("LOCK TABLE log_entries")
            for _ in range(3):  # more than there are connections
                asking = asyncio.create_task(client.get(LOGS + path))
                await until(pool, 1)
                asking.cancel()
                await until(pool, 0)
        async with client.get(LOGS + path) as response:
            assert response.status == 200


async def test_slow_queries_are_no_illness(database, pool):
    """
    While slow queries have all connections the collector is still healthy and ready.
    """
    async with serving(database) as client, pool.acquire() as locking:
        async with locking.transaction():
            await locking.execute("LOCK TABLE log_entries")
            asking = [asyncio.create_task(client.get(f"{LOGS}/query")) for _ in range(4)]
            await until(pool, 2)
            async with client.get("/health") as health, client.get("/ready") as ready:
                found = (await health.json())["status"], ready.status
        for answer in await asyncio.gather(*asking):
            answer.release()

    assert found == ("healthy", 200)


async def test_a_slow_query_ends(database, pool):
    """
    A query has its time; then it is cancelled in Postgres, and the answer says so.
    """
    async with (
        serving(database, query_timeout=0.1) as client,
        pool.acquire() as locking,
        locking.transaction(),
    ):
        await locking.execute("LOCK TABLE log_entries")
        async with client.get(f"{LOGS}/query") as response:
            answer = await response.json()

    assert response.status == 503
    assert "longer than 0.1 s" in answer["detail"]
    assert await pool.fetchval(RUNNING) == 0


HARD = {
    "a percent sign": {"q": '"%%%%%%%%%%"', "level": "%"},
    "many values": [("job_id", str(n)) for n in range(900)],
    "many alternatives": {"q": " OR ".join(f"job_id:{n}" for n in range(400))},
    "deep": {"q": "(" * 300 + "level:error" + ")" * 300},
    "deep and negated": {"q": "-(" * 300 + "level:error" + ")" * 300},
    "many texts": {"q": " ".join(f'"a{n}"' for n in range(600))},
    "a far page": {"offset": str(2**63 - 1)},
    "a megabyte": {"search": "x" * 2**20},
    "a megabyte of a name": {"x" * 2**20: "x"},
}


@pytest.mark.parametrize("params", HARD.values(), ids=HARD)
async def test_hard_questions(database, pool, params):
    """
    A question that is long, deep or hard is answered or refused within its time, and the
    collector answers the next.
    """
    await store(pool, *(record(msg="a%", extra={"k": "%"}) for _ in range(100)))
    async with serving(database, query_timeout=5) as client, asyncio.timeout(10):
        async with client.get(f"{LOGS}/query", params=params) as response:
            assert response.status in {200, 400, 414, 422, 503}
        async with client.get(f"{LOGS}/query") as response:
            assert response.status == 200


async def walked(client, **params):
    """Walk all pages; give the messages, newest first, and the pages that say they are cut."""
    found, cut = [], []
    while True:
        async with client.get(f"{LOGS}/query", params=params) as response:
            answer = await response.json()
        found += [entry["msg"] for entry in answer["logs"]]
        cut.append("X-Incomplete" in response.headers)
        if not answer["has_more"]:
            return found, cut, answer["total"]
        params["cursor"] = answer["next_cursor"]


@pytest.mark.parametrize("text", ["random", "repeated"])
async def test_an_answer_has_a_size(database, pool, monkeypatch, text):
    """
    A page of records that are too large for one answer has fewer of them, says so, and its
    cursor goes on with the next; however well the database has packed them.
    """
    monkeypatch.setattr(pages, "MOST_BYTES", 20_000)
    value = "x" * 9_000 if text == "repeated" else os.urandom(4_500).hex()
    await store(
        pool,
        *(record(msg=str(n), extra={"k": value}, job_id=1) for n in range(7)),
        record(msg="7", job_id=1),
    )
    async with serving(database) as client:
        small = await walked(client, limit=2)
        large = await walked(client, limit=1000)
        async with client.get(f"{LOGS}/trace/job/1") as response:
            trace = await response.json()

    everything = [str(n) for n in reversed(range(8))]
    assert (everything, [False] * 4, 8) == small
    assert (everything, [True, True, False], 8) == large
    assert ["0", "1", "2"] == [entry["msg"] for entry in trace]
    assert "/query has all" in response.headers["X-Incomplete"]


async def test_a_record_of_any_size_is_found(database, pool, monkeypatch):
    """
    A record that alone is larger than an answer is answered alone.
    """
    monkeypatch.setattr(pages, "MOST_BYTES", 1_000)
    await store(pool, *(record(msg=str(n) * 2_000, job_id=1) for n in range(3)))
    async with serving(database) as client:
        found, cut, _ = await walked(client, limit=1000)

    assert ["222", "111", "000"] == [msg[:3] for msg in found]
    assert [True, True, False] == cut


async def test_a_trace_has_an_end(database, pool, monkeypatch):
    """
    Of a trace with more records than any reader can use the first are answered, which says so.
    """
    monkeypatch.setattr(reader, "MOST_ENTRIES", 3)
    await store(pool, *(record(msg=str(n), job_id=n // 4) for n in range(7)))
    async with serving(database) as client:
        async with client.get(f"{LOGS}/trace/job/0") as four:
            assert ["0", "1", "2"] == [entry["msg"] for entry in await four.json()]
        async with client.get(f"{LOGS}/trace/job/1") as three:
            assert ["4", "5", "6"] == [entry["msg"] for entry in await three.json()]

    assert "X-Incomplete" in four.headers
    assert "X-Incomplete" not in three.headers
