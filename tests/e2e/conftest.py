"""A collector as its users run it: the installed command, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests import postgres
from tests.ports import free_port

COMMAND = Path(sys.executable).with_name("pixsim-collector")
START_TIMEOUT = 60  # seconds

CONFIG = """
receivers:
  pixsim: {{endpoint: "127.0.0.1:{native}"}}
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{otlp}"}}}}}}
exporters:
  postgres: {{{postgres}}}
{exporters}
extensions:
  api: {{endpoint: "127.0.0.1:{native}"}}
service: {{{service}}}
"""


def configuration(postgres, service="", exporters=""):
    """A config.yaml with these settings of the store and the service, and ports that are free."""
    return CONFIG.format(
        native=free_port(),
        otlp=free_port(),
        postgres=postgres,
        service=service,
        exporters=exporters,
    )


class Collector:
    """A running collector; ``native`` and ``otlp`` are its URLs."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [COMMAND, "serve", "--config", config],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=config.parent,  # where its spool is
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._listening.wait(START_TIMEOUT), self.output
        found = next((line for line in self.lines if "listening" in line), self.output)
        urls = re.findall(r"http://[\d.:]+", found)
        assert len(urls) >= 2, self.output
        self.native, self.otlp = urls[0], urls[1]

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)
            if "listening" in line:
                self._listening.set()
        self._listening.set()

    @property
    def output(self):
        return "".join(self.lines)

    def query(self, **parameters):
        response = requests.get(f"{self.native}/api/v1/logs/query", params=parameters, timeout=10)
        response.raise_for_status()
        return response.json()["logs"]

    def counters(self):
        """All counters, by their names and labels."""
        text = requests.get(f"{self.native}/metrics", timeout=10).text
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def stop(self, how=signal.SIGTERM):
        """Send a signal, and give the exit code."""
        self.process.send_signal(how)
        code = self.process.wait(30)
        self._reader.join(5)
        self.process.stdout.close()
        return code


@contextlib.contextmanager
def starting(database, folder):
    """A function that starts a collector on *database*; none of them outlives the block."""
    config = folder / "config.yaml"
    started = []

    def start(postgres=f'dsn: "{database}"', service="", exporters=""):
        config.write_text(configuration(postgres, service, exporters))
        started.append(Collector(config))
        return started[-1]

    yield start
    for collector in started:
        if collector.process.poll() is None:
            collector.stop(signal.SIGKILL)


@pytest.fixture(name="start")
def _start(database, tmp_path):
    """A function that starts a collector on the test's database."""
    with starting(database, tmp_path) as start:
        yield start


@pytest.fixture(name="collector")
def _collector(start):
    """A running collector."""
    return start()


@pytest.fixture(name="shared", scope="module")
def _shared(server, tmp_path_factory):
    """A running collector that all tests of a module send to."""
    with (
        postgres.clone(server) as database,
        starting(database, tmp_path_factory.mktemp("shared")) as start,
    ):
        yield start()


@pytest.fixture(name="still_well")
def _still_well(shared):
    """Whatever was sent, the collector is healthy, holds nothing, and has met no bug of its own."""
    yield
    health = requests.get(f"{shared.native}/health", timeout=5).json()
    metrics = requests.get(f"{shared.native}/metrics", timeout=10).text

    assert health["status"] == "healthy"
    assert "pixsim_in_flight_bytes 0.0" in metrics.splitlines()
    assert "request_failed" not in shared.output
    assert "Traceback" not in shared.output
