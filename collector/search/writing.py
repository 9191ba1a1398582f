"""A search written in the language that `collector.search.parser` reads."""

from __future__ import annotations

import datetime as dt
import re
from functools import singledispatch

from collector.search.mistakes import meant
from collector.search.parser import ASSIGNED, NAME
from collector.search.scanner import KEYWORD
from collector.search.times import shown
from storage import search as s
from storage.fields import KINDS

# One name for each band of severity numbers, by its lowest.
LEVELS = {1: "trace", 5: "debug", 9: "info", 13: "warning", 17: "error", 21: "critical"}

_PLAIN = re.compile(r'[^\s()"*]+')


def written(search: s.Search) -> str:
    """
    Write *search* as text that reads as the same search.

    What no text says, such as a conjunction of nothing within another, becomes one that finds
    the same records.
    """
    if search == s.EVERYTHING:
        return ""
    if isinstance(search, s.All):
        return " ".join(map(_within, search.conditions))
    if isinstance(search, s.AnyOf) and search.conditions:
        return " OR ".join(map(_within, search.conditions))
    return _within(search)


def quoted(text: str) -> str:
    """Write a text in quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def name(field: str) -> str:
    """Write a field's name, as short as it can be."""
    if "." not in field and field not in KINDS:
        field = f"extra.{field}"
    place, _, key = field.partition(".")
    short = key if place == "extra" and "." not in key and key not in KINDS else field
    if short != field and (short == "last" or meant(short)):
        short = field
    return short if NAME.fullmatch(f"{short}:") else quoted(short)


def value(text: str) -> str:
    """Write the value of a field."""
    plain = _PLAIN.fullmatch(text) and not KEYWORD.match(text) and not text.startswith("//")
    return text if plain else quoted(text)


@singledispatch
def _within(search: s.Search) -> str:
    """Write *search* so that it stands in another."""
    raise TypeError(f"no text says {search}")


@_within.register
def _(search: s.All) -> str:
    return f"({written(search)})" if search.conditions else "timestamp:*"  # which all have


@_within.register
def _(search: s.AnyOf) -> str:
    return f"({written(search)})" if search.conditions else "-timestamp:*"


@_within.register
def _(search: s.Not) -> str:
    return f"-{_within(search.condition)}"


@_within.register
def _(search: s.Equals) -> str:
    values = [value(_number(each)) for each in search.values]
    if len(values) == 1:
        return f"{name(search.field)}:{values[0]}"
    return f"{name(search.field)}:({' OR '.join(values)})"


@_within.register
def _(search: s.Compare) -> str:
    found = search.value
    text = found.isoformat() if isinstance(found, dt.datetime) else _number(found)
    return f"{name(search.field)}{search.operator}{text.replace('+00:00', 'Z')}"


@_within.register
def _(search: s.Severity) -> str:
    lowest, highest = search.lowest, search.highest
    if lowest in LEVELS and highest in {None, lowest + 3}:
        return f"level{'>=' if highest is None else ':'}{LEVELS[lowest]}"
    if lowest is None and highest is not None and highest - 3 in LEVELS:
        return f"level<={LEVELS[highest - 3]}"
    if (lowest, highest) == (25, None):
        return "level>critical"
    if (lowest, highest) == (None, 0):
        return "level<trace"
    ends = ((">=", lowest), ("<=", highest))
    limits = [f"severity_number{sign}{end}" for sign, end in ends if end is not None]
    return f"({' '.join(limits)})" if limits else "timestamp:*"


@_within.register
def _(search: s.Present) -> str:
    return f"{name(search.field)}:*"


@_within.register
def _(search: s.Prefix) -> str:
    return f"{name(search.field)}:{value(search.prefix)}*"


@_within.register
def _(search: s.Contains) -> str:
    return f"{name(search.field)}:*{value(search.text)}*"


@_within.register
def _(search: s.Text) -> str:
    text = search.text
    special = KEYWORD.match(text) or NAME.match(text) or ASSIGNED.match(text)
    plain = _PLAIN.fullmatch(text) and not special and not text.startswith("-")
    return text if plain else quoted(text)


@_within.register
def _(search: s.Last) -> str:
    return f"last:{shown(search.span)}"


def _number(number: s.Value) -> str:
    return number if isinstance(number, str) else repr(number).removesuffix(".0")
