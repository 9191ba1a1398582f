"""Values of fields as they are written, each of its field's kind."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from collector import levels
from collector.search.mistakes import Unfit
from collector.search.times import moment
from storage.search import Compare, Equals, Search, Severity, either

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from storage.fields import Field
    from storage.search import Operator, Value

INT64 = 2**63 - 1
WHOLE = "a whole number of at most 64 bits"

_WHOLE = re.compile(r"[+-]?[0-9]+(\.0+)?")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def equal(name: str, field: Field, text: str) -> Search:
    """
    Give the search for *field* being the value that *text* says.

    Raises:
        Unfit: the field never has such a value.
    """
    if field.kind == "level" and (band := levels.span(text)):
        return Severity(*band)
    return Equals(name, (_value(field, text),))


def any_of(name: str, found: Sequence[Search]) -> Search:
    """Give the search for the field *name* being one of several values, or like one of them."""
    exact = tuple(value for each in found if isinstance(each, Equals) for value in each.values)
    others = (each for each in found if not isinstance(each, Equals))
    return either(*([Equals(name, exact)] if exact else []), *others)


def compared(name: str, field: Field, operator: Operator, text: str) -> Search:
    """
    Give the search for *field* being on one side of the number, time or level of *text*.

    Raises:
        Unfit: the field has no order, or never such a value.
    """
    if field.kind == "level":
        return _leveled(operator, text)
    return Compare(name, operator, _ordered(field, text))


def identifier(text: str) -> int | str:
    """
    Read an id: a whole number where it is one.

    Raises:
        Unfit: it is a whole number of more than 64 bits.
    """
    text = text.strip()
    if not _WHOLE.fullmatch(text):
        return text
    whole = text.partition(".")[0]
    number = int(whole) if len(whole.lstrip("+-0")) <= len(str(INT64)) else INT64 + 1
    if not -INT64 - 1 <= number <= INT64:
        raise Unfit(WHOLE)
    return number


def milliseconds(text: str) -> float | str:
    """Read a number; text that is none is itself."""
    stripped = text.strip()
    number = float(stripped) if _NUMBER.fullmatch(stripped) else math.inf
    return number if math.isfinite(number) else text


def _value(field: Field, text: str) -> Value:
    match field.kind:
        case "id":
            return identifier(text)
        case "duration":
            return milliseconds(text)
        case "number":
            return _integer(text)
        case "time":
            raise Unfit("a comparison: a time is before or after another")
        case _:
            return text


def _ordered(field: Field, text: str) -> float | dt.datetime:
    match field.kind:
        case "id" | "number":
            return _integer(text)
        case "time":
            return moment(text)
        case "duration" | "key":
            number = milliseconds(text)
            if isinstance(number, str):
                raise Unfit("a number")
            return number
        case _:
            raise Unfit("`:`, for text has no order")


def _integer(text: str) -> int:
    number = identifier(text)
    if isinstance(number, str):
        raise Unfit(WHOLE)
    return number


def _leveled(operator: Operator, text: str) -> Severity:
    band = levels.span(text)
    if band is None:
        raise Unfit(f"a level: {', '.join(levels.NAMES)}")
    lowest, highest = band
    match operator:
        case ">=":
            return Severity(lowest, None)
        case ">":
            return Severity(highest + 1, None)
        case "<=":
            return Severity(None, highest)
        case "<":
            return Severity(None, lowest - 1)
