"""structlog's events as records."""

from __future__ import annotations

import datetime as dt
import logging
import time

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import context, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from pixsim_otel import bridge, domains, exceptions, settings
from pixsim_otel.bridge import OTelProcessor

from tests.unit.exporter.providers import Provider, Queue
from tests.unit.exporter.records import WORKER

TRACER = TracerProvider().get_tracer(__name__)
NOON = "2025-11-13T12:00:00.123456Z"
NOON_NS = 1_763_035_200_123_456_000


@pytest.fixture
def provider():
    return Provider()


@pytest.fixture
def emit(provider):
    def emit(event=None, **fields):
        fields = {"level": "info", "timestamp": NOON, **fields}
        given = fields if event is None else {"event": event, **fields}
        before = dict(given)
        assert OTelProcessor(provider)(None, "info", given) is given
        assert before == given, "an event goes on as it came"
        return provider.direct[-1]

    return emit


def test_record(emit):
    """The event is the body, its fields are attributes, its time is exact."""
    record = emit("job_started", job_id=5, level="warning")

    assert record.body == "job_started"
    assert {"job_id": 5} == record.attributes
    assert (13, "WARNING") == (record.severity_number, record.severity_text)
    assert NOON_NS == record.time
    assert record.resource is WORKER
    assert record.scope.name == ""


@pytest.mark.parametrize(
    ("fields", "body", "attributes"),
    [
        ({"event": "e", "msg": "m"}, "m", {"event": "e"}),
        ({"event": "e", "msg": None}, "e", {}),
        ({"event": "e", "msg": ""}, "", {"event": "e"}),
        ({"event": {"a": 1}}, {"a": 1}, {}),
        ({"msg": "m"}, "m", {}),
        ({}, None, {}),
    ],
)
def test_body(emit, fields, body, attributes):
    """The body is `msg` where there is one, and the event is an attribute then."""
    record = emit(**fields)

    assert (body, attributes) == (record.body, record.attributes)


def test_what_the_resource_says(emit):
    """Service and environment are attributes only where they differ from the resource's."""
    same = emit("x", service="worker", env="prod")
    other = emit("x", service="plugin.romance", env="dev")

    assert {} == same.attributes
    assert {"service": "plugin.romance", "env": "dev"} == other.attributes


def test_resource_changes(provider):
    """After a fork the provider has another resource, which the next record has too."""
    process = OTelProcessor(provider)
    process(None, "info", {"event": "x", "service": "worker"})
    provider.resource = WORKER.merge(type(WORKER)({"service.name": "child"}))
    process(None, "info", {"event": "x", "service": "worker"})

    first, second = provider.direct
    assert first.resource is WORKER
    assert second.resource is provider.resource
    assert {"service": "worker"} == second.attributes


def test_scope(emit):
    """A named logger's name is the scope's, and the scope is one object for all records."""
    first, second = emit("x", logger_name="billing"), emit("y", logger_name="billing")

    assert first.scope.name == "billing"
    assert {} == first.attributes
    assert first.scope == second.scope


def test_scopes_are_bounded(provider, monkeypatch):
    """Names without end don't fill the memory."""
    monkeypatch.setattr(bridge, "MOST_SCOPES", 10)
    process = OTelProcessor(provider)
    for number in range(100):
        process(None, "info", {"event": "x", "logger_name": f"asset-{number}"})

    assert len(process._scopes) <= 10
    assert provider.direct[-1].scope.name == "asset-99"


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        (NOON, NOON_NS),
        ("2025-11-13T13:00:00.123456+01:00", NOON_NS),
        ("2025-11-13 12:00:00.123456", NOON_NS),
        (dt.datetime(2025, 11, 13, 12, 0, 0, 123_456, tzinfo=dt.UTC), NOON_NS),
        (dt.datetime(2025, 11, 13, 12, 0, 0, 123_456), NOON_NS),  # noqa: DTZ001
        (1_763_035_200.123456, NOON_NS),
        (1_763_035_200, 1_763_035_200_000_000_000),
        ("2261-12-31T23:59:59.999999Z", 9_214_646_399_999_999_000),
    ],
)
def test_time(emit, timestamp, expected):
    """ISO 8601, datetimes and seconds are times; without a zone they are UTC's."""
    record = emit("x", timestamp=timestamp)

    assert expected == record.time
    assert {} == record.attributes


@pytest.mark.parametrize(
    "timestamp",
    ["", "yesterday", "1969-12-31T23:59:59Z", "9999-01-01T00:00:00Z", True, [], float("nan"), 1e300],
)  # fmt: skip
def test_no_time(emit, timestamp):
    """What is no time, or none that a record can have, is kept, and the record is of now."""
    before = time.time_ns()
    record = emit("x", timestamp=timestamp)

    assert before <= record.time <= time.time_ns()
    assert ["timestamp"] == list(record.attributes)
    assert record.attributes["timestamp"] is timestamp


@given(st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2262, 1, 1)))  # noqa: DTZ001
def test_microseconds_are_exact(moment):
    """No microsecond is lost or rounded."""
    exact = (moment - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)  # noqa: DTZ001

    assert exact * 1000 == bridge._nanoseconds(moment.isoformat())


