"""The OTLP receiver as its senders see it."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest
from aiohttp.test_utils import TestClient, TestServer
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from collector import server, telemetry
from collector.body import InFlight
from collector.correlation import Correlation
from collector.receivers import otlp
from collector.receivers.otlp import Http, Otlp, Protocols
from storage.errors import Unavailable
from storage.records import Outcome, Refusal
from tests.unit.collector.otlp_messages import any_value, as_json, log_record, request

PROTOBUF, JSON = "application/x-protobuf", "application/json"
both = pytest.mark.parametrize("content_type", [PROTOBUF, JSON])


class Store:
    """Takes batches, but for the records that *refused* are, or raises."""

    def __init__(self, *refused, error=None):
        self.batches = []
        self.refused = refused
        self.error = error

    async def submit(self, batch):
        if self.error is not None:
            raise self.error
        self.batches.append(batch)
        return Outcome(stored=len(batch.records) - len(self.refused), refused=self.refused)


@asynccontextmanager
async def receiving(store, **settings):
    http = Http(**settings)
    routes = otlp.routes(Otlp(protocols=Protocols(http=http)), Correlation(), store.submit)
    app = server.create_app([server.Listener(http, routes)], InFlight(2**30))
    async with TestClient(TestServer(app)) as client:
        yield client


def encoded(message, content_type):
    return message.SerializeToString() if content_type == PROTOBUF else as_json(message)


async def post(client, data, content_type, path="/v1/logs", **headers):
    headers["Content-Type"] = content_type
    async with client.post(path, data=data, headers=headers) as response:
        return response, await response.read()


async def export(store, message, content_type, **settings):
    """Send *message*; gives the count and the message of the partial success."""
    async with receiving(store, **settings) as client:
        response, body = await post(client, encoded(message, content_type), content_type)
    assert (200, content_type) == (response.status, response.content_type)
    if content_type == PROTOBUF:
        partial = ExportLogsServiceResponse.FromString(body).partial_success
        return partial.rejected_log_records, partial.error_message
    partial = json.loads(body).get("partialSuccess", {})
    return int(partial.get("rejectedLogRecords", 0)), partial.get("errorMessage", "")


@pytest.mark.parametrize(("content_type", "expected"), [(PROTOBUF, b""), (JSON, b"{}")])
async def test_c30_success(content_type, expected):
    """C1, C10, C30: success is 200 and an empty answer, in the encoding of the request."""
    store = Store()
    sent = encoded(request(log_record(), resource={"service.name": "api"}), content_type)
    async with receiving(store) as client:
        response, body = await post(client, sent, content_type, **{"User-Agent": "OTel/1 x"})

    (batch,) = store.batches
    assert (200, content_type, expected) == (response.status, response.content_type, body)
    assert ("otlp", "OTel/1 x") == (batch.receiver, batch.sender)
    assert ["api"] == [record.service for record in batch.records]
    assert {record.resource_id for record in batch.records} == batch.resources.keys()


@both
async def test_c32_empty_request(content_type):
    """C32: a request without records is a success, and nothing is stored."""
    store = Store()
    assert (0, "") == await export(store, request(), content_type)
    assert [] == store.batches


@both
async def test_c33_partial_success(content_type):
    """C33: the good records are stored, the others counted, and their place and reason told."""
    store = Store()
    large = log_record(body=any_value("x" * 5_000))
    message = request(log_record(), large, large)
    rejected, text = await export(store, message, content_type, max_record_size=1_000)

    assert rejected == 2
    assert text.startswith("2 are too large; resourceLogs[0].scopeLogs[0].logRecords[1]: 5")
    assert len(store.batches[0].records) == 1


@both
async def test_c35_all_refused(content_type):
    """C35: where all records are refused by a limit, the request still succeeds."""
    store = Store()
    large = log_record(body=any_value("x" * 5_000))
    rejected, text = await export(store, request(large), content_type, max_record_size=1_000)

    assert (1, []) == (rejected, store.batches)
    assert text


async def test_c35_nothing_decodable():
    """C35, C41, C42: where no record can be decoded, the request is bad, field by field."""
    records = [{"timeUnixNano": "abc"}, {"flags": -1}]
    body = {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}
    store = Store()
    async with receiving(store) as client:
        response, answer = await post(client, json.dumps(body), JSON)

    status = json.loads(answer)
    violations = status["details"][0]["fieldViolations"]
    path = "resourceLogs[0].scopeLogs[0].logRecords"
    assert (400, 3, []) == (response.status, status["code"], store.batches)
    assert [f"{path}[0].timeUnixNano", f"{path}[1].flags"] == [v["field"] for v in violations]
    assert f"{path}[0].timeUnixNano: 'abc', expected an integer" in status["message"]


async def test_c71_undecodable():
    """C38, C42, C71: a body that is no request is told so in its own encoding."""
    async with receiving(Store()) as client:
        response, answer = await post(client, b"\x0a\xff", PROTOBUF)

    status = status_pb2.Status.FromString(answer)
    detail = error_details_pb2.BadRequest()
    assert (400, PROTOBUF, 3) == (response.status, response.content_type, status.code)
    assert status.details[0].Unpack(detail)
    assert len(detail.field_violations) == 1


@both
async def test_c34_changes(content_type):
    """C34: what is stored, but not as it came, is a warning without a count."""
    message = request(log_record(trace_id=b"abc"), log_record(body=any_value("a\0")), log_record())
    rejected, text = await export(Store(), message, content_type)

    assert rejected == 0
    assert text == (
        "stored with a change: 1 a trace id that is not 16 bytes was left out, "
        "1 NUL in a text became U+FFFD"
    )


@both
async def test_refused_by_the_database(content_type):
    """C33: what the database refuses is counted with the rest, each reason once."""
    store = Store(
        Refusal(index=0, reason="too odd"),
        Refusal(index=1, reason="too odd"),
        Refusal(index=2, reason="too even"),
    )
    message = request(log_record(), log_record(), log_record(), log_record())

    assert (3, "3 are refused by the database; too odd; too even") == await export(
        store, message, content_type
    )


@both
async def test_c26_long_answers(content_type):
    """C26: however many records are refused, and whyever, the answer stays small."""
    count = 5_000
    store = Store(*(Refusal(index=i, reason=f"{i} {'x' * 1_000}") for i in range(count)))
    message = request(*(log_record() for _ in range(count)))
    rejected, text = await export(store, message, content_type)

    assert rejected == count
    assert len(text) < 10_000


@both
async def test_c36_nothing_is_partly_retried(content_type):
    """C36, C43: when the database is away, the whole request fails and may be sent again."""
    async with receiving(Store(error=Unavailable("away"))) as client:
        response, _ = await post(client, encoded(request(log_record()), content_type), content_type)

    assert (503, "1") == (response.status, response.headers["Retry-After"])


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        pytest.param(JSON, 200, id="C1 JSON"),
        pytest.param("Application/JSON", 200, id="C11 any case"),
        pytest.param("application/json; charset=utf-8", 200, id="C11 parameters"),
        pytest.param("application/x-protobuf; proto=x", 400, id="C11 parameters of protobuf"),
        pytest.param("application/protobuf", 415, id="C13"),
        pytest.param("application/x-google-protobuf", 415, id="C13"),
        pytest.param("text/plain", 415, id="C12, C111"),
        pytest.param("", 415, id="C12 none"),
    ],
)
async def test_content_types(content_type, status):
    """The Content-Type says the encoding; the answer has the bare type."""
    async with receiving(Store()) as client:
        response, body = await post(client, b"{}", content_type)

    assert status == response.status
    expected = PROTOBUF if "x-protobuf" in content_type else JSON
    assert expected == response.headers["Content-Type"].partition(";")[0]
    if status == 415:
        assert "not application/x-protobuf or application/json" in json.loads(body)["message"]


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/metrics", "/v1/logs/"])
async def test_c9_logs_only(path):
    """C8, C9: other signals, and a slash too many, are told where logs go."""
    async with receiving(Store()) as client:
        response, body = await post(client, b"{}", JSON, path=path)

    assert (404, "this collector takes logs only, at /v1/logs") == (
        *(response.status, json.loads(body)["message"]),
    )


async def test_c2_other_path():
    """C2: the path is configurable."""
    async with receiving(Store(), logs_url_path="/otlp/logs") as client:
        assert (await post(client, b"{}", JSON, path="/otlp/logs"))[0].status == 200
        assert (await post(client, b"{}", JSON))[0].status == 404


async def test_c4_other_methods():
    """C4: another method is told which one there is."""
    async with receiving(Store()) as client, client.get("/v1/logs") as response:
        assert (405, "POST") == (response.status, response.headers["Allow"])


async def test_c22_body_limit():
    """C22, C25: a body at the limit is read, one beyond it is not."""
    body = b"{}" + b" " * 98
    async with receiving(Store(), max_request_body_size=100) as client:
        assert (await post(client, body, JSON))[0].status == 200
        assert (await post(client, body + b" ", JSON))[0].status == 413


@both
async def test_large_request(content_type):
    """A request of many slices becomes the same."""
    store = Store()
    records = [log_record(body=any_value(f"{i}{'x' * 1_000}")) for i in range(500)]

    assert (0, "") == await export(store, request(*records), content_type)
    assert [r.body.string_value for r in records] == [r.msg for r in store.batches[0].records]


def count(counter, *labels):
    return counter.labels(*labels)._value.get()


async def test_counters():
    """What is refused or changed is counted, by reason."""
    large = log_record(body=any_value("x" * 5_000))
    message = request(log_record(span_id=b"x"), large)
    counters = [
        telemetry.records_refused.labels("otlp", "too_large"),
        telemetry.records_changed.labels("otlp", "span_id"),
    ]
    before = [each._value.get() for each in counters]
    await export(Store(), message, PROTOBUF, max_record_size=1_000)

    assert [1, 1] == [each._value.get() - was for each, was in zip(counters, before, strict=True)]
