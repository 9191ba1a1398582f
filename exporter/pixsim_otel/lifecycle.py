"""
What happens to the last records, however a process ends.

At its exit, and when it is asked to end by SIGTERM, what waits is sent first. Processes that
`multiprocessing` made skip Python's exit handlers and have their own. An exception that nobody
handles is logged before Python prints it. Nothing helps against SIGKILL and ``os._exit``.
"""

from __future__ import annotations

import atexit
import multiprocessing.process
import multiprocessing.util
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Protocol

import structlog

from . import drops

if TYPE_CHECKING:
    from types import FrameType, TracebackType

SECONDS = 5.0  # to send what waits; a container is usually killed 10 after its SIGTERM
_LAST = -100  # of multiprocessing's finalizers, after it joined children and queues' threads


class Provider(Protocol):
    """What is flushed and shut down."""

    def force_flush(self, timeout_millis: int, /) -> object:
        """Send what waits within the time."""

    def shutdown(self, timeout_millis: int, /) -> object:
        """Send what waits within the time, and end."""


class Lifecycle:
    """
    The hooks by which *provider* learns of the end; made by `install`.

    Handlers that others install later go before, or replace ours, as is usual for them; those
    that were there are called too, but of SIGTERM only the default is replaced.
    """

    def __init__(self, provider: Provider, seconds: float = SECONDS) -> None:
        self.provider = provider
        self._milliseconds = int(seconds * 1000)
        self._excepthook = sys.excepthook
        self._thread_hook = threading.excepthook

    def install(self) -> None:
        """Set all the hooks that this process and this thread can have."""
        atexit.register(self.end)
        multiprocessing.util.register_after_fork(self, Lifecycle._finalize_child)
        if multiprocessing.process.parent_process() is not None:
            self._finalize_child()
        sys.excepthook = self._on_exception
        threading.excepthook = self._on_thread_exception
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        ):
            signal.signal(signal.SIGTERM, self._on_signal)

    def end(self) -> None:
        """Send what waits and end, within the time."""
        try:
            self.provider.shutdown(self._milliseconds)
        except Exception as error:  # noqa: BLE001  of a processor that may be anybody's
            drops.say(f"sending the last logs failed: {type(error).__name__}: {error}")

    def _finalize_child(self) -> None:
        """Be called at the end of a process of `multiprocessing`, which clears what it inherits."""
        multiprocessing.util.Finalize(None, self.end, exitpriority=_LAST)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once
        self.end()
        os.kill(os.getpid(), number)

    def _on_exception(
        self,
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None,
    ) -> None:
        self._log(error)
        self._excepthook(kind, error, trace)

    def _on_thread_exception(self, unhandled: threading.ExceptHookArgs) -> None:
        if unhandled.exc_value is not None:
            name = unhandled.thread.name if unhandled.thread else None
            self._log(unhandled.exc_value, thread=name)
        self._thread_hook(unhandled)

    def _log(self, error: BaseException, **fields: str | None) -> None:
        """Log *error*, unless it is a way to end, and send it: it may be the last thing to be."""
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            return
        try:
            structlog.get_logger().critical("unhandled_exception", exc_info=error, **fields)
            self.provider.force_flush(self._milliseconds)
        except Exception as failure:  # noqa: BLE001  Python is yet to print the error itself
            drops.say(f"an unhandled exception was not logged: {type(failure).__name__}")


_installed: list[Lifecycle] = []  # they would be collected, for multiprocessing keeps them weakly


def install(provider: Provider, seconds: float = SECONDS) -> None:
    """Let *provider* send the last records for so long, however the process ends; once only."""
    if not any(each.provider is provider for each in _installed):
        _installed.append(Lifecycle(provider, seconds))
        _installed[-1].install()
