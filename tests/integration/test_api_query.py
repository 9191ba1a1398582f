"""The query API over HTTP, on a real Postgres."""

from __future__ import annotations

import datetime as dt
from contextlib import asynccontextmanager

import aiohttp
import pytest
from yarl import URL

from collector import server
from collector.api import Api, routes
from collector.body import InFlight
from storage.entries import Entry
from storage.reader import Reader
from tests.builders import NOON, record
from tests.integration.conftest import ON_ONE_ENGINE
from tests.stored import store

LOGS = "/api/v1/logs"
SECOND = dt.timedelta(seconds=1)


@asynccontextmanager
async def serving(pool, **config):
    api = Api(endpoint="127.0.0.1:0", **config)
    offered = routes(api, Reader(pool), now=lambda: NOON + 10 * SECOND)
    listening = server.listening(
        [server.Listener(api, offered)], InFlight(1_000), shutdown_timeout=2
    )
    async with listening as (url,), aiohttp.ClientSession(url) as client:
        yield client


@pytest.fixture(name="get")
async def _get(pool):
    """Ask for a path and parameters; give the status and the answer."""

    async def get(path, params=None, status=200):
        url = path if isinstance(path, URL) else LOGS + path
        async with serving(pool) as client, client.get(url, params=params) as response:
            assert status == response.status, await response.text()
            assert response.content_type == "application/json"
            return await response.json()

    return get


async def test_query(pool, get):
    """
    A page has the records as `logs` and as `items`, unless one is enough, the total, and whether
    more follow.
    """
    await store(pool, *(record(msg=str(n), job_id=7) for n in range(3)))
    answer = await get("/query", {"job_id": "7", "limit": "2"})
    for under in ("logs", "items"):
        found = await get("/query", {"job_id": "7", "limit": "2", "under": under})
        assert {"logs", "items"} - {under} == answer.keys() - found.keys()
        assert answer[under] == found[under]

    assert ["logs", "total", "limit", "offset", "has_more"] == list(answer)[:5]
    assert ["next_cursor", "previous_cursor", "items"] == list(answer)[5:]
    assert (3, 2, 0, True) == tuple(answer[k] for k in ("total", "limit", "offset", "has_more"))
    assert ["2", "1"] == [entry["msg"] for entry in answer["logs"]]
    assert answer["logs"] == answer["items"]
    assert list(Entry.__struct_fields__) == list(answer["logs"][0])


@ON_ONE_ENGINE
@pytest.mark.parametrize(
    ("params", "expected"),
    [
        pytest.param({}, "edcba", id="none"),
        pytest.param({"level": "WARN"}, "b", id="level by alias"),
        pytest.param({"level": "info"}, "a", id="level in any case"),
        pytest.param({"min_level": "warning"}, "cb", id="least level"),
        pytest.param({"job_id": "ingestion-55"}, "d", id="job id of text"),
        pytest.param({"queue": "7"}, "e", id="key of extra"),
        pytest.param({"stage_prefix": "provider"}, "ba", id="stage prefix"),
        pytest.param({"search": "BOOM"}, "c", id="search"),
        pytest.param({"search": ""}, "edcba", id="empty search"),
        pytest.param({"minutes": "0.11"}, "e", id="minutes"),
        pytest.param({"start_time": "2025-11-13T12:00:03", "end_time": "1763035204"}, "ed",
                     id="times inclusive"),
        pytest.param({"generation_id": "5"}, "c", id="generation by artifact"),
        pytest.param({"user_id": str(2**63 - 1)}, "", id="largest id"),
        pytest.param({"offset": str(2**63 - 1)}, "", id="largest offset"),
        pytest.param([("level", "info"), ("level", "warn")], "ba", id="any value of a name"),
        pytest.param({"not.level": "x"}, "cba", id="not"),
        pytest.param({"artifact_id.gte": "5"}, "c", id="from"),
        pytest.param({"last": "7s"}, "ed", id="last"),
        pytest.param({"q": "level:(warn OR error) -boom"}, "b", id="search"),
    ],
)  # fmt: skip
async def test_filters(pool, get, params, expected):
    """
    Parameters narrow what is found.
    """
    await store(
        pool,
        record(msg="a", level="INFO", severity_number=9, stage="provider:submit"),
        record(
            msg="b",
            level="warning",
            severity_number=13,
            stage="provider",
            timestamp=NOON + SECOND,
        ),
        record(
            msg="c",
            level="ERROR",
            severity_number=17,
            error="boom!",
            artifact_id=5,
            timestamp=NOON + 2 * SECOND,
        ),
        record(msg="d", level="x", extra={"job_id": "ingestion-55"}, timestamp=NOON + 3 * SECOND),
        record(msg="e", level="x", extra={"queue": 7}, timestamp=NOON + 4 * SECOND),
    )
    answer = await get("/query", params)

    assert expected == "".join(entry["msg"] for entry in answer["logs"])


