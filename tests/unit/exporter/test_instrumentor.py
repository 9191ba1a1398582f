"""Logging without a line of code of ours."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import msgspec
import pytest
import structlog
from pixsim_otel import instrumentor, stdlib
from pixsim_otel.instrumentor import PixsimInstrumentor

from tests.unit.exporter.recorder import Answer, Recorder

COMMAND = Path(sys.executable).with_name("opentelemetry-instrument")
SERVICE = """
import logging, structlog
structlog.get_logger().info("first", password="x", job_id=5)
logging.getLogger("library").warning("second")
"""


@pytest.fixture
def receiver():
    made = Recorder()
    made.answers.extend([Answer(body=b'{"success": true}')] * 9)
    yield made
    made.close()


def test_service_without_code(receiver):
    """A service that knows nothing of us exports what structlog and logging have."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    done = subprocess.run(
        [COMMAND, sys.executable, "-c", SERVICE],
        env={
            **environ,
            "PIXSIM_SERVICE_NAME": "auto",
            "PIXSIM_LOG_INGESTION_URL": f"{receiver.url}/api/v1/logs/ingest/batch",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    entries = [
        entry
        for request in receiver.requests
        for entry in msgspec.json.decode(request.body)["logs"]
    ]

    assert done.returncode == 0, done.stderr
    assert ["logger_initialized", "first", "second"] == [entry["event"] for entry in entries]
    assert ("auto", 5, "***redacted***") == (
        entries[1]["service"],
        entries[1]["job_id"],
        entries[1]["password"],
    )
    assert "second" in [json.loads(line)["event"] for line in done.stderr.splitlines()]


def test_instrument(monkeypatch):
    """Instrumenting configures all there is; the reverse leaves nothing of it."""
    done = []
    monkeypatch.setattr(instrumentor, "configure_logging", lambda: done.append("structlog"))
    monkeypatch.setattr(
        instrumentor,
        "configure_stdlib_root_logger",
        lambda: logging.getLogger().addHandler(stdlib.OTelHandler([])),
    )
    before = list(logging.getLogger().handlers)
    made = PixsimInstrumentor()

    made.instrument()
    made.uninstrument()

    assert ["structlog"] == done
    assert before == logging.getLogger().handlers
    assert not structlog.is_configured()


def test_entry_point():
    """The instrumentor is installed under our name."""
    (found,) = metadata.entry_points(group="opentelemetry_instrumentor", name="pixsim_otel")

    assert found.load() is PixsimInstrumentor
