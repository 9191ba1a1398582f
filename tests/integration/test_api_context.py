"""The lines around a line, over HTTP, on a real Postgres."""

from __future__ import annotations

import datetime as dt
from contextlib import asynccontextmanager

import aiohttp
import pytest

from collector import server
from collector.api import Api, routes
from collector.body import InFlight
from storage import context, pages, partitions
from storage.reader import Reader
from tests.builders import NOON, record
from tests.stored import store

CONTEXT = "/api/v1/logs/context"


@asynccontextmanager
async def serving(pool):
    api = Api(endpoint="127.0.0.1:0")
    offered = routes(api, Reader(pool), now=lambda: NOON)
    listening = server.listening(
        [server.Listener(api, offered)], InFlight(1_000), shutdown_timeout=2
    )
    async with listening as (url,), aiohttp.ClientSession(url) as client:
        yield client


@pytest.fixture(name="get")
async def _get(pool):
    """Ask for the lines around one; give the answer."""
    async with serving(pool) as client:

        async def get(number, status=200, **params):
            async with client.get(f"{CONTEXT}/{number}", params=params) as response:
                assert status == response.status, await response.text()
                return await response.json()

        yield get


def messages(answer):
    before, after = (
        "".join(entry["msg"] for entry in answer[side]) for side in ("before", "after")
    )
    return f"{before}[{answer['line']['msg']}]{after}"


async def test_lines_around(pool, get):
    """
    A line stands between those before and after it, oldest first, as far as there are any.
    """
    ids = await store(pool, *(record(msg=char) for char in "abcdefg"))

    assert "abc[d]efg" == messages(await get(ids[3]))
    assert "c[d]ef" == messages(await get(ids[3], before=1, after=2))
    assert "[d]e" == messages(await get(ids[3], before=0, after=1))
    assert "[a]bcdefg" == messages(await get(ids[0]))


@pytest.mark.parametrize(
    ("scope", "expected"),
    [("instance", "a[d]g"), ("service", "ab[d]g"), ("all", "abc[d]efg")],
)
@pytest.mark.parametrize("instance", ["one", None])
async def test_scope(pool, get, scope, expected, instance):
    """
    The lines are of the same service and instance, or none, of the same service, or all.
    """
    others = {"b": {"instance_id": "two"}, "c": {"service": "x"}, "e": {"service": "x"}}
    others["f"] = {"service": "y", "instance_id": instance}
    ids = await store(
        pool,
        *(record(**{"msg": m, "instance_id": instance} | others.get(m, {})) for m in "abcdefg"),
    )

    assert expected == messages(await get(ids[3], scope=scope))


async def test_cursors_go_on(pool, get):
    """
    By the cursors one comes to every line of either side once, whatever arrives meanwhile.
    """
    ids = await store(pool, *(record(msg=char) for char in "abcdefghi"))
    around = await get(ids[4], before=1, after=1)
    await store(pool, record(msg="late", timestamp=NOON - dt.timedelta(seconds=1)))
    older = await get(ids[4], cursor=around["older_cursor"], before=2)
    oldest = await get(ids[4], cursor=older["older_cursor"], before=2)
    newer = await get(ids[4], cursor=around["newer_cursor"])

    assert ["d[e]f", "bc[e]", "a[e]", "[e]ghi"] == [
        messages(each) for each in (around, older, oldest, newer)
    ]
    assert (None, None) == (oldest["older_cursor"], newer["newer_cursor"])
    assert (None, None) == (older["newer_cursor"], newer["older_cursor"])


async def test_cursor_of_nothing_asked_for(pool, get):
    """
    Where no lines of a side were asked for, the cursor begins beside the line.
    """
    ids = await store(pool, *(record(msg=char) for char in "abc"))
    alone = await get(ids[1], before=0, after=0)
    before = await get(ids[1], cursor=alone["older_cursor"])
    after = await get(ids[1], cursor=alone["newer_cursor"])

    assert ["[b]", "a[b]", "[b]c"] == [messages(each) for each in (alone, before, after)]


async def test_ties_of_time(pool, get):
    """
    Lines of one moment stand in the order of their ids, on whichever days their like are.
    """
    await partitions.maintain(pool, NOON.date(), ahead=1)
    day = dt.timedelta(days=1)
    ids = await store(
        pool,
        record(msg="z", timestamp=NOON + day),
        record(msg="b"),
        record(msg="c"),
        record(msg="d"),
        record(msg="a", timestamp=NOON - day),
    )

    assert "ab[c]dz" == messages(await get(ids[2]))


async def test_unknown(pool, get):
    """
    No line is 404 where there is no such id, and 422 where there can be none.
    """
    await store(pool, record())

    assert {"detail": "no record has the id 1234567"} == await get(1234567, 404)
    for number in ("x", "1.5", 2**63):
        assert ["path", "id"] == (await get(number, 422))["detail"][0]["loc"]
    for params in ({"before": 1001}, {"after": -1}, {"scope": "x"}, {"cursor": "x"}):
        (name,) = params
        assert ["query", name] == (await get(1, 422, **params))["detail"][0]["loc"]


async def test_a_cut_says_so(pool, monkeypatch):
    """
    Where the lines are too large for one answer there are fewer, which is said, and cursors.
    """
    monkeypatch.setattr(pages, "MOST_BYTES", 1_000)
    ids = await store(pool, *(record(msg=str(n), error="x" * 400) for n in range(9)))
    async with serving(pool) as client, client.get(f"{CONTEXT}/{ids[4]}") as response:
        answer = await response.json()

    assert "fewer lines" in response.headers["X-Incomplete"]
    assert 0 < len(answer["before"]) < 4
    assert answer["older_cursor"]


async def test_an_id_is_found_without_reading_all(pool, distributed):
    """
    A record is found by its id through an index, and not by a look at every record of a day.
    """
    await partitions.maintain(pool, NOON.date(), ahead=1)
    more = 16_000 if distributed else 4_000  # a server of a cluster has its share of them
    for _ in range(5):
        ids = await store(pool, *(record(msg="x" * 500) for _ in range(more)))
    await pool.execute(f"ANALYZE {'log_entries_days' if distributed else 'log_entries'}")
    rows = await pool.fetch(f"EXPLAIN SELECT * FROM log_entries WHERE id = {ids[7]}")
    found = await context.around(Reader(pool), ids[7], scope="all", before=1, after=1, now=NOON)

    plan = "\n".join(row[0] for row in rows)
    assert "Seq Scan on log_entries_20251113" not in plan
    assert ids[7] == found.line.id


async def test_text_index(pool):
    """
    Which days have their index of texts can be asked.
    """
    await partitions.maintain(pool, NOON.date(), ahead=1)
    async with serving(pool) as client, client.get("/api/v1/logs/text-index") as response:
        answer = await response.json()

    assert answer["available"]
    assert ["2025-11-14", "2025-11-13", "2025-11-12"] == [day["day"] for day in answer["days"]]
    assert {"bytes", "day", "index_bytes", "indexed", "parts"} == set(answer["days"][0])
