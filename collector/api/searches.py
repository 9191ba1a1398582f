"""
The search that a request's parameters ask for.

A name that is no parameter's is that of a field, as `storage.fields` reads it. Before it
``not.`` may stand, behind it one of ``.gte``, ``.gt``, ``.lte`` and ``.lt``: so
``not.stage=retry&duration_ms.gte=500``.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from collector import levels
from collector.api.decoding import invalid
from collector.search import parse, values
from collector.search.mistakes import Unfit
from collector.search.times import span
from storage import search as s
from storage.fields import KINDS, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from collector.api.parameters import Conditions

    Made = TypeVar("Made")

NOT = "not."
ENDINGS: dict[str, s.Operator] = {".gte": ">=", ".gt": ">", ".lte": "<=", ".lt": "<"}


def wanted(given: Conditions, others: dict[str, tuple[str, ...]]) -> s.Search:
    """
    Give the search that parameters ask for, *others* being those that no type describes.

    Raises:
        Unprocessable: a value is none of its field's, or the text of a search is none.
    """
    return s.both(
        *_times(given),
        *_columns(given),
        *(_other(name, texts) for name, texts in others.items()),
        *([] if given.q is None else [read("q", given.q, parse)]),
    )


def _times(given: Conditions) -> Iterator[s.Search]:
    if given.start_time is not None:
        yield s.Compare("timestamp", ">=", given.start_time)
    if given.end_time is not None:
        yield s.Compare("timestamp", "<=", given.end_time)
    if given.minutes is not None:
        yield s.Last(dt.timedelta(minutes=given.minutes))
    if given.last is not None:
        yield s.Last(read("last", given.last, span))


def _columns(given: Conditions) -> Iterator[s.Search]:
    for name in KINDS:
        if name != "level" and (found := getattr(given, name, ())):
            yield s.Equals(name, found)
    if given.level:
        yield _equal("level", "level", given.level)
    if given.min_level is not None:
        yield read("min_level", given.min_level, _at_least)
    if given.stage_prefix is not None and not given.stage:
        parts = s.Prefix("stage", f"{given.stage_prefix}:")
        yield s.either(s.Equals("stage", (given.stage_prefix,)), parts)
    if given.search is not None:
        yield s.Text(given.search)


def _other(name: str, texts: tuple[str, ...]) -> s.Search:
    bare = name.removeprefix(NOT)
    dotted, ending = bare[: bare.rfind(".")], bare[bare.rfind(".") :]
    if operator := ENDINGS.get(ending):
        compared = [
            read(name, text, lambda t: values.compared(dotted, field(dotted), operator, t))
            for text in texts
        ]
        found = s.both(*compared)
    else:
        found = _equal(name, bare, texts)
    return found if bare == name else s.Not(found)


def _equal(parameter: str, name: str, texts: tuple[str, ...]) -> s.Search:
    """Give the search for the field *name* being one of several values."""
    found = [read(parameter, text, lambda t: values.equal(name, field(name), t)) for text in texts]
    return values.any_of(name, found)


def _at_least(level: str) -> s.Search:
    if levels.span(level) is None:
        raise Unfit("a level's name")
    return values.compared("level", field("level"), ">=", level)


def read(name: str, text: str, reading: Callable[[str], Made]) -> Made:
    """Read the *text* of the parameter *name*, or raise Unprocessable for it."""
    try:
        return reading(text)
    except ValueError as exc:
        raise invalid(name, exc, text) from exc