async def test_cursors(pool, get):
    """
    An answer's cursors lead to the pages beside it, with its total, whatever arrives meanwhile.
    """
    await store(pool, *(record(msg=str(n), job_id=7) for n in range(5)))
    first = await get("/query", {"job_id": "7", "limit": "2"})
    await store(pool, record(msg="new", job_id=7))
    second = await get("/query", {"job_id": "7", "limit": "2", "cursor": first["next_cursor"]})
    back = await get("/query", {"job_id": "7", "limit": "2", "cursor": second["previous_cursor"]})

    assert ["2", "1"] == [entry["msg"] for entry in second["logs"]]
    assert (5, True) == (second["total"], second["has_more"])
    assert first["logs"] == back["logs"]
    assert (None, None) == (first["previous_cursor"], back["previous_cursor"])


async def test_no_search(get):
    """
    A text that is no search is 422, with the place of what is wrong in it.
    """
    answer = await get("/query", {"q": "boom (a OR"}, status=422)

    assert answer == {
        "detail": [
            {
                "type": "search_syntax",
                "loc": ["query", "q"],
                "msg": "column 9: expected a condition behind this, found the end",
                "input": "boom (a OR",
                "ctx": {
                    "column": 9,
                    "length": 2,
                    "expected": "a condition behind this",
                    "found": "the end",
                    "suggestion": None,
                },
            }
        ]
    }


async def test_completion(pool, get):
    """
    What may stand at a place comes with the place: fields, or values with their number.
    """
    await store(pool, record(service="worker"), record(service="web"), record(service="worker"))
    field = await get("/completion", {"q": "serv x", "at": "5"})
    value = await get("/completion", {"q": "x service:w"})
    nothing = await get("/completion")

    assert (1, 4, "service:") == (field["column"], field["length"], field["items"][0]["text"])
    assert value == {
        "column": 11,
        "length": 1,
        "items": [
            {"text": "worker", "kind": "value", "count": 2},
            {"text": "web", "kind": "value", "count": 1},
        ],
    }
    assert {"field", "keyword"} == {item["kind"] for item in nothing["items"]}


async def test_totals(pool, get):
    """
    The total may be estimated or left out.
    """
    await store(pool, *(record() for _ in range(5)))
    estimate = await get("/query", {"total": "estimate", "limit": "2"})
    none = await get("/query", {"total": "none", "limit": "2"})

    assert isinstance(estimate["total"], int)
    assert (None, True) == (none["total"], none["has_more"])


