"""Native requests over real sockets, through the server's frame."""

from __future__ import annotations

import asyncio
import gzip
import json
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from collector import server
from collector.body import InFlight
from collector.receivers.pixsim import Pixsim, routes
from storage import moments
from storage.errors import Overloaded
from storage.records import Outcome, Refusal

RECORDED = Path(__file__).parents[2] / "recorded"
ONE = "/api/v1/logs/ingest"
MANY = "/api/v1/logs/ingest/batch"
GOOD = {"level": "info", "service": "api", "msg": "good"}


class Store:
    """What commits: gives ids from 1, refuses what is called "bad", may drop what is "dropped"."""

    def __init__(self):
        self.batches = []
        self.failure = None

    @property
    def records(self):
        return [record for batch in self.batches for record in batch.records]

    async def submit(self, batch):
        if self.failure:
            raise self.failure
        batch.records = [r for r in batch.records if r.msg != "dropped"]
        refused = [
            Refusal(index=i, reason="bad row")
            for i, r in enumerate(batch.records)
            if r.msg == "bad"
        ]
        stored = [r for r in batch.records if r.msg != "bad"]
        for record in stored:
            record.id = len(self.records) + stored.index(record) + 1
        self.batches.append(batch)
        return Outcome(stored=len(stored), refused=tuple(refused))


@asynccontextmanager
async def serving(store, **settings):
    config = Pixsim(endpoint="127.0.0.1:0", **settings)
    listener = server.Listener(config, routes(config, store.submit))
    async with (
        server.listening([listener], InFlight(10**9), shutdown_timeout=2) as (url,),
        aiohttp.ClientSession(url) as client,
    ):
        yield client


@pytest.fixture(name="store")
def _store():
    return Store()


@pytest.fixture(name="client")
async def _client(store):
    async with serving(store) as client:
        yield client


async def post(client, path, data=None, **kwargs):
    if data is not None and not isinstance(data, bytes):
        data = json.dumps(data).encode()
    async with client.post(path, data=data, **kwargs) as response:
        return response.status, await response.json()


def changed(reason):
    labels = {"receiver": "pixsim", "reason": reason}
    return REGISTRY.get_sample_value("pixsim_records_changed_total", labels) or 0


def test_defaults():
    """
    The receiver listens where today's senders post to.
    """
    assert ("127.0.0.1:8001", 2**20) == (Pixsim().endpoint, Pixsim().max_record_size)


async def test_one(client, store):
    """
    A single record is answered with its id, in exactly today's shape.
    """
    status, answer = await post(client, ONE, GOOD, headers={"User-Agent": "tests/1"})

    expected = {
        "success": True,
        "log_id": 1,
        "count": None,
        "message": "Log ingested successfully",
    }
    assert (200, expected) == (status, answer)
    (batch,) = store.batches
    assert ("pixsim", "tests/1") == (batch.receiver, batch.sender)


async def test_many(client, store):
    """
    A batch is answered with the count of records, which are stored in order.
    """
    entries = [{**GOOD, "attempt": i} for i in range(2_500)]

    status, answer = await post(client, MANY, {"logs": entries, "source": "ignored"})

    expected = {
        "success": True,
        "log_id": None,
        "count": 2_500,
        "message": "Ingested 2500 logs successfully",
        "rejected": 0,
        "errors": [],
    }
    assert (200, expected) == (status, answer)
    assert list(range(2_500)) == [r.attempt for r in store.records]
    assert 1 == len({r.timestamp for r in store.records})


async def test_no_entries(client, store):
    """
    An empty batch is fine, and nothing is committed for it.
    """
    status, answer = await post(client, MANY, {"logs": []})

    assert (200, 0) == (status, answer["count"])
    assert [] == store.batches


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain;charset=UTF-8",
        "application/json; charset=latin-1",
        "application/x-protobuf",
    ],
)
async def test_c111_any_content_type(client, store, content_type):
    """
    C111: the body is read as JSON whatever its Content-Type, sendBeacon's text/plain included.
    """
    headers = {"Content-Type": content_type} if content_type else {}
    skip = () if content_type else ("Content-Type",)

    status, _ = await post(client, ONE, GOOD, headers=headers, skip_auto_headers=skip)

    assert (200, 1) == (status, len(store.records))