def raised():
    try:
        raise ValueError("no")
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(
            lambda error: exceptions.render_exception(None, "error", {"exc_info": error}),
            id="rendered by ours",
        ),
        pytest.param(
            lambda error: structlog.processors.format_exc_info(None, "error", {"exc_info": error}),
            id="rendered by structlog's",
        ),
        pytest.param(lambda error: {"exc_info": error}, id="not rendered"),
    ],
)
def test_exception(emit, fields):
    """An exception is told by type, message and traceback, whoever rendered it."""
    attributes = emit("failed", **fields(raised())).attributes

    assert attributes.keys() == {
        "exception.type",
        "exception.message",
        "exception.stacktrace",
    }
    assert ("ValueError", "no") == (attributes["exception.type"], attributes["exception.message"])
    assert attributes["exception.stacktrace"].endswith("ValueError: no")
    assert type(attributes["exception.stacktrace"]) is str


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"exc_info": None}, {}),
        ({"exc_info": True}, {}),
        ({"exception": "it failed"}, {"exception.stacktrace": "it failed"}),
        ({"exception": 5}, {"exception": 5}),
    ],
)
def test_no_exception(emit, fields, expected):
    """Where there is no exception none is told; text is kept as a traceback."""
    assert expected == emit("x", **fields).attributes


def test_span(emit):
    """A record has the ids of the current span, and what that says of the job."""
    with TRACER.start_as_current_span("s", attributes={"job_id": 5, "http.route": "/"}) as span:
        record = emit("x")

    found = span.get_span_context()
    assert (found.trace_id, found.span_id) == (record.trace_id, record.span_id)
    assert found.trace_flags == record.flags
    assert {"job_id": 5} == record.attributes


@pytest.mark.parametrize(
    ("fields", "ids", "attributes"),
    [
        ({"trace_id": "0" * 31 + "a"}, (10, 0), {}),
        ({"trace_id": "0" * 31 + "A", "span_id": "0" * 15 + "b"}, (10, 11), {}),
        ({"trace_id": "0_1" + "0" * 29}, (0, 0), {"trace_id": "0_1" + "0" * 29}),
        ({"trace_id": "from-the-caller"}, (0, 0), {"trace_id": "from-the-caller"}),
        ({"trace_id": None}, (0, 0), {"trace_id": None}),
        ({"span_id": "0" * 15 + "b"}, (0, 0), {"span_id": "0" * 15 + "b"}),
    ],
)
def test_ids_of_the_event(emit, fields, ids, attributes):
    """Without a span the ids that an event has are taken where they are valid."""
    record = emit("x", **fields)

    assert ids == (record.trace_id, record.span_id)
    assert attributes == record.attributes


def test_span_goes_first(emit):
    """In a span an id of the event's stays an attribute."""
    with TRACER.start_as_current_span("s") as span:
        record = emit("x", trace_id="0" * 31 + "a")

    assert span.get_span_context().trace_id == record.trace_id
    assert {"trace_id": "0" * 31 + "a"} == record.attributes


def test_least_exported_level(provider, monkeypatch):
    """Events below the exported level are not emitted, and go on to the console."""
    monkeypatch.setattr(domains, "_now", domains._Thresholds())
    domains.set_db_min_level("WARNING")
    process = OTelProcessor(provider)

    for level in ("info", "warning"):
        assert process(None, level, {"event": level, "level": level})["event"] == level

    assert ["warning"] == [record.body for record in provider.direct]


def test_application_provider():
    """Processors that aren't ours get the same record the SDK's way."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=WORKER)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    event = {
        "event": "e",
        "msg": "m",
        "level": "critical",
        "timestamp": NOON,
        "logger_name": "billing",
        "params": {"a": [1, dt.date(2025, 11, 13)]},
        "huge": 2**64,
    }

    with TRACER.start_as_current_span("s", attributes={"job_id": 5}) as span:
        OTelProcessor(provider)(None, "critical", event)
    provider.shutdown()

    (sent,) = exporter.get_finished_logs()
    record = sent.log_record
    assert (21, "CRITICAL") == (record.severity_number.value, record.severity_text)
    assert ("m", NOON_NS) == (record.body, record.timestamp)
    assert span.get_span_context().trace_id == record.trace_id
    assert sent.instrumentation_scope.name == "billing"
    assert {
        "event": "e",
        "job_id": 5,
        "params": {"a": (1, "2025-11-13")},
        "huge": str(2**64),
    } == {**record.attributes, "params": {"a": tuple(record.attributes["params"]["a"])}}


def test_caller_is_remote(emit):
    """The ids of a caller's span are taken as those of an own one are."""
    remote = trace.NonRecordingSpan(trace.SpanContext(7, 8, is_remote=True))
    token = context.attach(trace.set_span_in_context(remote))
    try:
        record = emit("x")
    finally:
        context.detach(token)

    assert (7, 8) == (record.trace_id, record.span_id)


def test_never_raises(provider, capsys, monkeypatch):
    """What goes wrong on the way costs the record, is said once, and reaches no log call."""
    monkeypatch.setattr(settings, "_said", set())
    monkeypatch.setattr(Queue, "put", lambda _queue, _record: 1 / 0)
    process = OTelProcessor(provider)

    for _ in range(2):
        assert {"event": "x"} == process(None, "info", {"event": "x"})

    assert capsys.readouterr().err.count("ZeroDivisionError") == 1


def test_unknown_level(emit):
    """A level that nobody knows has its name and no number."""
    assert "LOUD" not in logging.getLevelNamesMapping()
    record = emit("x", level="loud")

    assert (0, "LOUD") == (record.severity_number, record.severity_text)
