"""Every way of ours to send records, against the collector as its users run it."""

from __future__ import annotations

import contextlib
import uuid

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from pixsim_otel.native import PixsimLogExporter
from pixsim_otel.otlp import OTLPLogExporter
from pixsim_otel.postgres import PostgresLogExporter
from pixsim_otel.transport import Delivered, Retry

from tests.e2e.conftest import Collector, configuration, starting
from tests.unit.exporter.records import record


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    for name in ("ENDPOINT", "HEADERS", "TIMEOUT", "COMPRESSION"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}", raising=False)
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_LOGS_{name}", raising=False)


def otlp(collector, compression=None):
    return OTLPLogExporter(f"{collector.otlp}/v1/logs", compression=compression)


def native(collector, compression=None):
    url = f"{collector.native}/api/v1/logs/ingest/batch"
    return PixsimLogExporter(url, compression=compression)


def sent(exporter, *records):
    with contextlib.closing(exporter):
        return exporter.send(records)


def a_service():
    """A resource that no other test finds the records of."""
    name = f"service-{uuid.uuid4().hex[:8]}"
    return name, Resource({"service.name": name, "deployment.environment.name": "prod"})


def told(entries, *names):
    """The values of these names, in the order in which the records were sent."""
    return [tuple(entry[name] for name in names) for entry in reversed(entries)]


ATTRIBUTES = {
    "event": "pipeline:start",
    "job_id": 77,
    "stage": "provider:submit",
    "duration_ms": 12.5,
    "path": "/a?b",
    "tags": ["a", 1, None],
    "nested": {"deep": {"er": True}},
}


@pytest.mark.parametrize("compression", ["gzip", "none"])
@pytest.mark.parametrize("make", [otlp, native])
def test_delivered_and_found(shared, make, compression):
    """
    What is sent is found, in its order and with all that it said, compressed or not.
    """
    name, resource = a_service()
    fields = {"resource": resource, "trace_id": 0xABC, "span_id": 0xD}
    first = record(severity_text="ERROR", body="it began", attributes=ATTRIBUTES, **fields)
    outcome = sent(make(shared, compression), first, record(body="and went on", **fields))
    found = shared.query(service=name)

    assert Delivered() == outcome
    assert [
        ("it began", "prod", f"{0xABC:032x}"),
        ("and went on", "prod", f"{0xABC:032x}"),
    ] == told(found, "msg", "env", "trace_id")
    assert (77, "provider:submit", 12.5) == tuple(
        found[1][column] for column in ("job_id", "stage", "duration_ms")
    )
    assert "error" == found[1]["level"].lower()
    for key in ("event", "path", "tags", "nested"):
        assert ATTRIBUTES[key] == found[1]["extra"][key]


@pytest.mark.parametrize("make", [otlp, native])
def test_oversized_record(shared, make):
    """
    A record that the collector finds too large is told, and costs only itself.
    """
    name, resource = a_service()
    bodies = ["a", "x" * 1_100_000, "b"]
    outcome = sent(make(shared), *(record(body=body, resource=resource) for body in bodies))

    assert outcome.rejected == 1
    assert "bytes" in outcome.reason
    assert [("a",), ("b",)] == told(shared.query(service=name), "msg")


@pytest.mark.parametrize("make", [otlp, native])
def test_strange_values(shared, make, still_well):
    """
    No value of a record costs it, or those beside it.
    """
    name, resource = a_service()
    values = [float("nan"), float("-inf"), "nul \0", b"\xff", 2**63 - 1, "", {"$map": 1}, [[]]]
    records = [record(resource=resource, attributes={"n": n, "v": v}) for n, v in enumerate(values)]
    outcome = sent(make(shared), *records, record(resource=resource, body={"a": [None]}))

    assert outcome.rejected == 0
    assert len(values) + 1 == len(shared.query(service=name))


def test_a_table_s_rows_are_the_receiver_s(database, tmp_path):
    """
    A row that a service writes itself is to a reader the one that its collector writes.
    """
    name, resource = a_service()
    error = {"exception.type": "KeyError", "exception.message": "'a'"}
    records = [
        record(resource=resource, attributes=ATTRIBUTES, trace_id=0xABC),
        record(resource=resource, severity_text="WARNING", attributes=error, body=None),
        record(resource=resource, attributes={"job_id": "ingestion-55", "ratio": 1e-9}),
    ]
    with starting(database, tmp_path) as start:
        collector = start()
        by_receiver = sent(native(collector), *records)
        entries = collector.query(service=name)
        by_hand = sent(PostgresLogExporter(database), *records)
        both = collector.query(service=name)
    ids = {entry["id"] for entry in entries}
    written = [entry for entry in both if entry["id"] not in ids]

    assert [Delivered(), Delivered()] == [by_receiver, by_hand]
    assert [entry | {"id": None} for entry in entries] == [
        entry | {"id": None} for entry in written
    ]


def test_the_collector_restarts(database, tmp_path):
    """
    While no collector runs a batch waits; sent again to the next one it is stored once.
    """
    name, resource = a_service()
    path = tmp_path / "config.yaml"
    path.write_text(configuration(f'dsn: "{database}"'))
    first = Collector(path)
    with contextlib.closing(otlp(first)) as exporter:
        outcomes = [exporter.send([record(body="before", resource=resource)])]
        first.stop()
        outcomes.append(exporter.send([record(body="after", resource=resource)]))
        second = Collector(path)
        outcomes.append(exporter.send([record(body="after", resource=resource)]))
    found = second.query(service=name)
    second.stop()

    assert [Delivered, Retry, Delivered] == [type(outcome) for outcome in outcomes]
    assert ["after", "before"] == sorted(entry["msg"] for entry in found)


@pytest.mark.parametrize("make", [otlp, native])
def test_the_sdk_s_own_processor(shared, make):
    """
    The SDK's processor exports through ours as through its own.
    """
    name, resource = a_service()
    provider = LoggerProvider(resource=resource)
    provider.add_log_record_processor(BatchLogRecordProcessor(make(shared)))
    provider.get_logger("tests").emit(
        body="rendered", severity_text="ERROR", attributes={"job_id": 5, "ids": (1, 2)}
    )
    provider.shutdown()

    assert [("rendered", 5)] == told(shared.query(service=name), "msg", "job_id")
