"""
What is seen of an event where the service runs: a line of JSON, or one for people.

    [14:23:45] INFO  worker     provider:submit                job_id=123 attempt=1
"""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from .values import plain

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

_RESET, _DIM, _BOLD, _CYAN, _GRAY = "\x1b[0m", "\x1b[2m", "\x1b[1m", "\x1b[36m", "\x1b[90m"
_COLORS = {
    "DEBUG": "\x1b[36m",
    "INFO": "\x1b[32m",
    "WARN": "\x1b[33m",
    "ERROR": "\x1b[31m",
    "CRIT": "\x1b[35m",
}
_SHORT = {"WARNING": "WARN", "CRITICAL": "CRIT"}
_ELSEWHERE = frozenset({"env", "exception", "stack", "logger_name"})  # below the line, or nowhere

_encode = msgspec.json.Encoder(enc_hook=plain).encode


class JSONRenderer:
    """Renders an event as one line of JSON; a structlog processor."""

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> str:
        """Give the line, whatever the event holds."""
        return _json(event)


class CleanConsoleRenderer:
    """Renders an event as a line for people: time, level, service, event, the rest."""

    def __init__(self, colors: bool = True, pad_event: int = 30) -> None:  # noqa: FBT001, FBT002
        self.colors = colors
        self.pad_event = pad_event

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> str:
        """Give the line; a traceback or a stack follows on lines of its own."""
        rest = {**event}
        level = str(rest.pop("level", "info")).upper()
        level = _SHORT.get(level, level)[:5]
        line = [
            self._paint(_GRAY, f"[{_clock(rest.pop('timestamp', None))}]"),
            self._paint(_COLORS.get(level, ""), level.ljust(5)),
            self._paint(_CYAN, str(rest.pop("service", ""))[:10].ljust(10)),
            self._paint(_BOLD, _text(rest.pop("event", "")).ljust(self.pad_event)),
        ]
        line += [
            self._paint(_DIM, f"{key}=") + _text(value)
            for key, value in rest.items()
            if key not in _ELSEWHERE
        ]
        below = [str(event[key]) for key in ("stack", "exception") if event.get(key)]
        return "\n".join([" ".join(line), *below])

    def _paint(self, color: str, text: str) -> str:
        return f"{color}{text}{_RESET}" if self.colors and color else text


def use_utf8() -> None:
    """Let Windows' console take any character; elsewhere it does."""
    if sys.platform == "win32":
        for stream in (sys.stdout, sys.stderr):
            if reconfigure := getattr(stream, "reconfigure", None):
                reconfigure(encoding="utf-8", errors="replace")


def _clock(timestamp: Any) -> str:
    """Give the local time of day of an ISO 8601 timestamp, and now's where it is none."""
    try:
        moment = dt.datetime.fromisoformat(timestamp)
    except (TypeError, ValueError):
        moment = dt.datetime.now().astimezone()
    if moment.tzinfo is not None:
        moment = moment.astimezone()
    return f"{moment:%H:%M:%S}"


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, (bool, dict, list)):
        return _json(value)
    return str(plain(value))


def _json(value: object) -> str:
    try:
        return _encode(value).decode()
    except Exception:  # noqa: BLE001  cycles, lone surrogates, keys that are no text, and more
        return _encode(plain(value)).decode()
