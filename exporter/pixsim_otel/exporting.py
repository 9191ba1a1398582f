"""
Our senders as the SDK's exporters, for its own processors and its auto-configuration.

Our queue calls `send` and decides what follows from the outcome; the SDK's processors call
`export`, know only success and failure, and drop what failed. So `export` itself retries,
as long as it may take.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from abc import abstractmethod
from typing import TYPE_CHECKING

from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult

from .record import from_sdk
from .transport import Delivered, Outcome, Retry, TooLarge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord

    from .record import Record

DEFAULT_TIMEOUT = 10.0  # seconds
FIRST_WAIT = 0.5  # seconds, doubled with each further one

_logger = logging.getLogger(__name__)


class SendingExporter(LogRecordExporter):
    """What exports by `send`."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout  # seconds that an export may take, its retries included
        self._stopped = threading.Event()

    @abstractmethod
    def send(self, records: Sequence[Record], /, *, timeout: float | None = None) -> Outcome:
        """Send *records* once, within *timeout* seconds instead of the exporter's."""

    @abstractmethod
    def close(self) -> None:
        """Give up the connections; another `send` would open new ones."""

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Deliver *batch*; what is not delivered is logged with the reason."""
        if self._stopped.is_set():
            return LogRecordExportResult.FAILURE
        deadline = time.monotonic() + self.timeout
        delivered = self._deliver([from_sdk(each) for each in batch], deadline)
        return LogRecordExportResult.SUCCESS if delivered else LogRecordExportResult.FAILURE

    def shutdown(self) -> None:
        """Export nothing more, and end an export that waits to try again."""
        self._stopped.set()
        self.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002
        """Do nothing: no record waits here."""
        return True

    def _deliver(self, records: Sequence[Record], deadline: float) -> bool:
        wait = FIRST_WAIT
        while True:
            left = deadline - time.monotonic()
            outcome = self.send(records, timeout=max(left, 0.001))
            if isinstance(outcome, Delivered):
                if outcome.reason or outcome.rejected:
                    _say(outcome.rejected, outcome.reason)
                return True
            if isinstance(outcome, TooLarge) and len(records) > 1:
                middle = len(records) // 2
                first = self._deliver(records[:middle], deadline)
                return self._deliver(records[middle:], deadline) and first
            pause = _pause(outcome, wait)
            if pause is None or time.monotonic() + pause > deadline or self._stopped.wait(pause):
                _say(len(records), outcome.reason)
                return False
            wait *= 2


def _pause(outcome: Outcome, wait: float) -> float | None:
    """Give the seconds until another try makes sense; None where none does."""
    if not isinstance(outcome, Retry):
        return None
    jittered = random.uniform(wait / 2, wait)  # noqa: S311  so that services don't come back as one
    return max(jittered, outcome.after or 0.0)


def _say(lost: int, reason: str) -> None:
    _logger.warning("%d log records were not delivered: %s", lost, reason)
