"""The times that a query may name: ISO 8601, with or without a zone, a date, or Unix seconds."""

from __future__ import annotations

import datetime as dt
import re

_NUMBER = re.compile(r"-?\d+(\.\d*)?([eE][+-]?\d+)?")
_DATE = re.compile(r"\d{8}")
# An offset whose plus sign stood unescaped in a URL, where it means a space.
_LOST_PLUS = re.compile(r"(\d\d:\d\d[\d:.,]*) (\d\d:?\d\d)$")
_MILLISECONDS = 2e10  # a Unix time beyond this is in milliseconds, as JavaScript's are


def moment(text: str) -> dt.datetime:
    """
    Read a time; one without a zone is in UTC, a date is its first moment.

    Raises:
        ValueError: it is no time, or out of the range of years 1 to 9999.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text) and not _DATE.fullmatch(text):
        return _unix(float(text))
    try:
        found = dt.datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", text))
        return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise ValueError("Input should be an ISO 8601 time, a date or Unix seconds") from None


def _unix(seconds: float) -> dt.datetime:
    if abs(seconds) > _MILLISECONDS:
        seconds /= 1000
    try:
        return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError("Input should be a time in the years 1 to 9999") from None
