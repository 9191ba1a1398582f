"""Histogram, facets and stats over HTTP, on a real Postgres."""

from __future__ import annotations

import datetime as dt
from contextlib import asynccontextmanager

import aiohttp
import pytest

from collector import server
from collector.api import Api, routes
from collector.api.statistics_shapes import FACETS
from collector.body import InFlight
from storage import roll_ups
from storage.reader import Reader
from tests.builders import NOON, record
from tests.integration.conftest import ON_ONE_ENGINE
from tests.stored import store

LOGS = "/api/v1/logs"
SECOND, MINUTE = dt.timedelta(seconds=1), dt.timedelta(minutes=1)
HOUR = {"complete": True, "start": "2025-11-13T11:00:00Z", "end": "2025-11-13T12:00:00Z"}
HOUR |= {"since": "2025-11-13T11:00:00Z", "reason": None}


@asynccontextmanager
async def serving(pool, **config):
    api = Api(endpoint="127.0.0.1:0", **config)
    offered = routes(api, Reader(pool), now=lambda: NOON)
    listening = server.listening(
        [server.Listener(api, offered)], InFlight(1_000), shutdown_timeout=2
    )
    async with listening as (url,), aiohttp.ClientSession(url) as client:
        yield client


@pytest.fixture(name="get")
async def _get(pool):
    """Ask for a path and parameters; give the answer."""

    async def get(path, params, status=200):
        async with serving(pool) as client, client.get(LOGS + path, params=params) as response:
            assert status == response.status, await response.text()
            answer = await response.json()
            assert answer.get("reason") == response.headers.get("X-Incomplete")
            return answer

    return get


async def test_histogram(pool, get, distributed):
    """
    An answer has the time, each bucket's start, counts in all and by value, and their source.
    """
    await store(
        pool,
        record(timestamp=NOON - SECOND, severity_number=17, level="ERROR"),
        record(timestamp=NOON - 31 * MINUTE, severity_number=9),
        record(timestamp=NOON - 32 * MINUTE, severity_number=10),
    )
    await roll_ups.count(pool)
    answer = await get("/histogram", {"last": "1h", "interval": "30m", "top": "1"})

    assert answer == HOUR | {
        "interval_seconds": 1800.0,
        "starts": ["2025-11-13T11:00:00Z", "2025-11-13T11:30:00Z"],
        "total": 3,
        "counts": [2, 1],
        "by": "level",
        "values": [{"value": "info", "value_is_cut": False, "total": 2, "counts": [2, 0]}],
        "other": {"total": 1, "counts": [0, 1]},
        "missing": {"total": 0, "counts": [0, 0]},
        "source": "scan" if distributed else "roll-ups",
    }


async def test_histogram_says_that_it_is_cut(get):
    """
    An answer that doesn't have all says since when, and why.
    """
    answer = await get("/histogram", {"last": "1h", "interval": "1s"})

    assert (False, "2025-11-13T11:26:40Z", 2000) == (
        answer["complete"],
        answer["since"],
        len(answer["starts"]),
    )
    assert "an answer has at most 2000 buckets" == answer["reason"]


async def test_any_search(pool, get):
    """
    Whatever finds records counts them too.
    """
    await store(
        pool,
        record(timestamp=NOON - SECOND, stage="a:b", extra={"queue": "q 1"}),
        record(timestamp=NOON - SECOND, stage="c"),
    )
    asked = [{"q": "stage:a:*"}, {"queue": "q 1"}, {"not.stage": "c"}, {"search": "Q 1"}]
    answers = [await get("/histogram", each) for each in asked]
    facets = [await get("/facets", each) for each in asked]

    assert [1] * 4 == [answer["total"] for answer in answers]
    assert [1] * 4 == [answer["records"] for answer in facets]


async def test_facets(pool, get):
    """
    Facets are of the fields asked for, or of ten that most records have.
    """
    await store(
        pool,
        *(record(timestamp=NOON - SECOND, stage=stage) for stage in ["a", "a", "b", None]),
    )
    asked = {"last": "1h", "fields": "stage,level", "limit": "1"}
    answer = await get("/facets", asked)
    matching = await get("/facets", asked | {"matching": "stage:b OR level>=error"})
    common = await get("/facets", {})

    assert answer == HOUR | {
        "records": 4,
        "facets": [
            {
                "field": "stage",
                "values": [{"value": "a", "value_is_cut": False, "count": 2, "matching": None}],
                "distinct": 2,
                "other": 1,
                "missing": 1,
            },
            {
                "field": "level",
                "values": [{"value": "info", "value_is_cut": False, "count": 4, "matching": None}],
                "distinct": 1,
                "other": 0,
                "missing": 0,
            },
        ],
    }
    assert [0, 1] == [facet["values"][0]["matching"] for facet in matching["facets"]]
    assert list(FACETS) == [facet["field"] for facet in common["facets"]]


