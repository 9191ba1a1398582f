"""
A JSON object of a sender as a row: known names to columns, all else to ``extra``.

Nothing is lost, and no value costs its row:

* An id or a count that is no whole number, or none that fits, stays in ``extra`` under its
  own name, and the column is null. ``"12"``, ``12.0`` and ``true`` are whole numbers.
* Where a column holds text, a number or boolean becomes the text of its JSON; an object or
  list stays in ``extra`` under its own name, and the column is null. So does a text that is
  too long for the column's index.
* A time that cannot be read stays in ``extra.timestamp_original``.
* ``extra`` is one flat object. A name that stands both in the entry and in its ``extra`` is
  the entry's; the other value goes to ``extra.extra``.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

import msgspec

from collector import levels
from collector.receivers.pixsim import columns
from collector.receivers.pixsim.columns import COLUMNS, LONGEST_KEY
from collector.receivers.pixsim.encoding import INT64, encoded
from collector.receivers.pixsim.times import moment
from collector.receivers.pixsim.tracebacks import raised
from storage.records import LogRecord

if TYPE_CHECKING:
    from storage.moments import Moment

TIME = "timestamp"  # why a record was changed: its time is that of its receipt

DEFAULT_ENV = "dev"
DEFAULT_LEVEL = "INFO"
DEFAULT_SERVICE = "unknown"

_KNOWN = frozenset({"timestamp", *COLUMNS})
_OURS = frozenset(LogRecord.__struct_fields__) - _KNOWN
_LEAST, _MOST = INT64
_SURELY_SHORT = LONGEST_KEY // 4  # characters
_convert = msgspec.convert


def record(entry: dict[str, Any], received: Moment, changes: set[str]) -> LogRecord:
    """
    Make the row of *entry*, which is used up, and tell *changes* what was changed.

    *received* is its time where it has none that can be read.
    """
    sent, nanoseconds, unread = entry.get("timestamp"), None, {}
    entry["timestamp"] = received
    if sent is not None and sent != "":
        try:
            entry["timestamp"], nanoseconds = moment(sent)
        except ValueError:
            changes.add(TIME)
            unread["timestamp_original"] = sent
    made = None if unread else _exact(entry, changes)
    made = made or _tolerant(entry, unread, changes)
    made.timestamp_ns = nanoseconds
    if made.msg is None:
        made.msg = _first_text(entry, "event", "message")
    if "exception" in entry:
        _explain(made, entry["exception"])
    if made.env is None:
        made.env = DEFAULT_ENV
    if not made.level:
        made.level = DEFAULT_LEVEL
    if not made.service:
        made.service = DEFAULT_SERVICE
    made.severity_number = levels.number(made.level)
    return made


def _exact(entry: dict[str, Any], changes: set[str]) -> LogRecord | None:
    """
    Make the row of an entry whose every value is of its column's type, or give None.

    That is nearly every entry, and msgspec does it in half the time that `_tolerant` takes
    for the same result.
    """
    try:
        made = _convert(entry, LogRecord)
    except msgspec.ValidationError:
        return None
    if not _fits(made):
        return None
    extra = {
        name: value if type(value) is str else encoded(value, changes)
        for name, value in entry.items()
        if name not in _KNOWN
    }
    if not _OURS.isdisjoint(extra):
        return None
    made.extra = extra or None
    return made


def _fits(made: LogRecord) -> bool:
    """Tell whether numbers and keys fit their columns; not a loop, for it runs on every row."""
    return (
        ((i := made.job_id) is None or _LEAST <= i <= _MOST)
        and ((i := made.submission_id) is None or _LEAST <= i <= _MOST)
        and ((i := made.artifact_id) is None or _LEAST <= i <= _MOST)
        and ((i := made.generation_id) is None or _LEAST <= i <= _MOST)
        and ((i := made.user_id) is None or _LEAST <= i <= _MOST)
        and ((i := made.attempt) is None or _LEAST <= i <= _MOST)
        and ((s := made.request_id) is None or len(s) <= _SURELY_SHORT)
        and ((s := made.trace_id) is None or len(s) <= _SURELY_SHORT)
        and ((s := made.provider_job_id) is None or len(s) <= _SURELY_SHORT)
        and len(made.service) <= _SURELY_SHORT
        and ((d := made.duration_ms) is None or isfinite(d))
    )


def _tolerant(entry: dict[str, Any], unread: dict[str, Any], changes: set[str]) -> LogRecord:
    """Make the row of any entry, and keep what is *unread* in ``extra``."""
    found: dict[str, Any] = {"level": "", "service": "", "timestamp": entry.pop("timestamp")}
    sent_extra = entry.pop("extra", None)
    extra: dict[str, Any] = {}
    for name, value in entry.items():
        read = COLUMNS.get(name)
        if read is None:
            extra[name] = value
        elif value is not None:
            in_column = read(value)
            if in_column is None:
                extra[name] = value
            else:
                found[name] = in_column
    if sent_extra is not None:
        _add(extra, sent_extra, entry)
    if unread:
        _add(extra, unread, entry)
    kept = {name: encoded(value, changes) for name, value in extra.items()}
    return LogRecord(**found, extra=kept or None)


def _add(extra: dict[str, Any], more: object, entry: dict[str, Any]) -> None:
    """Put *more* into *extra*, and under ``extra.extra`` what *entry* itself has named."""
    if not isinstance(more, dict):
        more = {"extra": more}
    second: dict[str, Any] = {}
    for name, value in more.items():
        taken = name in extra or entry.get(name) is not None
        (second if taken else extra)[name] = value
    if second:
        earlier = extra.get("extra", {})
        extra["extra"] = second | (earlier if isinstance(earlier, dict) else {"extra": earlier})


def _explain(made: LogRecord, traceback: object) -> None:
    """Take from a traceback what the entry itself does not say of its error."""
    if isinstance(traceback, str) and (found := raised(traceback)):
        made.error_type = made.error_type or found[0]
        made.error = made.error or found[1]


def _first_text(entry: dict[str, Any], *names: str) -> str | None:
    for name in names:
        value = entry.get(name)
        if value is not None and (found := columns.text(value)) is not None:
            return found
    return None