@ON_ONE_ENGINE
@pytest.mark.parametrize(
    ("path", "loc"),
    [
        ("/query?limit=0", ["query", "limit"]),
        ("/query?limit=1001", ["query", "limit"]),
        ("/query?offset=-1", ["query", "offset"]),
        ("/query?job_id=9223372036854775808", ["query", "job_id"]),
        ("/query?search=%00", ["query", "search"]),
        ("/query?a%00b=1", ["query", "a\0b"]),
        ("/query?min_level=loud", ["query", "min_level"]),
        ("/query?cursor=abc", ["query", "cursor"]),
        ("/query?last=soon", ["query", "last"]),
        ("/query?attempt.gte=x", ["query", "attempt.gte"]),
        ("/query?q=%28", ["query", "q"]),
        ("/fields?q=%28", ["query", "q"]),
        ("/distinct?field=x&q=%28", ["query", "q"]),
        ("/distinct/level?q=%28", ["query", "q"]),
        ("/trace/job/9223372036854775808", ["path", "job_id"]),
        ("/trace/job/1%00", ["path", "job_id"]),
        ("/trace/request/%00", ["path", "request_id"]),
        ("/trace/trace/a%00", ["path", "trace_id"]),
        ("/trace/job/1?expand=all", ["query", "expand"]),
        ("/fields?sample_limit=2001", ["query", "sample_limit"]),
        ("/fields?service=%00", ["query", "service"]),
        ("/distinct", ["query", "field"]),
        ("/distinct?field=%00", ["query", "field"]),
        ("/distinct?field=level&limit=1001", ["query", "limit"]),
    ],
)
async def test_unprocessable(get, path, loc):
    """
    A parameter that is not of its type is 422 with its place, never 500.
    """
    answer = await get(URL(LOGS + path, encoded=True), status=422)

    assert [loc] == [detail["loc"] for detail in answer["detail"]]
    assert {"type", "loc", "msg", "input"} == set(answer["detail"][0]) - {"ctx"}


@ON_ONE_ENGINE
@pytest.mark.parametrize(
    "query", ["%ED%A0%80", "%FF", "%F0%9F%98%80", "%5Cu0000", "'%3B--", "%25", "%5C"]
)
async def test_odd_text(get, query):
    """
    No text in a parameter is more than text.
    """
    for name in ("service", "search", "level", "stage_prefix", "job_id", "some.key", query):
        answer = await get(URL(f"{LOGS}/query?{name}={query}", encoded=True))

        assert [] == answer["logs"]
    assert [] == await get(URL(f"{LOGS}/trace/request/{query}", encoded=True))


async def test_traces(pool, get):
    """
    A trace is a bare list, oldest first, empty when there is nothing.
    """
    await store(
        pool,
        record(msg="b", job_id=1, request_id="r/1", trace_id="ab"),
        record(msg="a", job_id=1, request_id="r/1", trace_id="ab", timestamp=NOON - SECOND),
        record(msg="c", trace_id="ab"),
        record(msg="text", extra={"job_id": "ingestion-55"}),
    )
    answers = {
        path: [entry["msg"] for entry in await get(path)]
        for path in (
            "/trace/job/1",
            "/trace/job/1?expand=trace",
            "/trace/job/ingestion-55",
            "/trace/job/2",
            "/trace/request/r%2F1",
            "/trace/trace/ab",
        )
    }

    assert answers == {
        "/trace/job/1": ["a", "b"],
        "/trace/job/1?expand=trace": ["a", "b", "c"],
        "/trace/job/ingestion-55": ["text"],
        "/trace/job/2": [],
        "/trace/request/r%2F1": ["a", "b"],
        "/trace/trace/ab": ["a", "b", "c"],
    }


async def test_fields(pool, get):
    """
    The fields are the columns and the keys of extra in the newest records.
    """
    await store(pool, record(extra={"queue": 1, "level": 2}), record())
    answer = await get("/fields", {"service": "api"})

    assert ("api", ["level", "queue"], 2) == tuple(
        answer[k] for k in ("service", "dynamic", "count")
    )
    assert sorted(answer["fields"]) == answer["fields"]
    assert {"id", "timestamp", "created_at", "extra", "queue"} <= set(answer["fields"])
    assert len(set(answer["fields"])) == len(answer["fields"])
    assert (await get("/fields"))["service"] is None


async def test_distinct(pool, get):
    """
    Values have the type of their column; those of extra are text.
    """
    await store(pool, record(job_id=2, extra={"n": 5}), record(job_id=1, service="b"))

    assert {"field": "job_id", "count": 2, "values": [1, 2]} == await get("/distinct?field=job_id")
    assert ["5"] == (await get("/distinct?field=n"))["values"]
    assert ["b"] == (await get("/distinct?field=service&job_id=1"))["values"]
    assert {"column": "service", "values": ["api", "b"]} == await get("/distinct/service")


