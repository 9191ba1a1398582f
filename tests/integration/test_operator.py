"""What an operator asks, over HTTP and on a real Postgres."""

from __future__ import annotations

import datetime as dt
import uuid
from contextlib import asynccontextmanager

import aiohttp
import pytest

from collector import server, telemetry
from collector.api import Api, operator
from collector.body import InFlight
from storage import partitions, roll_ups
from storage.reader import Reader
from tests.builders import NOON, record
from tests.integration.conftest import ON_ONE_ENGINE
from tests.stored import store

HOUR = dt.timedelta(hours=1)


@pytest.fixture(name="get")
async def _get(pool, tmp_path):
    """Ask for a path; give the answer."""

    @asynccontextmanager
    async def serving():
        api = Api(endpoint="127.0.0.1:0")
        offered = operator.routes(Reader(pool), tmp_path, lambda: dt.datetime.now(dt.UTC))
        listening = server.listening(
            [server.Listener(api, offered)], InFlight(1_000), shutdown_timeout=2
        )
        async with listening as (url,), aiohttp.ClientSession(url) as client:
            yield client

    async def get(path, **params):
        async with serving() as client, client.get(path, params=params) as response:
            assert 200 == response.status, await response.text()
            return await response.json()

    return get


async def test_intake(pool, get):
    """
    What was committed is told by time and by who sent it to what, the largest first.
    """
    await store(pool, record(timestamp=NOON), record(timestamp=NOON - HOUR), sender="sdk")
    await store(pool, record(timestamp=NOON), receiver="otlp", sender="curl")
    await pool.execute(
        "UPDATE ledger SET received_at = now() - interval '2 min' WHERE sender = $1", "curl"
    )
    await pool.execute("INSERT INTO log_entries (level) VALUES ('INFO')")
    answer = await get(operator.INTAKE, last="10m", buckets=20)
    lately = await get(operator.INTAKE, last="1m")

    told = [(each["receiver"], each["requests"], each["records"]) for each in answer["senders"]]
    assert [("test", 1, 2), ("otlp", 1, 1), ("sql", 1, 1)] == told
    assert (3, 4, 0, True) == tuple(
        answer[name] for name in ("requests", "records", "refused", "complete")
    )
    assert answer["counts"] == [
        sum(each) for each in zip(*(s["counts"] for s in answer["senders"]), strict=True)
    ]
    assert len(answer["starts"]) == len(answer["counts"]) <= 20
    assert 3 == sum(lately["counts"]) == lately["records"]


async def test_many_senders(pool, get):
    """
    Of more than a hundred senders those who sent least are told together.
    """
    await pool.execute(
        "INSERT INTO ledger (receiver, sender, requests, records)"
        " SELECT 'r', n::text, 1, n FROM generate_series(1, 103) n"
    )
    senders = (await get(operator.INTAKE))["senders"]

    assert ("103", 103) == (senders[0]["sender"], senders[0]["records"])
    assert ("…", 1 + 2 + 3, 3) == next(
        (each["sender"], each["records"], each["requests"])
        for each in senders
        if each["sender"] == "…"
    )


async def test_intake_of_what_was_deleted(pool, get):
    """
    An answer says when the ledger had more, which is deleted.
    """
    await pool.execute("INSERT INTO ledger_dropped VALUES ('2026-01-01', '5', 1)")
    answer = await get(operator.INTAKE, start_time="2026-01-01T12:00", end_time="2026-01-03")
    later = await get(operator.INTAKE, start_time="2026-01-02", end_time="2026-01-03")

    assert (False, "2026-01-02T00:00:00Z") == (answer["complete"], answer["kept_since"])
    assert later["complete"]


@ON_ONE_ENGINE
async def test_times_of_any_length(get):
    """
    However long the time is, there is an answer.
    """
    answer = await get(operator.INTAKE, last="99999w", end_time="0001-01-01")

    assert answer["start"] == answer["end"]
    assert 0 == (await get(operator.INTAKE, last="99999w"))["records"]


@ON_ONE_ENGINE
async def test_refusals(get):
    """
    What was refused is told since the start, by reason, the most frequent first.
    """
    us = uuid.uuid4().hex
    telemetry.records_refused.labels(us, "few").inc()
    telemetry.records_refused.labels(us, "many").inc(5)
    telemetry.requests_refused.labels(us, "full").inc(2)
    answer = await get(operator.REFUSALS)

    of_us = [each for each in answer["records"] if each["receiver"] == us]
    assert [("many", 5), ("few", 1)] == [(each["reason"], each["records"]) for each in of_us]
    assert {"route": us, "reason": "full", "requests": 2} in answer["requests"]
    assert dt.datetime.fromisoformat(answer["since"]) <= dt.datetime.now(dt.UTC)


async def test_partitions(pool, get, distributed):
    """
    Each day's table has its size and its records, counted exactly at this moment.

    With Citus no number of records is told.
    """
    await partitions.maintain(pool, NOON.date(), ahead=0)
    await store(pool, record(timestamp=NOON), record(timestamp=NOON))
    await roll_ups.count(pool)
    others = [record(timestamp=NOON.replace(year=year)) for year in (1999, 2150)]
    await store(pool, record(timestamp=NOON), *others)
    answer = await get(operator.PARTITIONS)

    by_day = {each["day"]: each for each in answer["partitions"]}
    if distributed:
        assert {None} == {each["records"] for each in (answer, *answer["partitions"])}
    else:
        assert (5, 3) == (answer["records"], by_day["2025-11-13"]["records"])
        assert 2 == sum(each["records"] for each in answer["partitions"] if each["day"] is None)
    assert "log_entries_20251113" == by_day["2025-11-13"]["name"]
    assert answer["bytes"] == sum(each["bytes"] for each in answer["partitions"]) > 0
    assert answer["database_bytes"] > answer["bytes"]
    assert answer["disk"]["bytes"] > answer["disk"]["free_bytes"] > 0
    assert "none" == by_day["2025-11-13"]["text_index"]
