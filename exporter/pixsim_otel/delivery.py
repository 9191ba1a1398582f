"""
From a batch to its end: delivered, refused, or kept until one of them.

Our exporters tell what came of a batch, and what may be accepted later is tried again for as
long as the process lives. Exporters of others tell nothing but success and failure; what they
fail to send for two minutes is dropped, for it may be a record in it that they can't send.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._logs.export import LogRecordExporter

from . import drops, settings
from .exporting import SendingExporter
from .record import Record, to_sdk
from .transport import Delivered, Outcome, Refused, Retry, Sender, TooLarge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds between two tries, doubled from one to the next
LONGEST_ASKED_WAIT = 600.0  # seconds, whatever a Retry-After says
PATIENCE = 120.0  # seconds for a failure that has no reason


class Failed(Retry, frozen=True):
    """An unexplained failure: the batch may be accepted later, or never."""


class Delivery:
    """
    Hands batches to one exporter, one at a time.

    *pause* waits so many seconds, and tells whether to go on then: False means to give up,
    because the process ends before.
    """

    def __init__(
        self,
        exporter: Sender | LogRecordExporter,
        dropped: drops.Drops,
        pause: Callable[[float], bool],
        patience: float = PATIENCE,
    ) -> None:
        if isinstance(exporter, LogRecordExporter) and not isinstance(exporter, SendingExporter):
            self._sender: Sender = _Foreign(exporter)
        else:
            self._sender = exporter
        self._drops = dropped
        self._pause = pause
        self._patience = patience
        self._outage = _Outage()

    def deliver(self, records: Sequence[Record]) -> int:
        """Send *records*, and give how many of them, from the end, were given up."""
        waiting = [records]
        while waiting:
            batch = waiting.pop()
            outcome = self._outcome(batch)
            if outcome is None:
                return len(batch) + sum(map(len, waiting))
            if isinstance(outcome, TooLarge) and len(batch) > 1:
                middle = len(batch) // 2
                waiting += (batch[middle:], batch[:middle])
            else:
                self._count(outcome, len(batch))
        return 0

    def close(self) -> None:
        """Give up the exporter's connections."""
        try:
            self._sender.close()
        except Exception as error:  # noqa: BLE001  of an exporter that may be anybody's
            drops.say(f"closing the exporter failed: {type(error).__name__}: {error}")

    def _outcome(self, batch: Sequence[Record]) -> Outcome | None:
        """Send *batch* until its outcome is known; None when giving up."""
        began = time.monotonic()
        wait = FIRST_WAIT
        while isinstance(outcome := self._send(batch), Retry):
            self._outage.goes_on(outcome.reason)
            if isinstance(outcome, Failed) and time.monotonic() - began >= self._patience:
                return outcome
            if not self._pause(_seconds(wait, outcome.after)):
                return None
            wait *= 2
        self._outage.ends()
        return outcome

    def _send(self, batch: Sequence[Record]) -> Outcome:
        try:
            return self._sender.send(batch)
        except Exception as error:  # noqa: BLE001  an exporter may be anybody's
            return Failed(f"{type(error).__name__}: {error}")

    def _count(self, outcome: Outcome, number: int) -> None:
        if isinstance(outcome, Delivered):
            if outcome.rejected:
                self._drops.count(drops.REJECTED, outcome.rejected, outcome.reason)
            elif outcome.reason:
                settings.say(f"the receiver says: {outcome.reason}")
        elif isinstance(outcome, TooLarge):
            self._drops.count(drops.TOO_LARGE, number, outcome.reason)
        elif isinstance(outcome, Refused):
            self._drops.count(drops.REFUSED, number, outcome.reason)
        else:
            self._drops.count(drops.FAILED, number, outcome.reason)


class _Foreign:
    """An exporter of the SDK's interface as a `Sender`."""

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter

    def send(self, records: Sequence[Record], /) -> Outcome:
        result = self._exporter.export([to_sdk(record) for record in records])
        if result.name == "SUCCESS":  # of an enumeration that has had two names
            return Delivered()
        return Failed(f"{type(self._exporter).__name__} failed")

    def close(self) -> None:
        self._exporter.shutdown()


class _Outage:
    """Says when sending begins to fail, at most once a minute, and when it works again."""

    def __init__(self) -> None:
        self._said_at = -drops.INTERVAL
        self._since: float | None = None
        self._said = False

    def goes_on(self, reason: str) -> None:
        if self._since is not None:
            return
        self._since = time.monotonic()
        self._said = self._since - self._said_at >= drops.INTERVAL
        if self._said:
            self._said_at = self._since
            drops.say(f"sending logs fails, they wait: {reason}")

    def ends(self) -> None:
        if self._since is not None and self._said:
            drops.say(f"sending logs works again after {time.monotonic() - self._since:.0f} s")
        self._since = None


def _seconds(wait: float, asked: float | None) -> float:
    """Give how long to wait, spread so that many services don't come back at the same moment."""
    spread = random.uniform(1, 1.5)  # noqa: S311
    return max(min(wait * spread, LONGEST_WAIT), min((asked or 0.0) * spread, LONGEST_ASKED_WAIT))
