"""Records as the JSON objects that pixsim's services have always sent."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from pixsim_otel import native
from pixsim_otel.native import PixsimLogExporter
from pixsim_otel.transport import Delivered, Refused, Retry, TooLarge

from tests.unit.exporter.recorder import Answer, recording
from tests.unit.exporter.records import record

SENT = {
    "event": "hello",
    "timestamp": "2025-11-13T12:00:00.123456Z",
    "level": "info",
    "service": "worker",
    "env": "prod",
}


@pytest.fixture(name="recorder")
def _recorder(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with recording() as recorder:
        yield recorder


@pytest.fixture(name="exporter")
def _exporter(recorder):
    exporter = PixsimLogExporter(f"{recorder.url}/api/v1/logs/ingest/batch")
    yield exporter
    exporter.shutdown()


def refuse_constant(name):
    raise AssertionError(name)


def sent(*records):
    """Read what is sent, as strictly as a receiver may."""
    return json.loads(native.encode(records), parse_constant=refuse_constant)["logs"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({}, {}, id="plain event"),
        pytest.param({"severity_text": "WARNING"}, {"level": "warning"}, id="level"),
        pytest.param(
            {"severity_text": None, "severity_number": 14}, {"level": "warning"}, id="only a number"
        ),
        pytest.param({"severity_text": None, "severity_number": 0}, {}, id="no level at all"),
        pytest.param({"time": 1_763_035_200_000_000_000},
                     {"timestamp": "2025-11-13T12:00:00.000000Z"}, id="always six digits"),
        pytest.param({"attributes": {"job_id": 7, "tags": ["a"], "nested": {"a": None}}},
                     {"job_id": 7, "tags": ["a"], "nested": {"a": None}}, id="attributes"),
        pytest.param({"attributes": {"event": "pipeline:start"}},
                     {"event": "pipeline:start", "msg": "hello"}, id="event and msg"),
        pytest.param({"attributes": {"service": "other", "env": "test"}},
                     {"service": "other", "env": "test"}, id="a service of its own"),
        pytest.param({"trace_id": 0xAB, "span_id": 0xC},
                     {"trace_id": "0" * 30 + "ab", "span_id": "0" * 15 + "c"}, id="span"),
        pytest.param({"trace_id": 0xAB, "attributes": {"trace_id": "mine"}},
                     {"trace_id": "mine"}, id="a trace of its own"),
        pytest.param({"event_name": "e"}, {"event_name": "e"}, id="named event"),
        pytest.param({"scope": InstrumentationScope("sqlalchemy.engine")},
                     {"logger_name": "sqlalchemy.engine"}, id="logger"),
        pytest.param({"body": {"a": 1.5}}, {"event": {"a": 1.5}}, id="body that is no text"),
        pytest.param(
            {"attributes": {"exception.type": "KeyError", "exception.message": "'a'",
                            "exception.stacktrace": "Traceback"}},
            {"error_type": "KeyError", "error": "'a'", "exception": "Traceback"}, id="exception"),
        pytest.param(
            {"attributes": {"exception.message": "'a'", "error": "no such key"}},
            {"exception.message": "'a'", "error": "no such key"}, id="an error of its own"),
        pytest.param({"attributes": {"timestamp": "yesterday"}},
                     {"timestamp_original": "yesterday"}, id="a time that was not understood"),
        pytest.param(
            {"attributes": {"a": float("nan"), "b": [float("inf")], "c": {"d": float("-inf")}}},
            {"a": "NaN", "b": ["Infinity"], "c": {"d": "-Infinity"}}, id="no numbers of JSON"),
        pytest.param({"attributes": {"a": b"hi"}}, {"a": "aGk="}, id="bytes"),
        pytest.param({"attributes": {"a": "\ud800"}}, {"a": "�"}, id="lone surrogate"),
    ],
)  # fmt: skip
def test_keys(fields, expected):
    """
    A record is one flat object of the keys that services have always sent.
    """
    assert [SENT | expected] == sent(record(**fields))


def test_no_body():
    """
    A record without a body has no event.
    """
    assert "event" not in sent(record(body=None))[0]


def test_each_its_own_resource():
    """
    Service and environment are those of each record's own resource.
    """
    older = Resource({"service.name": "old", "deployment.environment": "test"})
    found = sent(record(), record(resource=older), record(resource=Resource.get_empty()))

    assert [("worker", "prod"), ("old", "test"), ("unknown", None)] == [
        (entry["service"], entry.get("env")) for entry in found
    ]


def test_one_bad_value_costs_nothing():
    """
    A value that nobody made plain is made plain; the records beside it are as they were.
    """
    found = sent(record(attributes={"n": float("nan")}), record(attributes={"a": {1, 2}}))

    assert [SENT | {"n": "NaN"}, SENT | {"a": [1, 2]}] == found


@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.text() | st.booleans() | st.integers() | st.floats() | st.binary(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    )
)
@settings(max_examples=50, deadline=None)
def test_any_attributes(attributes):
    """
    Whatever a record holds becomes JSON that every receiver reads.
    """
    assert 1 == len(sent(record(attributes=attributes)))


def test_one_request(exporter, recorder):
    """
    A batch is one JSON request, not compressed: the older backends could not read it.
    """
    recorder.answers.append(Answer(200, b'{"success":true,"count":2}'))
    outcome = exporter.send([record(), record(body="b")])
    (request,) = recorder.requests

    assert Delivered() == outcome
    assert request.headers["content-type"] == "application/json"
    assert "content-encoding" not in request.headers
    assert {"logs": [SENT, SENT | {"event": "b"}]} == json.loads(request.body)


def test_settings(recorder, monkeypatch):
    """
    URL, compression and key come from the environment.
    """
    monkeypatch.setenv("PIXSIM_LOG_INGESTION_KEY", "pxc_1")
    monkeypatch.setenv("PIXSIM_LOG_INGESTION_URL", f"{recorder.url}/here")
    monkeypatch.setenv("PIXSIM_LOG_INGESTION_COMPRESSION", "gzip")
    exporter = PixsimLogExporter()
    exporter.send([record()])
    exporter.shutdown()
    (request,) = recorder.requests

    assert ("/here", "gzip") == (request.path, request.headers["content-encoding"])
    assert "pxc_1" == request.headers["x-api-key"]


def test_no_url(monkeypatch):
    """
    Without a URL there is no exporter.
    """
    monkeypatch.delenv("PIXSIM_LOG_INGESTION_URL", raising=False)
    with pytest.raises(ValueError, match="http://"):
        PixsimLogExporter()


STRANGE = Delivered(0, "the answer is not that of a log receiver")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(
            Answer(200, b'{"count":1,"rejected":1,"errors":[{"index":0,"reason":"big"}]}'),
            Delivered(1, "big"),
            id="one rejected",
        ),
        pytest.param(Answer(200, b'{"count":1,"message":"x"}'), Delivered(1), id="older backend"),
        pytest.param(Answer(200, b'{"count":9}'), Delivered(0), id="more than were sent"),
        pytest.param(Answer(200, b'{"count":null}'), Delivered(), id="no count"),
        pytest.param(Answer(200, b"OK"), STRANGE, id="no JSON"),
        pytest.param(Answer(200, b"[]"), STRANGE, id="no object"),
        pytest.param(Answer(200, b"\xff"), STRANGE, id="no text"),
        pytest.param(Answer(503, b"", {"Retry-After": "1"}), Retry("HTTP 503", 1.0), id="busy"),
        pytest.param(Answer(422, b"why"), Refused("HTTP 422: why"), id="refused"),
        pytest.param(Answer(413), TooLarge("HTTP 413"), id="too large"),
    ],
)
def test_outcomes(exporter, recorder, answer, expected):
    """
    What was stored and what was not is taken from the answer, of newer and older receivers.
    """
    recorder.answers.append(answer)

    assert expected == exporter.send([record(), record()])
