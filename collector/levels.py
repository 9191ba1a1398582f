"""
Severity as a number and as a word.

The numbers are OpenTelemetry's, 1 to 24 in six bands of four; 0 is unspecified. The
function ``log_severity_number`` in the database knows the same words.
https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber
"""

from __future__ import annotations

_NUMBERS = {
    "trace": 1,
    "debug": 5,
    "info": 9,
    "information": 9,
    "notice": 10,
    "warn": 13,
    "warning": 13,
    "error": 17,
    "err": 17,
    "exception": 17,
    "critical": 21,
    "fatal": 21,
    "crit": 21,
    "alert": 22,
    "emergency": 24,
}
NAMES = tuple(_NUMBERS)
_BANDS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_SHORT_NAMES = tuple(f"{band}{place or ''}" for band in _BANDS for place in (0, 2, 3, 4))


def number(text: str) -> int:
    """Give the number of a level's name in any case; 0 where it is none that we know."""
    return _NUMBERS.get(text) or _NUMBERS.get(text.lower(), 0)


def short_name(severity_number: int) -> str:
    """Give the name to show for a number without a text: ``INFO2`` for 10, ``INFO`` for none."""
    if 1 <= severity_number <= len(_SHORT_NAMES):
        return _SHORT_NAMES[severity_number - 1]
    return "INFO"


def span(text: str) -> tuple[int, int] | None:
    """Give the lowest and highest number of the band that a level's name is in."""
    found = number(text)
    if found == 0:
        return None
    lowest = (found - 1) // 4 * 4 + 1
    return lowest, lowest + 3
