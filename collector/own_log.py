"""The collector's own log: to stderr, for what goes through us never comes from us."""

from __future__ import annotations

import logging
import sys

import structlog

# Without the values of variables: those are senders' data, and the database's password.
_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


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
            lambda _, __, line: {**line, **facts},
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def failed(event: str, exc: Exception, *, expected: bool) -> None:
    """Write that *exc* ended us, with a traceback where it is not one of those *expected*."""
    structlog.get_logger().error(event, error=str(exc), exc_info=None if expected else exc)