async def test_compressed(client, store):
    """
    A compressed body is inflated.
    """
    data = json.dumps({"logs": [GOOD]}).encode()

    status, _ = await post(client, MANY, gzip.compress(data), headers={"Content-Encoding": "gzip"})

    assert (200, 1) == (status, len(store.batches))


STRING = "Input should be a valid string"
OBJECT = "Input should be a valid dictionary or object to extract fields from"
UNPROCESSABLE = [
    pytest.param(ONE, {}, [("missing", ["level"], "Field required", {}), ("missing", ["service"], "Field required", {})], id="nothing"),
    pytest.param(ONE, {"source": "x", "message": "y", "level": "info"}, [("missing", ["service"], "Field required", {"source": "x", "message": "y", "level": "info"})], id="no service"),
    pytest.param(ONE, {**GOOD, "level": None}, [("string_type", ["level"], STRING, None)], id="null"),
    pytest.param(ONE, {**GOOD, "level": 30}, [("string_type", ["level"], STRING, 30)], id="number"),
    pytest.param(ONE, {**GOOD, "service": {"a": 1}}, [("string_type", ["service"], STRING, {"a": 1})], id="object"),
    pytest.param(ONE, [GOOD], [("model_attributes_type", [], OBJECT, [GOOD])], id="list"),
    pytest.param(ONE, b"null", [("model_attributes_type", [], OBJECT, None)], id="null body"),
    pytest.param(ONE, b"", [("missing", [], "Field required", None)], id="empty body"),
    pytest.param(ONE, b'{"level": ', [("json_invalid", [10], "JSON decode error", {})], id="malformed"),
    pytest.param(MANY, b"", [("missing", [], "Field required", None)], id="batch, empty body"),
    pytest.param(MANY, [GOOD], [("model_attributes_type", [], OBJECT, [GOOD])], id="batch, bare list"),
    pytest.param(MANY, {"log": []}, [("missing", ["logs"], "Field required", {"log": []})], id="no logs"),
    pytest.param(MANY, {"logs": None}, [("list_type", ["logs"], "Input should be a valid list", None)], id="null logs"),
    pytest.param(MANY, {"logs": {}}, [("list_type", ["logs"], "Input should be a valid list", {})], id="object of logs"),
    pytest.param(MANY, {"logs": [GOOD, "x", GOOD, None]}, [("dict_type", ["logs", 1], "Input should be a valid dictionary", "x"), ("dict_type", ["logs", 3], "Input should be a valid dictionary", None)], id="no objects"),
    pytest.param(MANY, b'{"logs": []} x', [("json_invalid", [13], "JSON decode error", {})], id="trailing garbage"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "data", "expected"), UNPROCESSABLE)
async def test_unprocessable(client, store, path, data, expected):
    """
    What has not the endpoint's shape is refused with where and what, in FastAPI's words.
    """
    status, answer = await post(client, path, data)

    found = [(d["type"], d["loc"], d["msg"], d["input"]) for d in answer["detail"]]
    assert 422 == status
    assert [(kind, ["body", *place], msg, given) for kind, place, msg, given in expected] == found
    assert [] == store.batches


async def test_a_large_body_is_not_sent_back(client):
    """
    An error shows the value it found only where the body is short.
    """
    status, answer = await post(client, MANY, {"logs": "x" * 20_000})

    assert (422, None) == (status, answer["detail"][0]["input"])


@pytest.mark.parametrize("path", [ONE, MANY])
async def test_depth_bomb(client, path):
    """
    Endless nesting is refused.
    """
    status, _ = await post(client, path, b'{"logs":' + b"[" * 1_000_000)

    assert 422 == status


async def test_oversized_record(store):
    """
    A single record over the limit is 413; in a batch it is refused alone.
    """
    large = {**GOOD, "msg": "x" * 2_000}
    refused = {"receiver": "pixsim", "reason": "too_large"}
    before = REGISTRY.get_sample_value("pixsim_records_refused_total", refused) or 0

    async with serving(store, max_record_size=1_000) as client:
        one, _ = await post(client, ONE, large)
        many, answer = await post(client, MANY, {"logs": [GOOD, large, GOOD, large]})
        only, alone = await post(client, MANY, {"logs": [large]})

    assert (413, 200, 200) == (one, many, only)
    assert (2, 2, [1, 3]) == (
        answer["count"],
        answer["rejected"],
        [e["index"] for e in answer["errors"]],
    )
    assert answer["errors"][0]["reason"].endswith("the most is 1000")
    assert answer["errors"][0]["field"] is None
    assert (0, 1) == (alone["count"], alone["rejected"])
    assert ["good", "good"] == [r.msg for r in store.records]
    assert 3 == REGISTRY.get_sample_value("pixsim_records_refused_total", refused) - before


