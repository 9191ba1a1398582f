"""The collector's own spans, as OTLP has them."""

from __future__ import annotations

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collector import configfile, telemetry, tracing
from collector.forwarding.target import Done, Stop
from collector.tracing import Spans
from storage.records import Outcome
from tests.builders import batch, record
from tests.scripted import Reply, scripted

TRACE, PARENT = 16 * "ab", 8 * "cd"


def settings(endpoint=""):
    text = f'service: {{telemetry: {{traces: {{endpoint: "{endpoint}", interval: 60}}}}}}'
    return configfile.parse(text, "c", {}).config.service.telemetry.traces


def told(span):
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def outcomes():
    return [telemetry.spans.labels(name)._value.get() for name in ("sent", "dropped")]


async def asked(spans, path, **headers):
    """The status of a request to a path that stores a record, or fails."""

    async def write(each):
        return Outcome(stored=len(each.records))

    async def handler(request):
        await tracing.storing(spans, write)(batch(record()))
        return web.Response(status=int(request.match_info["status"]))

    app = web.Application(middlewares=[tracing.requests(spans)])
    app.router.add_get("/a/{status}", handler)
    async with TestClient(TestServer(app)) as client, client.get(path, headers=headers) as answer:
        return answer.status


async def test_a_request():
    """
    A request is a span by its route, and what it waits for one within it; both are of the trace that
    its sender names, or of a new one.
    """
    spans = Spans(1.0)
    await asked(spans, "/a/200", traceparent=f"00-{TRACE}-{PARENT}-01")
    await asked(spans, "/a/503", traceparent="00-nonsense")
    store, request, _, failed = spans.taken()

    assert ("store", "GET /a/{status}") == (store.name, request.name)
    assert (bytes.fromhex(TRACE), bytes.fromhex(PARENT)) == (
        request.trace_id,
        request.parent_span_id,
    )
    assert (request.trace_id, request.span_id) == (store.trace_id, store.parent_span_id)
    assert request.start_time_unix_nano <= store.start_time_unix_nano
    assert store.end_time_unix_nano <= request.end_time_unix_nano
    assert {"pixsim.receiver": "test", "pixsim.records": 1, "pixsim.spooled": 0} == told(store)
    assert told(request) == {
        "http.request.method": "GET",
        "http.route": "/a/{status}",
        "http.response.status_code": 200,
    }
    assert (Span.SPAN_KIND_SERVER, Status.STATUS_CODE_UNSET) == (request.kind, request.status.code)
    assert (b"", Status.STATUS_CODE_ERROR) == (failed.parent_span_id, failed.status.code)
    assert (16, 8) == (len(failed.trace_id), len(failed.span_id))
    assert failed.trace_id != request.trace_id


@pytest.mark.parametrize(
    ("ratio", "flags", "expected"),
    [(0.0, "", 0), (0.0, "01", 2), (1.0, "", 2), (1.0, "00", 0)],
)
async def test_sampling(ratio, flags, expected):
    """
    The sender decides whether a request is recorded, and else the ratio; what is within it follows.
    """
    spans = Spans(ratio)
    given = {"traceparent": f"00-{TRACE}-{PARENT}-{flags}"} if flags else {}

    assert 200 == await asked(spans, "/a/200", **given)
    assert expected == len(spans.taken())


class Target:
    def __init__(self, *answers):
        self.answers = list(answers)

    async def send(self, records):
        return self.answers.pop(0)

    async def close(self):
        self.answers = None


async def test_batches_that_are_sent_on():
    """
    Each batch to a destination is a span, which says what was answered.
    """
    spans, target = Spans(1.0), Target(Done(), Stop("no"))
    recorded = tracing.Recorded(spans, "loki", target)
    answers = [await recorded.send([1, 2]) for _ in range(2)]
    with pytest.raises(IndexError):
        await recorded.send([1])
    await recorded.close()
    done, stopped, failed = spans.taken()

    assert [Done(), Stop("no")] == answers
    assert target.answers is None
    assert ("send loki", Span.SPAN_KIND_CLIENT) == (done.name, done.kind)
    assert told(stopped) == {
        "pixsim.destination": "loki",
        "pixsim.answer": "Stop",
        "pixsim.records": 2,
    }
    assert [0, 2, 2] == [each.status.code for each in (done, stopped, failed)]
    assert "IndexError" == failed.status.message


async def test_they_are_sent_on_demand(monkeypatch):
    """
    Without an endpoint there are none; with one all are sent, at the end too. What is too much, or
    isn't taken, is dropped and counted.
    """
    monkeypatch.setattr(tracing, "MOST", 2)
    before = outcomes()
    async with tracing.tracing(settings()) as none:
        assert none is None
    async with scripted() as server:
        async with tracing.tracing(settings(server.url)) as spans:
            for _ in range(3):
                spans.committed(0.25, 10)
        server.rule = lambda _: Reply(500, b"no")
        with structlog.testing.capture_logs() as lines:
            async with tracing.tracing(settings(server.url)) as spans:
                spans.committed(0.25, 10)
        (first, _) = server.requests
    (resource,) = ExportTraceServiceRequest.FromString(first.body).resource_spans
    (span, _) = resource.scope_spans[0].spans

    assert "/v1/traces" == first.path
    assert "pixsim-collector" == told(resource.resource)["service.name"]
    assert ("commit", 250_000_000) == (
        span.name,
        span.end_time_unix_nano - span.start_time_unix_nano,
    )
    assert [("traces_not_sent", "HTTP 500: no")] == [(x["event"], x["error"]) for x in lines]
    assert [2, 2] == [after - was for after, was in zip(outcomes(), before, strict=True)]
