"""A collector that forwards to another one, and to files, over real sockets and databases."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import socket
import subprocess

import asyncpg
import pytest
import requests

from storage.records import COLUMNS
from tests import postgres
from tests.e2e.conftest import Collector, configuration, starting
from tests.ports import free_port
from tests.unit.collector.otlp_messages import log_record, request
from tests.waiting import until

FORWARDERS = """
  otlphttp/other:
    endpoint: {url}
    start_at: beginning
    batch: {{max_records: 100, timeout: 0.1}}
    max_request_body_size: 20000
    encoding: {encoding}
  file/archive: {{folder: {folder}, start_at: beginning}}
"""
OTELCOL = """
receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}
exporters:
  otlp_http: {{endpoint: "{url}"}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    logs: {{receivers: [otlp], exporters: [otlp_http]}}
"""
NATIVE = [
    {
        "level": "error",
        "service": "worker",
        "env": "prod",
        "instance_id": "w-1",
        "event": f"job {number} failed",
        "error": "timed out",
        "error_type": "TimeoutError",
        "job_id": number,
        "duration_ms": number / 2,
        "request_id": f"r-{number}",
        "trace_id": f"{number + 1:032x}",
        "span_id": f"{number + 1:016x}",
        "timestamp": "2025-11-13T12:00:00.123456789Z",
        "tags": ["a", {"b": None}],
    }
    for number in range(50)
]


def otlp(number):
    """Make a request with what records may have, and lack."""
    kinds = {
        "text": "x",
        "empty": "",
        "none": None,
        "flag": number % 2 == 0,
        "integer": 2**63 - 1 - number,
        "double": number / 3,
        "large": 1e22,
        "nan": float("nan"),
        "bytes": b"\x00\xff",
        "list": [1, "1", None, {"a": [b""]}],
        "map": {"$bytes": "aGk="},
        "job_id": number,
        "duration_ms": 0.5,
        "user_id": str(number),
        "service.name": "of the record",
    }
    return request(
        log_record(kinds, time_unix_nano=10**18 + number, severity_number=9),
        log_record({"n": number}, observed_time_unix_nano=10**18, severity_text="Warning"),
        log_record({"exception.message": "boom"}, flags=257, dropped_attributes_count=3),
        log_record(
            {"stage": "s"},
            time_unix_nano=10**18 + 1,
            observed_time_unix_nano=10**18 + 2,
            severity_number=10,
            severity_text="notice",
            event_name="e",
            trace_id=bytes(range(16)),
            span_id=bytes(range(1, 9)),
        ),
        resource={"service.name": "api", "instance": number % 3} if number % 4 else None,
        scope={"z": 1.5} if number % 3 else None,
        schema_url="https://example.com/1",
        scope_schema_url="https://example.com/2" if number % 2 else "",
    )


async def rows(dsn):
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(f"SELECT {', '.join(COLUMNS)} FROM log_entries")
    finally:
        await connection.close()


def stored(dsn):
    """Give the rows of a table, those of OTLP and the others, without what is its own."""
    by_otlp, native = [], []
    for row in asyncio.run(rows(dsn)):
        found = {name: row[name] for name in COLUMNS if name != "id"}
        found["extra"] = json.loads(found["extra"] or "{}")
        found["otlp"] = json.loads(found["otlp"] or "{}")
        # The next collector is told when the first one saw a record.
        found["otlp"].pop("no_observed", None)
        (native if row["msg"] and row["msg"].startswith("job") else by_otlp).append(found)
    return sorted(by_otlp, key=str), native


@pytest.fixture(name="second")
def _second(server, tmp_path):
    """The database of another collector, which runs."""
    (folder := tmp_path / "second").mkdir()
    with postgres.clone(server) as database, starting(database, folder) as start:
        yield database, start()


@contextlib.contextmanager
def opentelemetry_collector(url, folder):
    """A Collector of OpenTelemetry's that passes on to *url* what it is sent; gives its URL."""
    if (program := os.environ.get("PIXSIM_TEST_OTELCOL")) is None:
        pytest.skip(reason="PIXSIM_TEST_OTELCOL names no Collector with OTLP")
    port, config = free_port(), folder / "otelcol.yaml"
    config.write_text(OTELCOL.format(port=port, url=url))
    with subprocess.Popen([program, "--config", config], stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: listening(port))
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize(
    ("between", "encoding"), [("nothing", "proto"), ("otelcol", "proto"), ("otelcol", "json")]
)
def test_all_that_one_has_the_other_gets(database, second, tmp_path, between, encoding):
    """
    What came by OTLP is in the table of the collector that it is forwarded to as in that of the
    first, column by column; what came otherwise has the same values in the same columns. Files
    have the records that an export has. A Collector of OpenTelemetry's in between changes nothing.
    """
    other, receiver = second
    if between == "nothing":
        forwarded(database, other, receiver.otlp, encoding, tmp_path)
    else:
        with opentelemetry_collector(receiver.otlp, tmp_path) as url:
            forwarded(database, other, url, encoding, tmp_path)


def forwarded(database, other, url, encoding, tmp_path):
    folder = tmp_path / "archive"
    config = tmp_path / "config.yaml"
    text = configuration(f'dsn: "{database}"')
    forwarders = FORWARDERS.format(url=url, encoding=encoding, folder=folder)
    config.write_text(text.replace("extensions:", forwarders.strip("\n") + "\nextensions:"))
    sender = Collector(config)
    try:
        for number in range(40):
            body = otlp(number).SerializeToString()
            headers = {"Content-Type": "application/x-protobuf"}
            answer = requests.post(f"{sender.otlp}/v1/logs", body, headers=headers, timeout=10)
            assert 200 == answer.status_code
        answer = requests.post(
            f"{sender.native}/api/v1/logs/ingest/batch", json={"logs": NATIVE}, timeout=10
        )
        assert 50 == answer.json()["count"]
        until(lambda: 210 == len(asyncio.run(rows(other))))
        exported = requests.get(f"{sender.native}/api/v1/logs/export", timeout=10).text
        until(
            lambda: folder.is_dir() and 210 == sum(len(written(each)) for each in folder.iterdir())
        )
    finally:
        assert 0 == sender.stop(), sender.output

    (by_otlp, native), (others_by_otlp, others_native) = stored(database), stored(other)
    assert by_otlp == others_by_otlp
    by_job = {row["job_id"]: row for row in others_native}
    for row in native:
        others = by_job.pop(row["job_id"])
        for name in ("resource_id", "promoted", "observed_timestamp", "observed_timestamp_ns"):
            del row[name], others[name]
        assert row.pop("extra").items() <= others.pop("extra").items()
        assert row == others
    assert not by_job
    (path,) = folder.iterdir()
    expected = [json.loads(line) for line in exported.splitlines()]
    del expected[-1]["_complete"]
    assert ".jsonl.gz" == "".join(path.suffixes[-2:])
    assert {each["id"]: each for each in expected} == {each["id"]: each for each in written(path)}


def written(path):
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in data.splitlines() if line.endswith(b"}")]
