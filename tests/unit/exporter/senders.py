"""Stand-ins for what a queue sends to."""

from __future__ import annotations

import threading

from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from pixsim_otel.transport import Delivered

LONG = 10.0  # seconds that no test takes, unless it fails


class ListSender:
    """
    Keeps batches; answers with *outcomes* in turn, then that it took them.

    An outcome may be an exception, or a function of the batch that gives one.
    """

    def __init__(self, *outcomes):
        self.batches = []
        self.tried = threading.Semaphore(0)  # released by each try
        self.closed = 0
        self._outcomes = list(outcomes)

    def send(self, records):
        outcome = self._outcomes.pop(0) if self._outcomes else Delivered()
        try:
            if callable(outcome):
                outcome = outcome(records)
            if isinstance(outcome, Exception):
                raise outcome
            if isinstance(outcome, Delivered):
                self.batches.append(list(records))
        finally:
            self.tried.release()
        return outcome

    def close(self):
        self.closed += 1

    @property
    def bodies(self):
        return [record.body for batch in self.batches for record in batch]


class Gate:
    """An outcome that is there only when the gate is opened."""

    def __init__(self, outcome=None):
        self.reached = threading.Event()
        self.opened = threading.Event()
        self._outcome = outcome or Delivered()

    def __call__(self, _records):
        self.reached.set()
        assert self.opened.wait(LONG)
        return self._outcome


class Exporter(LogRecordExporter):
    """An exporter that knows nothing of ours; fails so many times."""

    def __init__(self, failures=0, error=None):
        self.exported = []
        self.shutdowns = 0
        self._failures = failures
        self._error = error

    def export(self, batch):
        if self._failures:
            self._failures -= 1
            if self._error:
                raise self._error
            return LogRecordExportResult.FAILURE
        self.exported += batch
        return LogRecordExportResult.SUCCESS

    def shutdown(self):
        self.shutdowns += 1

    def force_flush(self, timeout_millis=30_000):
        return True
