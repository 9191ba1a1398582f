"""Real clients against a real collector, over real sockets."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

JAVASCRIPT = Path(__file__).with_name("javascript")


def test_curl_in_readme_style(collector):
    """
    One line by hand is acknowledged with its id, and found by job and by request.
    """
    sent = {"level": "INFO", "service": "api", "msg": "hello", "job_id": 123, "request_id": "r-1"}
    answer = requests.post(f"{collector.native}/api/v1/logs/ingest", json=sent, timeout=5)
    by_job = requests.get(f"{collector.native}/api/v1/logs/trace/job/123", timeout=5).json()
    by_request = requests.get(f"{collector.native}/api/v1/logs/trace/request/r-1", timeout=5).json()

    assert answer.json()["success"]
    assert [answer.json()["log_id"]] == [entry["id"] for entry in by_job]
    assert by_job == by_request
    assert by_job[0]["msg"] == "hello"


def test_a_connection_for_each_batch(collector):
    """
    Today's sender, which opens a connection a batch and reads only the status, delivers.
    """
    for n in range(20):
        batch = {"logs": [{"event": f"line {n}", "level": "info", "service": "old"}] * 10}
        answer = requests.post(
            f"{collector.native}/api/v1/logs/ingest/batch", json=batch, timeout=2.0
        )
        assert answer.status_code == 200
    found = requests.get(f"{collector.native}/api/v1/logs/query?service=old", timeout=5).json()

    assert found["total"] == 200


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_c112_python_sdk(collector, compression):
    """
    C112: the Python SDK delivers; the record's attributes, resource and span are found.
    """
    exporter = OTLPLogExporter(f"{collector.otlp}/v1/logs", compression=compression)
    resource = Resource.create({"service.name": "worker", "service.instance.id": "w-1"})
    provider = LoggerProvider(resource=resource)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    logger = provider.get_logger("tests")
    tracer = TracerProvider().get_tracer("tests")
    with tracer.start_as_current_span("job") as span:
        logger.emit(
            body="rendered",
            severity_text="ERROR",
            attributes={"job_id": 77, "stage": "provider:error", "ratio": 0.5, "tags": ["a"]},
        )
    provider.shutdown()
    trace_id = f"{span.get_span_context().trace_id:032x}"
    found = requests.get(f"{collector.native}/api/v1/logs/trace/job/77", timeout=5).json()
    by_trace = requests.get(
        f"{collector.native}/api/v1/logs/trace/trace/{trace_id}", timeout=5
    ).json()

    assert [("worker", "w-1", "rendered", "ERROR", "provider:error", trace_id)] == [
        tuple(e[k] for k in ("service", "instance_id", "msg", "level", "stage", "trace_id"))
        for e in found
    ]
    assert {"ratio": 0.5, "tags": ["a"]} == found[0]["extra"]
    assert found == by_trace


@pytest.mark.skipif(shutil.which("npm") is None, reason="node and npm are not installed")
@pytest.mark.parametrize("encoding", ["http", "proto"])
def test_javascript_sdk(collector, encoding, tmp_path):
    """
    The JavaScript SDK delivers, by JSON and by gzipped protobuf.
    """
    for name in ("package.json", "package-lock.json", "send.mjs"):
        shutil.copy(JAVASCRIPT / name, tmp_path)
    install = ["npm", "ci", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(install, cwd=tmp_path, check=True, timeout=110)
    subprocess.run(
        ["node", "send.mjs", encoding, f"{collector.otlp}/v1/logs", "5"],
        cwd=tmp_path,
        check=True,
        timeout=30,
    )
    found = requests.get(f"{collector.native}/api/v1/logs/trace/job/5", timeout=5).json()

    assert [
        ("browser", "tab-1", "slow", "WARN"),
        ("browser", "tab-1", '{"shown":"dialog"}', "INFO"),
    ] == [tuple(entry[k] for k in ("service", "instance_id", "msg", "level")) for entry in found]
    assert {"ratio": 0.5, "tags": ["a", 1], "nested": {"deep": True}} == found[0]["extra"]
