"""
The SDK's LoggerProvider, with a short way to our own queues.

The SDK's way costs a log call several times what ours does, and is only needed when some
other processor is to see the record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from opentelemetry.sdk import _logs as sdk

from .processor import QueueProcessor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.resources import Resource

    from .record import Record


class Direct(Protocol):
    """Where records may be put instead of being emitted."""

    def put(self, record: Record, /) -> None:
        """Take *record*; never raises, never waits."""


class LoggerProvider(sdk.LoggerProvider):
    """
    A provider for whose processors `direct` is enough, unless it is None.

    It ends by `lifecycle`, within a time limit, and not at exit by itself. `resource` becomes
    another one in a forked child, so it is to be read for each record.
    """

    def __init__(self, resource: Resource | None = None) -> None:
        super().__init__(resource, shutdown_on_exit=False)
        self._queues: list[QueueProcessor] = []
        self.direct: Direct | None = _All(())

    def add_log_record_processor(self, log_record_processor: sdk.LogRecordProcessor) -> None:
        """Add a processor; one that isn't ours ends the short way, for it must see everything."""
        super().add_log_record_processor(log_record_processor)
        if not isinstance(log_record_processor, QueueProcessor):
            self.direct = None
            return
        self._queues.append(log_record_processor)
        if self.direct is not None and not self._disabled:
            queues = self._queues
            self.direct = queues[0] if len(queues) == 1 else _All(tuple(queues))

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until all that was logged is sent, or the time is over; our queues work at once."""
        for queue in self._queues:
            queue.hurry()
        return super().force_flush(timeout_millis)

    def shutdown(self, timeout_millis: int = 30_000) -> None:
        """Send what waits within the time, which all of our queues share, and end."""
        for queue in self._queues:
            queue.stop(timeout_millis)
        super().shutdown()


class _All:
    """Several queues, or none, as one."""

    def __init__(self, queues: Sequence[QueueProcessor]) -> None:
        self._queues = queues

    def put(self, record: Record, /) -> None:
        for queue in self._queues:
            queue.put(record)
