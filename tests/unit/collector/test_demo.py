"""The demo: what it tells of, how it sends it, and how it ends."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random

import pytest
from aiohttp import ClientSession, test_utils, web
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from collector import demo, demo_delivery, demo_senders
from collector.demo_events import OTEL, SERVICES, Event, Story

NOW_NS = 1_763_000_000_123_456_000
SINCE_NS = NOW_NS - 6_000


def story(count, seed=1):
    told = Story(random.Random(seed))
    return told, list(itertools.islice(told.events(), count))


def arguments(*given):
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    return parser.parse_args(given)


LOST = object()  # a connection, instead of an answer


class Receiver:
    """A collector that counts what it gets, and answers as it is told."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.after = "0"
        self.requests = []
        self.keys = []

    async def handle(self, request):
        self.requests.append((request.path, request.content_type, await request.read()))
        self.keys.append(request.headers["Idempotency-Key"])
        answer = self.answers.pop(0) if self.answers else 200
        if answer is LOST:
            request.transport.abort()
            return web.Response()
        return web.Response(status=answer, text="no", headers={"Retry-After": self.after})

    def server(self):
        app = web.Application()
        app.router.add_post("/{path:.*}", self.handle)
        return test_utils.TestServer(app)


def test_same_seed_same_story():
    """
    A seed tells the same story again, another one another.
    """
    assert story(300)[1] == story(300)[1]
    assert story(300)[1] != story(300, seed=2)[1]


def test_everything_occurs():
    """
    The story has every service and stage, retries, failures and tracebacks.
    """
    told, events = story(2_000)

    assert {event.service for event in events} == set(SERVICES)
    assert {event.fields.get("stage") for event in events} == {
        None,
        "pipeline:start",
        "pipeline:artifact",
        "provider:map_params",
        "provider:submit",
        "provider:status",
        "provider:complete",
        "provider:error",
        "retry:decision",
    }
    assert {job.attempts for job in told.jobs if job.done} == {1, 2, 3}
    assert {job.failed for job in told.jobs} == {True, False}
    assert any(event.exception for event in events)


def test_trace_spans_services():
    """
    A job's trace goes through browser, gateway, native services and media.
    """
    told, events = story(500)
    job = next(job for job in told.jobs if job.done and not job.failed)

    seen = {event.service for event in events if event.fields.get("trace_id") == job.trace_id}

    assert {"frontend", "gateway", "api", "worker", "generation-worker", "media"} == seen


def test_python_service():
    """
    A Python service sends structlog's keys: event, a UTC time ending in Z, a lower-case level.
    """
    event = Event(service="api", event="hello", fields={"job_id": 7}, exception="Traceback")

    (post,) = demo_senders.posts([event], SINCE_NS, NOW_NS)

    assert (False, "application/json", 1) == (post.otlp, post.content_type, post.records)
    assert json.loads(post.body) == {
        "logs": [
            {
                "event": "hello",
                "timestamp": "2025-11-13T02:13:20.123453Z",
                "level": "info",
                "service": "api",
                "env": "dev",
                "job_id": 7,
                "exception": "Traceback",
            }
        ]
    }


def test_browser():
    """
    A browser sends msg and an upper-case level, and no time.
    """
    event = Event(service="frontend", level="error", event="oops", fields={"reason": "x"})

    (post,) = demo_senders.posts([event], SINCE_NS, NOW_NS)

    assert json.loads(post.body) == {
        "logs": [
            {"level": "ERROR", "service": "frontend", "env": "dev", "msg": "oops", "reason": "x"}
        ]
    }


def test_opentelemetry():
    """
    An OpenTelemetry service sends protobuf, its name in the resource and ids in binary.
    """
    fields = {"trace_id": "0f" * 16, "span_id": "0e" * 8, "job_id": 7, "ok": True, "ms": 1.5}
    events = [Event(service="media", event=f"e{n}", fields=fields) for n in range(2)]

    (post,) = demo_senders.posts(events, SINCE_NS, NOW_NS)

    (resource,) = ExportLogsServiceRequest.FromString(post.body).resource_logs
    first, second = resource.scope_logs[0].log_records
    assert (True, "application/x-protobuf", 2) == (post.otlp, post.content_type, post.records)
    assert "media" == resource.resource.attributes[0].value.string_value
    assert (b"\x0f" * 16, b"\x0e" * 8, "e0") == (
        first.trace_id,
        first.span_id,
        first.body.string_value,
    )
    assert ["job_id", "ok", "ms"] == [a.key for a in first.attributes]
    assert [SINCE_NS + 2_000, SINCE_NS + 4_000] == [first.time_unix_nano, second.time_unix_nano]


