"""
Which names of a record are columns, and how a JSON value becomes a column's.

A reader gives None for a value that is not, and cannot be taken for, one of its column.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from collector.receivers.pixsim.encoding import INT64

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_KEY = 2_600  # bytes; Postgres refuses a row with more than 2,704 in an index's entry

_LEAST, _MOST = INT64
_INTEGER = re.compile(r"\s*([+-]?[0-9]{1,19})(?:\.0*)?\s*")
_NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")


def text(value: Any) -> str | None:
    """Read a string; a number or boolean is the text of its JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) and math.isfinite(value) else None


def key(value: Any) -> str | None:
    """Read a string as `text` does, but none that is too long for an index."""
    found = text(value)
    return found if found is not None and len(found.encode()) <= LONGEST_KEY else None


def integer(value: Any) -> int | None:
    """Read a whole number within int64: ``12``, ``12.0``, ``"12"``, or true, which is 1."""
    if isinstance(value, str):
        digits = _INTEGER.fullmatch(value)
        value = int(digits[1]) if digits else None
    elif isinstance(value, float):
        value = int(value) if value.is_integer() else None
    found = int(value) if isinstance(value, int) else None
    return found if found is not None and _LEAST <= found <= _MOST else None


def real(value: Any) -> float | None:
    """Read a finite number, or a string that is one."""
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return None
    try:
        found = float(value)
    except (TypeError, OverflowError):
        return None
    return found if math.isfinite(found) else None


# ``timestamp`` is one too, with rules of its own. ``id`` and ``created_at`` are ours to give.
COLUMNS: dict[str, Callable[[Any], object]] = {
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
