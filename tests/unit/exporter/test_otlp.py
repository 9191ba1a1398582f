"""The OTLP exporter: where its settings come from, and what its receiver's answers become."""

from __future__ import annotations

import os

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.sdk._logs.export import LogRecordExportResult
from pixsim_otel.otlp import OTLPLogExporter
from pixsim_otel.record import to_sdk
from pixsim_otel.transport import Delivered, Refused, Retry, TooLarge

from tests.unit.exporter.recorder import Answer, recording
from tests.unit.exporter.records import record

LOGS, ALL = "OTEL_EXPORTER_OTLP_LOGS_", "OTEL_EXPORTER_OTLP_"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    for name in list(os.environ):
        if name.startswith(ALL) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(name="recorder")
def _recorder():
    with recording() as recorder:
        yield recorder


@pytest.fixture(name="make")
def _make():
    """A function that makes exporters, which close with the test."""
    made = []

    def make(*arguments, **options):
        made.append(OTLPLogExporter(*arguments, **options))
        return made[-1]

    yield make
    for exporter in made:
        exporter.shutdown()


@pytest.mark.parametrize(
    ("variables", "argument", "expected"),
    [
        pytest.param({}, None, "http://localhost:4318/v1/logs", id="default"),
        pytest.param({ALL: "http://a"}, None, "http://a/v1/logs", id="path is appended"),
        pytest.param({ALL: "http://a/b/"}, None, "http://a/b/v1/logs", id="below a path"),
        pytest.param({LOGS: "http://a/b"}, None, "http://a/b", id="for logs: taken as it is"),
        pytest.param({LOGS: "http://l/x", ALL: "http://a"}, None, "http://l/x", id="logs first"),
        pytest.param({LOGS: "", ALL: "http://a"}, None, "http://a/v1/logs", id="empty is unset"),
        pytest.param({LOGS: "http://l"}, "http://arg/x", "http://arg/x", id="argument first"),
    ],
)
def test_endpoint(make, monkeypatch, variables, argument, expected):
    """
    The endpoint for logs is a whole URL; that for all signals gets the path of logs.
    """
    for prefix, value in variables.items():
        monkeypatch.setenv(f"{prefix}ENDPOINT", value)

    assert expected == make(argument)._session._url


@pytest.mark.parametrize(
    ("variables", "argument", "expected"),
    [
        ({}, None, 10.0),
        ({ALL: "3"}, None, 3.0),
        ({LOGS: "0.5", ALL: "3"}, None, 0.5),
        ({LOGS: "soon"}, None, 10.0),
        ({LOGS: "-1"}, None, 10.0),
        ({LOGS: "nan"}, None, 10.0),
        ({LOGS: "4"}, 2.0, 2.0),
    ],
)
def test_timeout(make, monkeypatch, variables, argument, expected, caplog):
    """
    The timeout is in seconds; one that is none is said, and the default taken.
    """
    for prefix, value in variables.items():
        monkeypatch.setenv(f"{prefix}TIMEOUT", value)

    assert expected == make(timeout=argument).timeout
    assert (expected == 10.0 and variables != {}) == ("is no timeout" in caplog.text)


@pytest.mark.parametrize(
    ("variables", "argument", "expected"),
    [
        ({}, None, True),
        ({ALL: "none"}, None, False),
        ({ALL: "gzip"}, None, True),
        ({LOGS: "none", ALL: "gzip"}, None, False),
        ({ALL: "None"}, None, False),
        ({ALL: "brotli"}, None, True),
        ({ALL: "gzip"}, "none", False),
    ],
)
def test_compression(make, recorder, monkeypatch, variables, argument, expected, caplog):
    """
    Bodies are compressed unless it is switched off; another way than gzip's is said.
    """
    for prefix, value in variables.items():
        monkeypatch.setenv(f"{prefix}COMPRESSION", value)
    make(recorder.url, compression=argument).send([record()])

    assert expected == ("content-encoding" in recorder.requests[0].headers)
    assert ("brotli" in variables.values()) == ("brotli" in caplog.text)


def test_headers(make, recorder, monkeypatch):
    """
    Headers for logs stand instead of those for all signals; an argument's are added.
    """
    monkeypatch.setenv(f"{ALL}HEADERS", "x-all=1")
    monkeypatch.setenv(f"{LOGS}HEADERS", "Authorization=Bearer%20a=b, x-tenant=one ,x-more=y")
    make(recorder.url, headers={"X-Tenant": "two"}).send([record()])
    headers = recorder.requests[0].headers

    assert "x-all" not in headers
    assert ("Bearer a=b", "two", "y") == (
        headers["authorization"],
        headers["x-tenant"],
        headers["x-more"],
    )


def test_files_of_tls(make, monkeypatch):
    """
    Each file is named for logs, or for all signals, or by an argument.
    """
    monkeypatch.setenv(f"{ALL}CERTIFICATE", "/all.pem")
    monkeypatch.setenv(f"{LOGS}CERTIFICATE", "/logs.pem")
    monkeypatch.setenv(f"{ALL}CLIENT_CERTIFICATE", "/client.pem")
    tls = make(client_key_file="/key.pem")._session._tls

    assert ("/logs.pem", "/client.pem", "/key.pem") == (
        tls.certificate,
        tls.client_certificate,
        tls.client_key,
    )


def test_one_request(make, recorder):
    """
    A batch is one protobuf request, as the specification has it.
    """
    outcome = make(f"{recorder.url}/v1/logs").send([record(body="a"), record(body="b")])
    (request,) = recorder.requests
    message = ExportLogsServiceRequest.FromString(request.body)

    assert Delivered() == outcome
    assert ("/v1/logs", "application/x-protobuf") == (
        request.path,
        request.headers["content-type"],
    )
    assert ["a", "b"] == [
        each.body.string_value for each in message.resource_logs[0].scope_logs[0].log_records
    ]


PARTIAL = ExportLogsServiceResponse(
    partial_success=ExportLogsPartialSuccess(rejected_log_records=1, error_message="too old")
).SerializeToString()
STATUS = Status(code=3, message="resourceLogs[0]: bad").SerializeToString()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(Answer(200, PARTIAL), Delivered(1, "too old"), id="partial success"),
        pytest.param(
            Answer(200, b"<html>"), Delivered(0, "the answer is no OTLP message"), id="garbage"
        ),
        pytest.param(Answer(400, STATUS), Refused("HTTP 400: resourceLogs[0]: bad"), id="status"),
        pytest.param(
            Answer(503, b"busy", {"Retry-After": "2"}), Retry("HTTP 503: busy", 2.0), id="busy"
        ),
        pytest.param(Answer(413), TooLarge("HTTP 413"), id="too large"),
    ],
)
def test_outcomes(make, recorder, answer, expected):
    """
    Records that were rejected, and the words of a failure, are taken from the answer.
    """
    recorder.answers.append(answer)

    assert expected == make(recorder.url).send([record(), record()])


def test_export(make, recorder):
    """
    The SDK's processors export through it; what the receiver puts off is sent again.
    """
    recorder.answers.append(Answer(503))
    result = make(recorder.url).export([to_sdk(record(body="a"))])
    bodies = [request.body for request in recorder.requests]

    assert LogRecordExportResult.SUCCESS is result
    assert 2 == len(bodies)
    assert bodies[0] == bodies[1]