async def test_oversized_body(store):
    """
    A body over the receiver's limit is 413.
    """
    async with serving(store, max_request_body_size=1_000) as client:
        status, _ = await post(client, MANY, {"logs": [GOOD] * 100})

    assert (413, []) == (status, store.batches)


async def test_rows_the_database_refuses(client):
    """
    Rows that the database refuses are told by their place in the request, at most 20 of them.
    """
    bad, dropped = {**GOOD, "msg": "bad"}, {**GOOD, "msg": "dropped"}

    status, answer = await post(client, MANY, {"logs": [GOOD, dropped, bad, GOOD] + [bad] * 30})
    one, _ = await post(client, ONE, bad)

    assert (200, 2, 31) == (status, answer["count"], answer["rejected"])
    assert [2, *range(4, 23)] == [e["index"] for e in answer["errors"]]
    assert {"index": 2, "field": None, "reason": "bad row"} == answer["errors"][0]
    assert 422 == one


async def test_storage_that_is_away(client, store):
    """
    What may succeed later is 503 with the time to wait.
    """
    store.failure = Overloaded("full")

    async with client.post(MANY, json={"logs": [GOOD]}) as response:
        assert (503, "1") == (response.status, response.headers["Retry-After"])


async def test_repairs_are_counted(client, store):
    """
    Each record whose values had to be changed is counted by the reason.
    """
    reasons = ("nul", "surrogate", "utf8", "number", "timestamp")
    before = {reason: changed(reason) for reason in reasons}
    body = rb"""{"logs": [
        {"msg": "a\u0000b\u0000"}, {"msg": "\ud800"}, {"msg": "caf%s"}, {"n": [1e999, %s]},
        {"timestamp": "?"}, {"timestamp": ""}, {"msg": "NaN is kept", "n": NaN}, {"msg": "good"}
    ]}""" % (b"\xe9", b"9" * 20)  # fmt: skip

    status, answer = await post(client, MANY, body)

    assert (200, 8) == (status, answer["count"])
    assert {"nul": 2, "surrogate": 1, "utf8": 1, "number": 2, "timestamp": 1} == {
        reason: changed(reason) - before[reason] for reason in reasons
    }
    assert {"n": {"$double": "NaN"}} == store.records[6].extra


async def test_odd_user_agent(client, store):
    """
    A User-Agent that is no UTF-8 is no reason to lose a record.
    """
    data = json.dumps(GOOD).encode()
    url = client._base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(
        b"POST /api/v1/logs/ingest HTTP/1.1\r\nHost: x\r\nUser-Agent: caf\xe9/1\r\n"
        b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(data), data)
    )
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert 1 == len(store.batches)


async def recorded(client, store, name):
    body = (RECORDED / f"{name}.json").read_bytes()
    path = MANY if b'{"logs":' in body[:10] else ONE
    status, _ = await post(client, path, body)
    assert 200 == status
    return json.loads(body), store.records


def fields(record):
    shown = {name: getattr(record, name) for name in record.__struct_fields__}
    return {name: value for name, value in shown.items() if value is not None}


