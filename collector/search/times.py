"""
The times that a search may name, and how long ago.

A time is ISO 8601, with or without a zone, a date, or Unix seconds; how long ago is a number
and a unit, such as ``15m``.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal

from collector.search.mistakes import Unfit

_NUMBER = re.compile(r"-?\d+(\.\d*)?([eE][+-]?\d+)?")
_DATE = re.compile(r"\d{8}")
# An offset whose plus sign stood unescaped in a URL, where it means a space.
_LOST_PLUS = re.compile(r"(\d\d:\d\d[\d:.,]*) (\d\d:?\d\d)$")
PATTERN = r"^[0-9]{1,5}(\.[0-9]{1,6})?[smhdw]$"  # of spans as people write them
_SPAN = re.compile(r"([0-9]{1,11}(?:\.[0-9]{1,6})?)([smhdw])")
LONGEST = dt.timedelta(weeks=99_999)
UNITS = {
    "w": dt.timedelta(weeks=1),
    "d": dt.timedelta(days=1),
    "h": dt.timedelta(hours=1),
    "m": dt.timedelta(minutes=1),
    "s": dt.timedelta(seconds=1),
}
_MICROSECOND = dt.timedelta(microseconds=1)
_MILLISECONDS = 2e10  # a Unix time beyond this is in milliseconds, as JavaScript's are


def moment(text: str) -> dt.datetime:
    """
    Read a time; one without a zone is in UTC, a date is its first moment.

    Raises:
        Unfit: it is no time, or out of the range of years 1 to 9999.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text) and not _DATE.fullmatch(text):
        return _unix(float(text))
    try:
        found = dt.datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", text))
        return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise Unfit("an ISO 8601 time, a date or Unix seconds") from None


def _unix(seconds: float) -> dt.datetime:
    if abs(seconds) > _MILLISECONDS:
        seconds /= 1000
    try:
        return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=seconds)
    except OverflowError:
        raise Unfit("a time in the years 1 to 9999") from None


def span(text: str) -> dt.timedelta:
    """
    Read how long: ``90s``, ``15m``, ``1h``, ``7d``, ``2w``, also with a fraction.

    Raises:
        Unfit: it is none of these, or longer than 99999w.
    """
    if not (found := _SPAN.fullmatch(text.strip())):
        raise Unfit("a number and one of s, m, h, d and w, such as 15m")
    microseconds = Decimal(found[1]) * (UNITS[found[2]] // _MICROSECOND)
    if microseconds > LONGEST // _MICROSECOND:
        raise Unfit("at most 99999w")
    return dt.timedelta(microseconds=int(microseconds))


def shown(span: dt.timedelta) -> str:
    """Write *span* as `span` reads it, in the largest unit that gives a whole number."""
    for unit, size in UNITS.items():
        if span % size == dt.timedelta():
            return f"{span // size}{unit}"
    return f"{Decimal(span // _MICROSECOND) / 1_000_000:f}s"
