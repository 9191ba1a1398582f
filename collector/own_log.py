"""The collector's own log: to stderr, for what goes through us never comes from us."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING

import structlog

from collector import telemetry
from collector.secrets import without_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict

# Without the values of variables: those are senders' data, and the database's password.
_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


LOUD = {"warning", "error", "exception", "critical"}
MOST_CAUSES = 10_000  # that are remembered
# What tells one cause of a line from another; numbers and reasons differ each time.
CAUSES = ("chore", "rule", "notifier", "destination", "path")
MOST, PERIOD = 10, 60.0  # lines of one cause in so many seconds


class Repeats:
    """
    Leaves out what is said again and again: of warnings and errors a few a minute, by cause.

    How many were left out is in the next line that isn't, and counted.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[tuple[str, ...], list[float]] = {}  # since when, lines, left out

    def __call__(self, _: object, method: str, line: EventDict) -> EventDict:
        """Give *line*, or drop it."""
        if method not in LOUD:
            return line
        cause = (str(line.get("event")), *(str(line.get(name)) for name in CAUSES))
        now = self._clock()
        if len(self._seen) > MOST_CAUSES:
            self._seen.clear()
        seen = self._seen.setdefault(cause, [now, 0, 0])
        since, lines, left_out = seen
        if now - since >= PERIOD:
            self._seen[cause] = [now, 1, 0]
            return {**line, "left_out": int(left_out)} if left_out else line
        seen[1] += 1
        if lines < MOST:
            return line
        seen[2] += 1
        telemetry.log_lines_suppressed.labels(cause[0]).inc()
        raise structlog.DropEvent


def to_stderr(level: str, **facts: object) -> None:
    """
    Write our own log for people on a terminal, and else a JSON object a line.

    Each line has *facts* too.
    """
    render: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if sys.stderr.isatty()
        else [_TRACEBACKS, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[
            Repeats(),
            lambda _, __, line: {**line, **facts},
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *render,
            lambda _, __, line: without_keys(str(line)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def failed(event: str, exc: Exception, *, expected: bool) -> None:
    """Write that *exc* ended us, with a traceback where it is not one of those *expected*."""
    structlog.get_logger().error(event, error=str(exc), exc_info=None if expected else exc)
