"""The times that senders write: ISO 8601 in its many spellings, and Unix numbers."""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import TYPE_CHECKING

from storage import moments
from storage.moments import FIRST, FROM_1970, LAST

if TYPE_CHECKING:
    from storage.moments import Moment

_NANOSECONDS = re.compile(r"[.,]\d{6}(\d{1,3})")
# A Unix number is in the finest unit that doesn't put it beyond the year 2600.
_UNITS = ((2e10, 1_000_000_000), (2e13, 1_000_000), (2e16, 1_000), (math.inf, 1))

_from_iso = dt.datetime.fromisoformat


def moment(value: object) -> tuple[Moment, int | None]:
    """
    Read a time: its microseconds, and the nanoseconds below them where there are some.

    One without a zone is in UTC, and a date is its first moment. A number counts seconds,
    milliseconds, microseconds or nanoseconds since 1970, by its size.

    Raises:
        ValueError: it is no time, or not one of the years 1 to 9999.
    """
    nanoseconds = None
    if type(value) is str:
        found = moments.moment(_from_text(value))
        if len(value) > len("2025-11-13T00:30:00.123456Z") and (
            digits := _NANOSECONDS.search(value)
        ):
            nanoseconds = int(digits[1].ljust(3, "0")) or None
    elif type(value) is int or type(value) is float:
        found, nanoseconds = _from_number(value)
    else:
        raise ValueError("not a time")
    if not FIRST < found < LAST:  # the first is what Go sends for "no time"
        raise ValueError("out of range")
    return found, nanoseconds


def _from_text(text: str) -> dt.datetime:
    try:
        found = _from_iso(text)
    except ValueError:
        found = _from_iso(text.strip().upper())  # RFC 3339 allows "t" and "z"
    zone = found.tzinfo
    if zone is dt.UTC:
        return found
    if zone is None:
        return found.replace(tzinfo=dt.UTC)
    try:
        return found.astimezone(dt.UTC)
    except OverflowError as exc:
        raise ValueError("out of range") from exc


def _from_number(value: float) -> tuple[Moment, int | None]:
    size = abs(value)
    unit = next((unit for most, unit in _UNITS if size < most), 1)
    try:
        # A float of today's seconds is exact to less than a microsecond, and to no more.
        count = value * unit if isinstance(value, int) else round(value * unit / 1_000) * 1_000
    except OverflowError as exc:
        raise ValueError("out of range") from exc
    return count // 1_000 - FROM_1970, count % 1_000 or None
