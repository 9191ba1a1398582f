"""
Records of Python's `logging`, which libraries log with, on the way that events of ours go.

The levels, the masked secrets, the exporters and the console are the same for both.
"""

from __future__ import annotations

import datetime as dt
import logging
import sys
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from structlog.typing import EventDict, Processor

# What every record has, and what formatters and uvicorn leave on it: no fields of the event.
_RESERVED = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}
# Libraries that can't bind a domain themselves.
_DOMAINS = {"sqlalchemy": "sql", "alembic": "sql"}


class OTelHandler(logging.Handler):
    """
    Passes a record through structlog's *processors*, then writes what *render* makes of it.

    Without *render* nothing is written: the processors export it. A processor may drop it.
    """

    def __init__(
        self,
        processors: Sequence[Processor],
        render: Callable[[Any, str, EventDict], str] | None = None,
    ) -> None:
        super().__init__()
        self._processors = processors
        self.render = render

    def emit(self, record: logging.LogRecord) -> None:
        """Process *record*; as of any handler, what goes wrong is for `handleError`."""
        try:
            method, event = record.levelname.lower(), as_event(record)
            for process in self._processors:
                event = process(None, method, event)  # type: ignore[assignment]
            if self.render is not None:
                sys.stderr.write(f"{self.render(None, method, event)}\n")
                sys.stderr.flush()
        except structlog.DropEvent:
            pass
        except Exception:  # noqa: BLE001  the program's own work goes on
            self.handleError(record)


def as_event(record: logging.LogRecord) -> EventDict:
    """
    Make structlog's event of *record*: its message, and what was passed as ``extra``.

    Unless that says otherwise the service is the last two parts of the logger's name, by
    which a library's lines are told from the service's own.
    """
    event = {key: value for key, value in vars(record).items() if key not in _RESERVED}
    event.setdefault("logger_name", record.name)
    event.setdefault("service", ".".join(record.name.split(".")[-2:]))
    if domain := _DOMAINS.get(record.name.partition(".")[0]):
        event.setdefault("domain", domain)
    event["level"] = record.levelname.lower()
    moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
    event["timestamp"] = moment.isoformat().replace("+00:00", "Z")
    event["event"] = _message(record)
    if record.exc_info:
        event["exc_info"] = record.exc_info
    elif record.exc_text:
        event["exception"] = record.exc_text
    if record.stack_info:
        event["stack"] = record.stack_info
    return event


def accept_fields() -> None:
    """
    Let ``logging``'s loggers be called as structlog's are: ``log.info("saved", asset_id=5)``.

    What isn't an argument of `logging.Logger.info` becomes ``extra``, renamed to
    ``extra_<name>`` where the record has an attribute of that name.
    """
    if logging.Logger._log is not _log:  # noqa: SLF001
        logging.Logger._log = _log  # type: ignore[method-assign]  # noqa: SLF001


_original_log = logging.Logger._log  # noqa: SLF001


def _log(
    self: logging.Logger,
    level: int,
    msg: object,
    args: Any,
    exc_info: Any = None,
    extra: Mapping[str, object] | None = None,
    stack_info: bool = False,  # noqa: FBT001, FBT002  as in `logging`
    stacklevel: int = 1,
    **fields: object,
) -> None:
    if fields or extra:
        extra = {_free(key): value for key, value in {**(extra or {}), **fields}.items()}
    # One more level, so that the caller is who called `logging`, not this module.
    _original_log(self, level, msg, args, exc_info, extra, stack_info, stacklevel + 1)


def _free(key: object) -> str:
    return f"extra_{key}" if key in _RESERVED else str(key)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  the arguments don't fit the text, or have no text
        return str(record.msg)


def quieten() -> None:
    """Keep libraries that tell of every request and every timer at warnings."""
    for name in ("urllib3", "httpcore", "httpx", "asyncio", "watchfiles"):
        logging.getLogger(name).setLevel(logging.WARNING)
