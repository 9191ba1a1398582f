"""
Records as rows of ``log_entries``, such as the collector makes of the same JSON.

Nothing is lost, and no value costs its row: an id that is no whole number, a text that is
too long for an index, an object where a column holds text stay in ``extra`` under their own
names. Where the table is an older one, so do those that it has no column for.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

LONGEST_KEY = 2_600  # bytes; Postgres refuses a row with more than 2,704 in an index's entry

_INTEGER = re.compile(r"\s*([+-]?[0-9]{1,19})(?:\.0*)?\s*")
_NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")
_INT64 = range(-(2**63), 2**63)
_SEVERITIES = {"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}
_DEFAULTS = {"level": "INFO", "service": "unknown"}

DEFAULT_ENV = "dev"
_encode = msgspec.json.Encoder().encode


class Column(msgspec.Struct, frozen=True):
    """A column of the table as it is."""

    name: str
    type: str
    most: int | None = None  # characters


def text(value: object) -> str | None:
    """Read a string; a number or boolean is the text of its JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None


def key(value: object) -> str | None:
    """Read a string as `text` does, but none that is too long for an index."""
    found = text(value)
    return found if found is not None and len(found.encode()) <= LONGEST_KEY else None


def integer(value: object) -> int | None:
    """Read a whole number within int64: ``12``, ``12.0``, ``"12"``, or true, which is 1."""
    if isinstance(value, str):
        digits = _INTEGER.fullmatch(value)
        value = int(digits[1]) if digits else None
    elif isinstance(value, float):
        value = int(value) if value.is_integer() else None
    return int(value) if isinstance(value, int) and value in _INT64 else None


def real(value: object) -> float | None:
    """Read a number, or a string that is one."""
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return None
    if not isinstance(value, str | int | float):
        return None
    found = float(value)
    return found if math.isfinite(found) else None


# How each key that may be a column's is read; ``id`` and ``created_at`` are the table's.
READERS: dict[str, Callable[[object], object]] = {
    "timestamp": text,
    "level": text,
    "service": key,
    "env": text,
    "instance_id": text,
    "msg": text,
    "event_name": text,
    "request_id": key,
    "job_id": integer,
    "submission_id": integer,
    "artifact_id": integer,
    "generation_id": integer,
    "provider_job_id": key,
    "provider_id": text,
    "operation_type": text,
    "stage": text,
    "channel": text,
    "domain": text,
    "user_id": integer,
    "error": text,
    "error_type": text,
    "duration_ms": real,
    "attempt": integer,
    "trace_id": key,
    "span_id": text,
}
_WRITTEN = (*READERS, "severity_number", "extra")


class Table:
    """The columns of the table that are written."""

    def __init__(self, columns: Iterable[Column]) -> None:
        there = {column.name: column for column in columns}
        self.columns = tuple(there[name] for name in _WRITTEN if name in there)
        self._by_name = {column.name: column for column in self.columns}

    def row(self, entry: Mapping[str, object]) -> list[object]:
        """Make the row of a JSON object of `native.entries`, in the order of `columns`."""
        found: dict[str, object] = {}
        extra: dict[str, object] = {}
        for name, value in entry.items():
            column, read = self._by_name.get(name), READERS.get(name)
            if column is None or read is None:
                extra[name] = value
            elif value is not None:
                fitting = _fitting(read(value), column)
                if fitting is not None:
                    found[name] = fitting
                if fitting is None or _is_cut(fitting, value):
                    extra[name] = value
        if (sent := extra.pop("extra", None)) is not None:
            _add(extra, sent, entry)
        if "msg" not in found:
            found["msg"] = _first_text(entry, "event", "message")
        for name, default in _DEFAULTS.items():
            found[name] = found.get(name) or default
        if found.get("env") is None:
            found["env"] = DEFAULT_ENV
        # Of other levels the table itself finds the number.
        found["severity_number"] = _SEVERITIES.get(str(found["level"]), 0)
        found["extra"] = _encode(_entries(extra)).decode() if extra else None
        return [found.get(column.name) for column in self.columns]


def _add(extra: dict[str, object], sent: object, entry: Mapping[str, object]) -> None:
    """Put what was sent as ``extra`` beside all else; what *entry* itself names goes below."""
    more = sent if isinstance(sent, dict) else {"extra": sent}
    named = extra.keys() | {name for name, value in entry.items() if value is not None} - {"extra"}
    second = {name: value for name, value in more.items() if name in named}
    extra.update({name: value for name, value in more.items() if name not in second})
    if second:
        earlier = extra.get("extra", {})
        extra["extra"] = second | (earlier if isinstance(earlier, dict) else {"extra": earlier})


def _first_text(entry: Mapping[str, object], *names: str) -> str | None:
    for name in names:
        if (found := text(entry.get(name))) is not None:
            return _clean(found)
    return None


def _fitting(value: object, column: Column) -> object:
    """Give what of *value* the column can hold; None where it cannot hold it."""
    if isinstance(value, str):
        value = _clean(value)
        if column.most is not None and len(value) > column.most:  # the end tells services apart
            return value[-column.most :] if column.name == "service" else value[: column.most]
    elif column.type == "integer" and value is not None:
        whole = round(value)  # type: ignore[call-overload]
        return whole if -(2**31) <= whole < 2**31 else None
    return value


def _is_cut(fitting: object, value: object) -> bool:
    return isinstance(value, str) and isinstance(fitting, str) and len(fitting) < len(value)


def _clean(value: str) -> str:
    """Replace NUL, which Postgres has not."""
    return value.replace("\0", "\ufffd")


def _stored(value: object) -> object:
    """
    Give a value as ``extra`` keeps it.

    A map with one key of ours stands for what jsonb would change, or would take for such a
    map: ``{"$double": "1e-07"}``, ``{"$map": …}``.
    """
    match value:
        case str():
            return _clean(value)
        case float() if not (1e-4 <= abs(value) < 1e15 or str(value) == "0.0"):
            return {"$double": repr(value)}
        case list():
            return [_stored(each) for each in value]
        case dict():
            kept = _entries(value)
            reserved = len(kept) == 1 and next(iter(kept)).startswith("$")
            return {"$map": kept} if reserved else kept
    return value


def _entries(value: Mapping[str, object]) -> dict[str, object]:
    return {_clean(name): _stored(each) for name, each in value.items()}