async def test_facets_say_that_they_are_cut(pool, get):
    """
    Where there may be more records than were read it is said.
    """
    await store(pool, *(record(timestamp=NOON - n * SECOND) for n in range(1, 4)))
    answer = await get("/facets", {"last": "1h", "records": "2"})

    assert (False, 2, "2025-11-13T11:59:58Z", "only the newest 2 records were read") == tuple(
        answer[key] for key in ("complete", "records", "since", "reason")
    )


async def test_stats(pool, get):
    """
    Stats are by group and by time, with null where a field has no number.
    """
    await store(
        pool,
        record(timestamp=NOON - SECOND, duration_ms=1, extra={"n": "4"}),
        record(timestamp=NOON - SECOND, duration_ms=3),
        record(timestamp=NOON - SECOND, service="b", stage="x"),
    )
    answer = await get(
        "/stats",
        {"last": "1h", "of": "duration_ms,n", "by": "service", "interval": "30m", "limit": "1"},
    )
    all_in_one = await get("/stats", {})

    assert answer == HOUR | {
        "records": 3,
        "groups": [
            {
                "by": {"service": "api"},
                "start": "2025-11-13T11:30:00Z",
                "records": 2,
                "of": {
                    "duration_ms": {
                        "count": 2, "distinct": 2, "min": 1.0, "max": 3.0, "avg": 2.0,
                        "p50": 2.0, "p90": 2.8, "p95": 2.9, "p99": 2.98,
                    },
                    "n": {
                        "count": 1, "distinct": 1, "min": 4.0, "max": 4.0, "avg": 4.0,
                        "p50": 4.0, "p90": 4.0, "p95": 4.0, "p99": 4.0,
                    },
                },
            }
        ],
        "more_groups": True,
    }  # fmt: skip
    assert [{}] == [group["by"] for group in all_in_one["groups"]]
    assert [2] == [group["of"]["duration_ms"]["count"] for group in all_in_one["groups"]]


@ON_ONE_ENGINE
@pytest.mark.parametrize(
    ("path", "params", "loc"),
    [
        ("/histogram", {"interval": "0s"}, "interval"),
        ("/histogram", {"interval": "1.5m"}, "interval"),
        ("/histogram", {"interval": "soon"}, "interval"),
        ("/histogram", {"interval": "99999d"}, "interval"),
        ("/histogram", {"buckets": "1001"}, "buckets"),
        ("/histogram", {"top": "0"}, "top"),
        ("/histogram", {"q": "(("}, "q"),
        ("/facets", {"fields": "a,,b"}, "fields"),
        ("/facets", {"fields": ",".join("abcdefghijklmnopqrstu")}, "fields"),
        ("/facets", {"records": "1000001"}, "records"),
        ("/facets", {"matching": "(("}, "matching"),
        ("/stats", {"of": "service"}, "of"),
        ("/stats", {"of": "timestamp"}, "of"),
        ("/stats", {"by": "a,b,c,d"}, "by"),
    ],
)
async def test_unprocessable(get, path, params, loc):
    """
    A parameter that is not of its type is 422 with its place.
    """
    answer = await get(path, params, status=422)

    assert [["query", loc]] == [detail["loc"] for detail in answer["detail"]]


@pytest.mark.parametrize(
    "field", ["extra.", "resource.", "scope.name", "a'b", 'a"b', "%s", "$1", "ä"]
)
async def test_odd_fields(pool, get, field):
    """
    Any text may be the name of a field.
    """
    await store(pool, record(timestamp=NOON - SECOND, extra={field.removeprefix("extra."): 5}))
    by = await get("/histogram", {"by": field})
    facets = await get("/facets", {"fields": field})
    stats = await get("/stats", {"of": field, "by": field})

    assert 1 == by["total"] == facets["records"] == stats["records"]


async def test_slow(pool):
    """
    Facets and stats that take too long are 503, told why.
    """
    async with (
        pool.acquire() as other,
        other.transaction(),
        serving(pool, query_timeout=0.3) as client,
    ):
        await other.execute("LOCK TABLE log_entries IN ACCESS EXCLUSIVE MODE")
        for path in ("/facets", "/stats", "/histogram"):
            async with client.get(LOGS + path) as response:
                answer = await response.json()

            assert 503 == response.status
            assert "took longer than 0.3 s" in answer["detail"]
