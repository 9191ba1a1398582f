"""Records from the SDK and back."""

from __future__ import annotations

import datetime as dt

import pytest
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.sdk._logs import LoggerProvider, LogRecordLimits
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from pixsim_otel.record import Record, from_sdk, to_sdk

RESOURCE = Resource({"service.name": "worker"})
SCOPE = InstrumentationScope("jobs", "1.2", "https://example.com/schema", {"a": 1})


@pytest.fixture(name="exporter")
def _exporter():
    return InMemoryLogRecordExporter()


@pytest.fixture(name="logger")
def _logger(exporter):
    """A logger of the SDK's that keeps at most three attributes."""
    provider = LoggerProvider(
        RESOURCE,
        shutdown_on_exit=False,
        log_record_limits=LogRecordLimits(max_log_record_attributes=3),
    )
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    return provider.get_logger("jobs", "1.2", "https://example.com/schema", {"a": 1})


def record(**changes):
    given = {
        "time": 5,
        "severity_number": 13,
        "severity_text": "WARNING",
        "body": "slow",
        "attributes": {"job_id": 7, "tags": ["a", {"b": [1.5, None, b"x"]}]},
        "resource": RESOURCE,
        "scope": SCOPE,
    }
    return Record(**(given | changes))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="least"),
        pytest.param({"trace_id": 1, "span_id": 2, "flags": 1}, id="span"),
        pytest.param({"observed_time": 9, "event_name": "job.slow"}, id="event"),
        pytest.param({"severity_number": 0, "severity_text": None, "body": None}, id="nothing"),
        pytest.param({"body": {"a": [True]}}, id="body"),
        pytest.param({"dropped_attributes": 3}, id="dropped attributes"),
    ],
)
def test_there_and_back(changes):
    """
    A record that goes to the SDK's type and back is the same, seen again where it says so.
    """
    given = record(**changes)

    found = from_sdk(to_sdk(given))

    given.observed_time = given.observed_time or given.time
    found.size = given.size
    assert given == found


@pytest.mark.filterwarnings("ignore:Log record attributes were dropped")
def test_the_sdks_records_lose_nothing(logger, exporter):
    """
    A record of the SDK's is encoded the same after a way through ours.
    """
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    with tracer.start_as_current_span("s"):
        logger.emit(
            timestamp=1,
            observed_timestamp=2,
            severity_number=SeverityNumber.WARN2,
            severity_text="WARNING",
            body={"a": [1, {"b": b"x"}]},
            attributes={"dropped": 0, "list": ["x", 1], "map": {"y": None}, "float": 1.5},
            event_name="job.slow",
        )
    [given] = exporter.get_finished_logs()

    found = to_sdk(from_sdk(given))

    assert given.log_record.trace_id
    assert 1 == found.dropped_attributes
    assert encode_logs([given]) == encode_logs([found])


def test_time_of_observation_stands_in(logger, exporter):
    """
    A record without a time has the one it was observed at.
    """
    logger.emit(observed_timestamp=2, body="x")
    [given] = exporter.get_finished_logs()

    assert (2, 2) == (from_sdk(given).time, from_sdk(given).observed_time)


def test_exceptions_of_the_sdk(logger, exporter):
    """
    An exception given to the SDK is in the record as its attributes.
    """
    logger.emit(body="x", exception=ValueError("bad"))
    [given] = exporter.get_finished_logs()

    assert ("ValueError", "bad") == tuple(
        from_sdk(given).attributes[f"exception.{name}"] for name in ("type", "message")
    )


def test_values_become_plain(logger, exporter):
    """
    Whatever the SDK lets through is plain afterwards, also where its types forbid it.
    """
    found = LogRecord(timestamp=1, body=dt.date(2026, 1, 2), severity_text="\ud800")
    found.event_name = 5
    logger.emit(found)
    [given] = exporter.get_finished_logs()

    taken = from_sdk(given)

    assert ("2026-01-02", "\ufffd", "5") == (taken.body, taken.severity_text, taken.event_name)


def test_the_current_span_is_not_taken(exporter):
    """
    A record without a span has none either when it is sent while another one is current.
    """
    with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))):
        found = to_sdk(record()).log_record

    assert (0, 0, 0) == (found.trace_id, found.span_id, found.trace_flags)
