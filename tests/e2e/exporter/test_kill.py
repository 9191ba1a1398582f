"""No record is lost without being counted, although the collector is killed."""

from __future__ import annotations

import re
import signal
import threading
import time

import psycopg
import pytest
import structlog
from opentelemetry.sdk.resources import Resource
from pixsim_otel import OTelProcessor
from pixsim_otel.limits import QueueLimits
from pixsim_otel.native import PixsimLogExporter
from pixsim_otel.otlp import OTLPLogExporter
from pixsim_otel.processor import QueueProcessor
from pixsim_otel.provider import LoggerProvider

from tests.e2e.conftest import Collector, configuration

LIMITS = QueueLimits(batch_records=100, batch_seconds=0.05, queue_records=2_000)
STORED = """
SELECT count(DISTINCT extra ->> 'n'), count(*) FROM log_entries WHERE service = 'killed'
"""
SAID = re.compile(r"(\d+) log records dropped")


def otlp(collector):
    return OTLPLogExporter(f"{collector.otlp}/v1/logs")


def native(collector):
    return PixsimLogExporter(f"{collector.native}/api/v1/logs/ingest/batch")


class Service:
    """Logs numbered records all the time, until it is stopped."""

    def __init__(self, exporter):
        self.queue = QueueProcessor(exporter, limits=LIMITS)
        self.logged = 0
        self._provider = LoggerProvider(Resource({"service.name": "killed"}))
        self._provider.add_log_record_processor(self.queue)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._log)
        self._thread.start()

    @property
    def dropped(self):
        return sum(self.queue.drops.totals.values())

    def _log(self):
        processors = [OTelProcessor(self._provider), lambda *_: ""]
        log = structlog.wrap_logger(structlog.ReturnLogger(), processors=processors)
        while not self._stop.wait(0.005):
            for _ in range(20):
                log.info("step", n=self.logged)
                self.logged += 1

    def stop(self):
        """Log no more; tell whether all that waited was sent or dropped in time."""
        self._stop.set()
        self._thread.join()
        sent = self._provider.force_flush(60_000)
        self._provider.shutdown()
        return sent


def stored(dsn):
    """How many different records there are, and how many in all."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(STORED).fetchone()


def wait_until(happened):
    """Wait for something that takes a moment, by looking again and again."""
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("exporter", [otlp, native])
def test_the_collector_is_killed(database, tmp_path, capfd, exporter):
    """
    Logged = stored + dropped, after a collector was killed at work and started again; what was
    dropped meanwhile is told, and only the batch under way may be there twice.
    """
    path = tmp_path / "config.yaml"
    path.write_text(configuration(f'dsn: "{database}"'))
    first = Collector(path)
    service = Service(exporter(first))
    wait_until(lambda: stored(database)[0] > 500)
    first.stop(signal.SIGKILL)
    wait_until(lambda: service.dropped > 500)
    second = Collector(path)
    sent = service.stop()
    told = second.query(service="killed", level="WARNING")
    second.stop()
    different, every = stored(database)

    assert sent
    assert service.logged == different + service.dropped
    assert every - len(told) - different <= LIMITS.batch_records
    assert 0 < told[0]["extra"]["queue_full"] <= service.dropped
    assert service.dropped == sum(map(int, SAID.findall(capfd.readouterr().err)))