@ON_ONE_ENGINE
async def test_distinct_refused(get):
    """
    An empty field is 400, and so is a column that isn't one of the few.
    """
    assert {"detail": "field is required"} == await get("/distinct?field=", status=400)
    assert [] == (await get("/distinct?field=%C2%85"))["values"]  # a name, if a blank one
    assert "msg" in (await get("/distinct/msg", status=400))["detail"]


@ON_ONE_ENGINE
async def test_console_fields(get):
    """
    The console is told how to mark each of twelve ids.
    """
    fields = (await get("/console-fields"))["fields"]

    assert len(fields) == 12
    assert {
        "name": "request_id",
        "color": "#FFB74D",
        "clickable": True,
        "pattern": r"\brequest_id=(\S+)",
    }.items() <= fields[0].items()
    assert ["error_type", "domain", "channel", "stage", "duration_ms"] == [
        field["name"] for field in fields if not field["clickable"]
    ]


@ON_ONE_ENGINE
@pytest.mark.parametrize("path", ["/files", "/files/tail?path=x", "/account-events/query", "/nope"])
async def test_not_ours(get, path):
    """
    Files and account events are another component's business.
    """
    assert {"detail": "Not Found"} == await get(path, status=404)


async def test_probes(pool, get):
    """
    With the database there, the collector is healthy and ready.
    """
    health = {"status": "healthy", "database": "connected", "redis": None, "providers": []}

    assert health == await get(URL("/health"))
    database = {"name": "database", "state": "ready", "reason": None}
    assert {"status": "ready", "components": [database]} == await get(URL("/ready"))


async def test_ready_names_the_components(pool, get):
    """
    A destination that is stopped and a rule that fails are named, and the collector is ready; so
    it is where nobody can tell of these.
    """
    await pool.execute(
        "INSERT INTO destinations (name, position, state) VALUES ('a', '', 'stopped')"
    )
    await pool.execute("INSERT INTO alert_rules (name, definition, error) VALUES ('b', '', 'no')")
    found = await get(URL("/ready"))

    await pool.execute("ALTER TABLE alert_rules RENAME TO elsewhere")
    without = await get(URL("/ready"))

    assert ("ready", "ready") == (found["status"], without["status"])
    assert [("forwarders and alerts", "failing")] == [
        (each["name"], each["state"]) for each in without["components"][1:]
    ]
    assert [("forwarder a", "stopped"), ("alert b", "failing")] == [
        (each["name"], each["state"]) for each in found["components"][1:]
    ]


@ON_ONE_ENGINE
async def test_probes_without_database(pool):
    """
    Without the database it still answers 200 on /health, but is not ready.
    """
    async with serving(pool) as client:
        await pool.close()
        async with client.get("/health") as response:
            health = response.status, (await response.json())["status"]
        async with client.get("/ready") as response:
            ready = response.status, response.headers["Retry-After"]
            told = await response.json()
        async with client.get(f"{LOGS}/query") as response:
            query = response.status

    assert (200, "degraded") == health
    assert (503, "1") == ready
    assert ("not ready", "away") == (told["status"], told["components"][0]["state"])
    assert told["detail"].startswith("database: ")
    assert query == 503


async def test_slow_query(pool):
    """
    A query over its time limit is 503, told why.
    """
    async with (
        pool.acquire() as other,
        other.transaction(),
        serving(pool, query_timeout=0.3) as client,
    ):
        await other.execute("LOCK TABLE log_entries IN ACCESS EXCLUSIVE MODE")
        async with client.get(f"{LOGS}/query") as response:
            answer = await response.json()

    assert response.status == 503
    assert "took longer than 0.3 s" in answer["detail"]


@ON_ONE_ENGINE
@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_pages(pool, path):
    """
    The pages are HTML under a policy that lets nothing run.
    """
    async with serving(pool) as client, client.get(path) as response:
        text = await response.text()

    assert "text/html" == response.content_type
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "<script" not in text
    assert "/api/v1/logs/query" in text


@ON_ONE_ENGINE
async def test_openapi(pool):
    """
    The document is served.
    """
    async with serving(pool) as client, client.get("/openapi.json") as response:
        document = await response.json()

    assert "3.1.0" == document["openapi"]
