"""
The queue between log calls and an exporter, and the thread that empties it.

A log call puts a record in and goes on: it never waits for more than a moment's lock, and
never sees an error. A signal handler may flush and shut down whatever it interrupted, which is
why threads wake each other by `SimpleQueue` here, the one queue that promises to work there.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from opentelemetry.context import (
    _SUPPRESS_INSTRUMENTATION_KEY,
    attach,
    detach,
    get_current,
    get_value,
    set_value,
)
from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.trace import get_current_span

from . import drops
from .backlog import Backlog
from .delivery import Delivery
from .limits import QUEUE, VALUES, QueueLimits, ValueLimits
from .record import from_sdk
from .values import settle

if TYPE_CHECKING:
    from opentelemetry.sdk._logs.export import LogRecordExporter

    from .correlation import Correlation
    from .record import Record
    from .redaction import Redaction
    from .transport import Sender


class QueueProcessor(LogRecordProcessor):
    """
    Sends records in batches, from a thread that the first record starts.

    What is logged while instrumentation is suppressed is ignored: by this thread, which does
    so for good, and by other exporters. It would be sent with a batch, and cause the next.
    After a fork the child begins with an empty queue; what waited is sent by its parent.
    """

    def __init__(
        self,
        exporter: Sender | LogRecordExporter,
        *,
        limits: QueueLimits = QUEUE,
        value_limits: ValueLimits = VALUES,
        correlation: Correlation | None = None,
        redaction: Redaction | None = None,
    ) -> None:
        self.drops = drops.Drops()
        self._delivery = Delivery(exporter, self.drops, self._pause)
        self._limits = limits
        self._value_limits = value_limits
        self._correlation = correlation
        self._redaction = redaction
        self._stopping = False
        self._deadline = 0.0  # of stopping, on the monotonic clock
        self._begin()
        _processors.add(self)

    def _begin(self) -> None:
        """Begin without records and without a thread, in this process."""
        self.drops.clear()
        self._backlog = Backlog(self._limits, self.drops)
        self._thread: threading.Thread | None = None
        self._starting = threading.RLock()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._woken = False
        self._flushes: deque[tuple[int, SimpleQueue[bool]]] = deque()
        self._hastened = self._gave_up = self._ended = self._counted = False
        if self._stopping:
            self._backlog.close()

    def put(self, record: Record) -> None:
        """Queue *record*, which is made plain if it isn't yet, or drop and count it."""
        if get_value(_SUPPRESS_INSTRUMENTATION_KEY):
            return
        try:
            if not record.size:
                settle(record, self._value_limits)
            self._backlog.add(record)
            if self._thread is None:
                self._start()
            if not self._woken and self._backlog.has_batch():
                self._woken = True
                self._wake.put(None)
            if self._stopping:  # no worker will
                self.drops.say()
        except Exception as error:  # noqa: BLE001  the program's own work goes on
            self._backlog.count_broken(error)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Queue a record of the SDK's."""
        if get_value(_SUPPRESS_INSTRUMENTATION_KEY):
            return
        try:
            record = from_sdk(log_record, self._value_limits)
            if self._correlation is not None:
                context = log_record.log_record.context or get_current()
                self._correlation.add(record.attributes, get_current_span(context), context)
                record.size = 0  # what was added is yet to be made plain
            if self._redaction is not None:
                self._redaction.value(record.attributes)
                self._redaction.value(record.body)
        except Exception as error:  # noqa: BLE001  as above
            self._backlog.count_broken(error)
        else:
            self.put(record)

    def force_flush(self, timeout_millis: float | None = None) -> bool:
        """Wait until what was logged so far is sent or dropped; tell whether it is by then."""
        reply = self.hurry()
        if reply is None:
            return True
        if self._ended or self._thread in {None, threading.current_thread()}:
            return False
        try:
            return reply.get(timeout=self._seconds(timeout_millis))
        except Empty:
            return False

    def hurry(self) -> SimpleQueue[bool] | None:
        """Send at once what was logged so far; the queue gets True then, None means it is."""
        target = self._backlog.added
        if self._backlog.finished >= target:
            return None
        reply: SimpleQueue[bool] = SimpleQueue()
        self._flushes.append((target, reply))
        if self._thread is None:
            self._start()
        self._wake.put(None)
        return reply

    def shutdown(self, timeout_millis: float | None = None) -> None:
        """Send what waits, for so long at most, then end; what is left is counted and said."""
        self.stop(timeout_millis)
        thread = self._thread
        if thread is None:  # none could be started, or nothing was ever logged
            if not self._ended:
                self._work()
        elif thread is not threading.current_thread():
            thread.join(max(0.0, self._deadline - time.monotonic()))
        unsent = 0 if self._counted else self._backlog.added - self._backlog.finished
        self._counted = True
        if unsent:
            self.drops.count(drops.UNSENT, unsent)
        self.drops.say(at_once=True)

    def stop(self, timeout_millis: float | None = None) -> None:
        """Take nothing more and send what waits, without waiting for it; once only."""
        if self._stopping:
            return
        self._deadline = time.monotonic() + self._seconds(timeout_millis)
        self._stopping = True
        self._backlog.close()
        self._wake.put(None)
        if self._thread is None and self._backlog:
            self._start()

    def _seconds(self, timeout_millis: float | None) -> float:
        if timeout_millis is None:
            return self._limits.flush_seconds
        return max(0.0, timeout_millis / 1000)

    def _start(self) -> None:
        with self._starting:
            if self._thread is not None or self._ended:
                return
            thread = self._thread = threading.Thread(
                target=self._work, name="pixsim_otel", daemon=True
            )
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending, or there are too many threads
            self._thread = None

    def _work(self) -> None:
        """Send batches until stopped: the worker's life."""
        token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            while not self._is_over():
                self._wait_for_batch()
                self._send_batch()
            self._delivery.close()
        finally:
            self._ended = True
            self._answer()
            detach(token)

    def _is_over(self) -> bool:
        return self._stopping and (
            self._gave_up or not self._backlog or time.monotonic() >= self._deadline
        )

    def _wait_for_batch(self) -> None:
        """Return when a batch is full or old enough, or somebody waits for it."""
        self._woken = False
        while not self._wake.empty():  # for what is looked at here anyway
            self._wake.get()
        if self._backlog.has_batch() or self._flushes or self._stopping:
            return
        with contextlib.suppress(Empty):
            self._wake.get(timeout=self._limits.batch_seconds)

    def _send_batch(self) -> None:
        if batch := self._backlog.take():
            report = self.drops.record(batch[0].resource)
            lost = self._delivery.deliver([*batch, report] if report else batch)
            self._gave_up = lost > 0
            self._backlog.finish(batch, without=lost - 1 if report and lost else lost)
        self.drops.say()
        self._answer()

    def _answer(self) -> None:
        """Tell those whose records are done, at the end all others that theirs are not."""
        while self._flushes and (self._ended or self._flushes[0][0] <= self._backlog.finished):
            target, reply = self._flushes.popleft()
            reply.put(self._backlog.finished >= target)

    def _pause(self, seconds: float) -> bool:
        """
        Wait before another try, as `Delivery` asks; False if the process ends before.

        When it begins to end there is one try at once, whatever the receiver asked for.
        """
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            if self._stopping:
                if not self._hastened and now < self._deadline:
                    self._hastened = True
                    return True
                if until > self._deadline:
                    return False
            with contextlib.suppress(Empty):
                self._wake.get(timeout=until - now)
        return True


_processors: weakref.WeakSet[QueueProcessor] = weakref.WeakSet()


def _begin_in_child() -> None:
    for processor in list(_processors):
        processor._begin()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)
