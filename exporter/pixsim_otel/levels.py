"""
A level's name as Python's number and as OTLP's.

OTLP's numbers are 1 to 24 in six bands of four. Names are told as Python spells them,
WARNING and CRITICAL, because that is what people search for who wrote the log calls.
https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber
"""

from __future__ import annotations

import logging
from typing import NamedTuple

_BANDS = (
    (logging.CRITICAL, 21),
    (logging.ERROR, 17),
    (logging.WARNING, 13),
    (logging.INFO, 9),
    (logging.DEBUG, 5),
    (1, 1),
)


class Level(NamedTuple):
    """One level."""

    number: int  # Python's, 10 to 50
    severity: int  # OTLP's
    text: str


_LEVELS = {
    "trace": Level(5, 1, "TRACE"),
    "debug": Level(logging.DEBUG, 5, "DEBUG"),
    "info": Level(logging.INFO, 9, "INFO"),
    "warn": Level(logging.WARNING, 13, "WARNING"),
    "warning": Level(logging.WARNING, 13, "WARNING"),
    "error": Level(logging.ERROR, 17, "ERROR"),
    "exception": Level(logging.ERROR, 17, "ERROR"),
    "fatal": Level(logging.CRITICAL, 21, "CRITICAL"),
    "critical": Level(logging.CRITICAL, 21, "CRITICAL"),
}


def named(name: object) -> Level:
    """
    Give the level called *name*, in any case.

    One that an application added to `logging` has its number there; anything else counts
    as INFO, with its own name and OTLP's number for "unspecified".
    """
    if type(name) is str and (found := _LEVELS.get(name)):
        return found
    text = str(name)
    if found := _LEVELS.get(text.lower()):
        return found
    number = logging.getLevelNamesMapping().get(text.upper(), 0)
    severity = next((severity for least, severity in _BANDS if number >= least), 0)
    return Level(number or logging.INFO, severity, text.upper())


def threshold(name: str) -> int | None:
    """Give Python's number for the name of a least level; None where it is none."""
    return logging.getLevelNamesMapping().get(name.strip().upper())
