"""
What an exception was: its type, its message and its traceback, formatted once a log call.

The console and the exporters both want the traceback, and formatting it costs far more than
all the rest of a log call; so `Traceback` carries what it was made of.
"""

from __future__ import annotations

import re
import sys
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

_HEADER = re.compile(
    r"^(?:Traceback|  \+ Exception Group Traceback) \(most recent call last\):\n", re.MULTILINE
)
_FRAMES = ("    ", "  File ", "  [Previous ", "  |   ", "  | [Previous ")
# What follows the frames: a message may have more lines, but a group's members are no part of it.
_LAST_WORDS = re.compile(r"([^\W\d][\w.]*)(?:: (.*))?\Z", re.DOTALL)
_LAST_WORDS_OF_GROUP = re.compile(r"  \| ([^\W\d][\w.]*)(?:: (.*))?$", re.MULTILINE)


class Traceback(str):
    """A formatted traceback, chained exceptions and the members of groups included."""

    __slots__ = ("message", "type")

    message: str
    type: str  # with its module, unless that is builtins


def render_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace ``exc_info`` by ``exception``, its `Traceback`; a structlog processor."""
    exc_info = event.pop("exc_info", None)
    if exc_info and (error := current(exc_info)) is not None:
        event["exception"] = formatted(error)
    return event


def current(exc_info: object) -> BaseException | None:
    """Give the exception that *exc_info* means: itself, a tuple's, or the one being handled."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return next((part for part in exc_info if isinstance(part, BaseException)), None)
    return sys.exc_info()[1]


def formatted(error: BaseException) -> Traceback:
    """Format *error*; never raises, whatever its own methods do."""
    kind = type(error)
    name = kind.__qualname__
    try:
        message = str(error)
    except Exception as failure:  # noqa: BLE001  any exception's __str__ may have been called
        message = f"<no message: {type(failure).__name__}>"
    try:
        text = "".join(traceback.format_exception(error)).rstrip("\n")
    except Exception as failure:  # noqa: BLE001  __cause__ and __notes__ may be anything too
        text = f"{name}: {message} <no traceback: {type(failure).__name__}>"
    made = Traceback(text)
    made.type = name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}"
    made.message = message
    return made


def read(text: str) -> Traceback:
    """
    Read a traceback that somebody else formatted; type and message are empty if not found.

    Of chained exceptions it is the last one that is told, of a group the group itself.
    """
    made = Traceback(text)
    made.type = made.message = ""
    headers = list(_HEADER.finditer(text))
    if not headers:
        return made
    start = headers[-1].end()
    for line in text[start:].splitlines(keepends=True):
        if not line.startswith(_FRAMES):
            break
        start += len(line)
    found = _LAST_WORDS.match(text, start) or _LAST_WORDS_OF_GROUP.match(text, start)
    if found:
        made.type, made.message = found[1], found[2] or ""
    return made
