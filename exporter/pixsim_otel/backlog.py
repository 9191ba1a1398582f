"""
The records that wait to be sent, bounded in number and size.

Log calls add under a lock that is held for a moment; the worker takes without it. So each
count is written by one side only, and what waits is the difference: a log call that a signal
handler interrupted can't keep the worker from sending what the handler waits for.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from . import drops

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .limits import QueueLimits
    from .record import Record


class Backlog:
    """Records between log calls and one worker; those that are being sent are among them."""

    def __init__(self, limits: QueueLimits, dropped: drops.Drops) -> None:
        self.closed = False
        self.added = 0  # records so far
        self.finished = 0  # of those: sent or dropped
        self._limits = limits
        self._drops = dropped
        self._lock = threading.RLock()  # a log call may be interrupted by another one
        self._records: deque[Record] = deque()
        self._added_bytes = self._taken_bytes = self._finished_bytes = 0

    def __len__(self) -> int:
        """Give how many are neither sent nor being sent."""
        return len(self._records)

    def add(self, record: Record) -> None:
        """Append *record*, or count why it was dropped."""
        limits = self._limits
        with self._lock:
            if self.closed:
                self._drops.count(drops.SHUT_DOWN)
            elif (
                self.added - self.finished >= limits.queue_records
                or self._added_bytes - self._finished_bytes + record.size > limits.queue_bytes
            ):
                self._drops.count(drops.QUEUE_FULL)
            else:
                if record.cut:
                    self._drops.count(drops.CUT_VALUES, record.cut)
                self._records.append(record)
                self.added += 1
                self._added_bytes += record.size

    def count_broken(self, error: Exception) -> None:
        """Count a record that could not be made, as `add` counts others."""
        with self._lock:
            self._drops.count(drops.BROKEN, 1, type(error).__name__)

    def close(self) -> None:
        """Take no more."""
        with self._lock:
            self.closed = True

    def has_batch(self) -> bool:
        """Tell whether a batch would be full."""
        return (
            len(self._records) >= self._limits.batch_records
            or self._added_bytes - self._taken_bytes >= self._limits.batch_bytes
        )

    def take(self) -> list[Record]:
        """Take the next batch; for the worker only, as is what follows."""
        batch: list[Record] = []
        size = 0
        while self._records and len(batch) < self._limits.batch_records:
            size += self._records[0].size
            if batch and size > self._limits.batch_bytes:
                break
            batch.append(self._records.popleft())
            self._taken_bytes += batch[-1].size
        return batch

    def finish(self, batch: Sequence[Record], *, without: int = 0) -> None:
        """Count *batch* as finished, *without* some of it, which will never be."""
        self.finished += len(batch) - without
        self._finished_bytes += sum(record.size for record in batch)
