"""
What a reader may ask for: conditions on fields, joined by and, or and not.

A field is named as `storage.fields` says. `storage.filters` turns a search into SQL,
`collector.search` reads it from text and writes it back.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

Value: TypeAlias = str | int | float
Operator = Literal["<", "<=", ">", ">="]


class All(msgspec.Struct, frozen=True, tag=True):
    """Every one of these; of no conditions, every record."""

    conditions: tuple[Search, ...]


class AnyOf(msgspec.Struct, frozen=True, tag=True):
    """At least one of these."""

    conditions: tuple[Search, ...]


class Not(msgspec.Struct, frozen=True, tag=True):
    """Exactly the records that *condition* leaves out, those that lack the field among them."""

    condition: Search


class Equals(msgspec.Struct, frozen=True, tag=True):
    """
    The field is one of *values*.

    For an id a number is what its column holds, and text what ``extra`` keeps of an id that
    is no number. Of keys every value is compared as text. ``level`` is compared in any case.
    """

    field: str
    values: tuple[Value, ...]


class Compare(msgspec.Struct, frozen=True, tag=True):
    """The field is a number, or a time, on one side of *value*; times are aware."""

    field: str
    operator: Operator
    value: int | float | dt.datetime


class Severity(msgspec.Struct, frozen=True, tag=True):
    """The severity number is from *lowest* to *highest*, both inclusive; None is no limit."""

    lowest: int | None
    highest: int | None


class Present(msgspec.Struct, frozen=True, tag=True):
    """The field has a value."""

    field: str


class Prefix(msgspec.Struct, frozen=True, tag=True):
    """The field's text begins with *prefix*."""

    field: str
    prefix: str


class Contains(msgspec.Struct, frozen=True, tag=True):
    """The field's text has *text* in it, in any case."""

    field: str
    text: str


class Text(msgspec.Struct, frozen=True, tag=True):
    """A message, an error, a stage, …, or a value within ``extra`` has *text*, in any case."""

    text: str


class Last(msgspec.Struct, frozen=True, tag=True):
    """The record's time is at most *span* before now, or after it."""

    span: dt.timedelta


Search: TypeAlias = (
    All | AnyOf | Not | Equals | Compare | Severity | Present | Prefix | Contains | Text | Last
)

EVERYTHING = All(())


def both(*searches: Search) -> Search:
    """Give what all of *searches* let through, without a conjunction within another."""
    parts = tuple(part for each in searches for part in _conjoined(each))
    return parts[0] if len(parts) == 1 else All(parts)


def either(*searches: Search) -> Search:
    """Give what at least one of *searches* lets through, without nesting."""
    parts = tuple(
        part
        for each in searches
        for part in (each.conditions if isinstance(each, AnyOf) else (each,))
    )
    return parts[0] if len(parts) == 1 else AnyOf(parts)


def period(search: Search, now: dt.datetime) -> tuple[dt.datetime | None, dt.datetime | None]:
    """
    Give the earliest and the latest time that a record of *search* can have, None for no limit.

    Only what every record must meet is looked at, so the answer may be wider than needed.
    """
    starts: list[dt.datetime] = []
    ends: list[dt.datetime] = []
    for each in _conjoined(search):
        match each:
            case Last(span):
                starts.append(now - span)
            case Compare("timestamp", ">" | ">=", dt.datetime() as value):
                starts.append(value)
            case Compare("timestamp", _, dt.datetime() as value):
                ends.append(value)
    return max(starts, default=None), min(ends, default=None)


def _conjoined(search: Search) -> Iterator[Search]:
    if isinstance(search, All):
        for each in search.conditions:
            yield from _conjoined(each)
    else:
        yield search