async def test_run(capsys):
    """
    It sends as many records as it is told, through both receivers, and says where to look.
    """
    native, otlp = Receiver(), Receiver()
    async with native.server() as native_server, otlp.server() as otlp_server:
        url, otlp_url = str(native_server.make_url("/")), str(otlp_server.make_url("/"))
        given = arguments(
            "--url", url, "--otlp-url", otlp_url, "--count", "300", "--rate", "2000", "--seed", "1"
        )
        await asyncio.to_thread(demo.run, given)

    sent = sum(len(json.loads(body)["logs"]) for _, _, body in native.requests)
    for _, _, body in otlp.requests:
        (resource,) = ExportLogsServiceRequest.FromString(body).resource_logs
        sent += len(resource.scope_logs[0].log_records)
    out, err = capsys.readouterr()
    assert sent == 300
    assert {path for path, _, _ in native.requests} == {"/api/v1/logs/ingest/batch"}
    assert {path for path, _, _ in otlp.requests} == {"/v1/logs"}
    assert err.startswith("sent 300 records in ")
    assert f"curl '{url}api/v1/logs/trace/job/" in out
    assert f"  {url}?view=job&id=" in out


async def test_collector_goes_away(monkeypatch, capsys):
    """
    What is not taken now is sent again, the same under the same key, and the user is told once.
    """
    monkeypatch.setattr(demo_delivery, "PAUSE", 0.01)
    receiver = Receiver(503, 429, LOST, LOST)
    async with receiver.server() as server:
        url = str(server.make_url("/"))
        given = arguments("--url", url, "--otlp-url", url, "--count", "2", "--rate", "1000")
        await asyncio.to_thread(demo.run, given)

    away, back, sent = capsys.readouterr().err.splitlines()
    assert away.endswith(": answers 503: no (trying again)")
    assert back.endswith(": takes records again")
    assert sent.startswith("sent 2 records in ")
    assert 1 == len(set(receiver.requests[:5])) == len(set(receiver.keys[:5]))
    assert len(receiver.requests) - 4 == len(set(receiver.keys))


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param([422], "answers 422: no", id="refused"),
        pytest.param([503, 401], "answers 401: no", id="refused when it is back"),
        pytest.param([503, *[LOST] * 100], "Server disconnected", id="away for too long"),
    ],
)
async def test_ends(monkeypatch, answers, expected):
    """
    A request that is refused for good, or tried for too long, ends it with the reason.
    """
    monkeypatch.setattr(demo_delivery, "PAUSE", 0.01)
    monkeypatch.setattr(demo_delivery, "PATIENCE", 0.1)
    receiver = Receiver(*answers)
    async with receiver.server() as server:
        url = str(server.make_url("/"))
        given = arguments("--url", url, "--otlp-url", url, "--count", "1")
        with pytest.raises(demo_delivery.Failed, match=f"http://.*/.*: {expected}$"):
            await asyncio.to_thread(demo.run, given)


async def test_pauses(monkeypatch):
    """
    A pause is as long as the collector asks for, and counts as no time of the story.
    """
    monkeypatch.setattr(demo_delivery, "PAUSE", 0.01)
    (post,) = demo_senders.posts([Event(service="api", event="hello")], SINCE_NS, NOW_NS)
    receiver = Receiver(200, 503)
    async with receiver.server() as server, ClientSession() as session:
        delivery = demo_delivery.Delivery((str(server.make_url("")), ""))
        await delivery.deliver(session, post)
        assert 0 == delivery.waited
        receiver.after = "1"
        await delivery.deliver(session, post)

    assert 2 == delivery.records
    assert 1 <= delivery.waited


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:1", "cannot connect; is the collector running?"),
        ("nonsense", "not a URL, expected http://host:port"),
    ],
)
def test_collector_is_away(url, expected):
    """
    A collector that is not there is said in one line.
    """
    with pytest.raises(demo_delivery.Failed) as caught:
        demo.run(arguments("--url", url, "--otlp-url", url))

    assert str(caught.value).endswith(f": {expected}")


def test_every_service_sends_somehow():
    """
    Both receivers get a part of the story.
    """
    _, events = story(500)

    posts = demo_senders.posts(events, SINCE_NS, NOW_NS)

    assert len(SERVICES) == len(posts)
    assert list(SERVICES.values()).count(OTEL) == sum(post.otlp for post in posts)
    assert 500 == sum(post.records for post in posts)