async def test_python_2025(client, store):
    """
    What a Python service with ``artifact_id`` sends arrives whole.
    """
    sent, records = await recorded(client, store, "python_2025")

    assert len(sent["logs"]) == len(records)
    submitted = fields(records[2])
    assert (
        submitted.items()
        >= {
            "level": "info",
            "severity_number": 9,
            "service": "worker",
            "env": "dev",
            "msg": "provider:submit",
            "job_id": 8841,
            "submission_id": 5120,
            "artifact_id": 7002,
            "provider_id": "pixverse",
            "operation_type": "text_to_video",
            "stage": "provider:submit",
            "attempt": 0,
            "extra": {"event": "provider:submit", "api_key": "***redacted***"},
        }.items()
    )
    assert sent["logs"][2]["timestamp"] == moments.time(records[2].timestamp).isoformat().replace(
        "+00:00", "Z"
    )
    assert "job_processing_started" == records[1].msg
    assert ("ProviderError", "submit failed") == (records[4].error_type, records[4].error)
    unnamed = records[7]
    expected = ("ProviderError", "pixverse: submit failed\nstatus 504")
    assert expected == (unnamed.error_type, unnamed.error)
    request = records[8]
    assert ("0f8c2d1e5b7a4c3e", 37.0, 201) == (
        request.request_id,
        request.duration_ms,
        request.extra["status_code"],
    )
    assert ("INFO", "unknown") == (records[9].level, records[9].service)


async def test_python_2026(client, store):
    """
    What a Python service with ``generation_id`` sends arrives whole, a job id of text included.
    """
    sent, records = await recorded(client, store, "python_2026")

    assert len(sent["logs"]) == len(records)
    assert (7002, "pipeline", "generation") == (
        records[1].generation_id,
        records[1].channel,
        records[1].domain,
    )
    request, ingestion, slow, plain = records[-4:]
    assert ("4bf92f3577b34da6a3ce929d0e0e4736", 12.34) == (request.trace_id, request.duration_ms)
    assert "/api/v1/assets?limit=50&q=caf\u00e9" == request.extra["path"]
    assert (None, "ingestion-55") == (ingestion.job_id, ingestion.extra["job_id"])
    assert "Stack (most recent call last)" in slow.extra["stack"]
    assert ("uvicorn.error", "dev") == (plain.service, plain.env)


async def test_browser_2025(client, store):
    """
    A browser's single record keeps the context it spreads over the top level.
    """
    sent, (record,) = await recorded(client, store, "browser_2025")

    assert ("ERROR", 17, "unhandled_rejection") == (
        record.level,
        record.severity_number,
        record.msg,
    )
    assert {k: sent[k] for k in ("reason", "original_msg", "context")} == record.extra


async def test_browser_2026(client, store):
    """
    The records of a browser's batch, which have no time, keep their order.
    """
    sent, records = await recorded(client, store, "browser_2026")

    assert [e["msg"] for e in sent["logs"]] == [r.msg for r in records]
    assert 1 == len({r.timestamp for r in records})
    assert 14 == records[0].extra["occurrences"]


NAMES = st.sampled_from(
    ["level", "service", "timestamp", "msg", "job_id", "extra", "logs", "exception"]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(alphabet=st.characters(exclude_categories=()), max_size=10)
    | st.sampled_from(["2025-11-13", "12", "$double", 10**30]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)
ENTRIES = st.dictionaries(NAMES | st.text(max_size=5), JSON, max_size=5)


def as_bytes(value, *, ascii_only):
    return json.dumps(value, ensure_ascii=ascii_only).encode(errors="surrogatepass")


async def test_wild_requests(client, store):
    """
    No request is answered with anything but 200, 413 or 422, and good entries are stored
    whatever stands beside them.
    """
    requests = []

    @settings(max_examples=200, deadline=None)
    @given(
        st.one_of(
            st.tuples(st.just(ONE), st.binary(max_size=30), st.none()),
            st.tuples(
                st.just(ONE),
                st.builds(as_bytes, JSON | ENTRIES, ascii_only=st.booleans()),
                st.none(),
            ),
            st.tuples(
                st.just(MANY), st.builds(as_bytes, JSON, ascii_only=st.booleans()), st.none()
            ),
            st.lists(ENTRIES, max_size=4).flatmap(
                lambda entries: st.tuples(
                    st.just(MANY),
                    st.builds(
                        as_bytes, st.just({"logs": [*entries, GOOD]}), ascii_only=st.booleans()
                    ),
                    st.just(len(entries) + 1),
                )
            ),
        )
    )
    def collect(request):
        requests.append(request)

    collect()
    for path, body, count in requests:
        status, answer = await post(client, path, body)

        assert status in {200, 413, 422}, (body, answer)
        if count is not None:
            assert (200, count) == (status, answer["count"]), body
            assert "good" == store.records[-1].msg
