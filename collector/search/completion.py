"""What may stand where somebody types in a search, finished or not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from collector.search.mistakes import LAST
from collector.search.parser import NAME
from collector.search.scanner import QUOTED, unquoted
from collector.search.writing import LEVELS, name, value
from storage.fields import COLUMNS, field

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Kind: TypeAlias = Literal["field", "operator", "value", "keyword"]

SPANS = ("15m", "1h", "24h", "7d")
MOST = 50  # suggestions

_ORDERED = {"id", "duration", "number", "time", "key", "level"}
_WORD = rf'{QUOTED}|".*|[^\s()"]+'
_BETWEEN = r"(?P<space>\s+)|(?P<open>\()|(?P<close>\))"
_IN_VALUES = re.compile(rf"{_BETWEEN}|(?P<word>{_WORD})", re.DOTALL)
_IN_TERMS = re.compile(
    rf"{_BETWEEN}|(?P<sign>-+)|(?P<name>{NAME.pattern})|(?P<word>{_WORD})", re.DOTALL
)
_TERM = re.compile(rf"{NAME.pattern}|{_WORD}|", re.DOTALL)
_VALUE = re.compile(rf"{_WORD}|", re.DOTALL)


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """A text that may stand there."""

    text: str
    kind: Kind
    count: int | None = None  # of recent records that have the value


class Typed(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is typed: the beginning of a term, or where *field* isn't None of a value of it.

    *beginning* is what stands before the cursor. A suggestion takes the place of *length*
    characters from *column*, from 1, which may reach beyond the cursor.
    """

    field: str | None
    beginning: str
    column: int
    length: int
    first: bool  # of its group of terms, or behind a keyword


def typed(text: str, at: int) -> Typed:
    """Tell what is typed in *text* before the column *at*; the end where it is beyond."""
    end = min(at - 1, len(text))
    before = text[:end]
    place, first = 0, True
    named: str | None = None  # the field that values are read for
    several = False  # of them, in parentheses
    while piece := (_IN_TERMS if named is None else _IN_VALUES).match(before, place):
        match piece.lastgroup:
            case "open":
                several, first = named is not None, True
            case "close":
                named, first = None, False
            case "name":
                named, several = unquoted(piece[0].rstrip(":<=>")), False
            case "word" if piece.end() == end:
                break
            case "word":
                first = piece[0] in {"OR", "AND", "NOT"}
                named = named if several else None
            case "space":
                named = named if several else None
        place = piece.end()
    whole = (_TERM if named is None else _VALUE).match(text, place)
    return Typed(
        field=named,
        beginning=before[place:],
        column=place + 1,
        length=len(whole[0]) if whole else 0,
        first=first,
    )


def terms(found: Typed, keys: Iterable[str]) -> list[Suggestion]:
    """Suggest how a term goes on: fields, with *keys* those that no column has, and keywords."""
    known = (*COLUMNS, LAST, *keys)
    fields = [
        Suggestion(text=f"{name(each) if each != LAST else LAST}:", kind="field")
        for each in _beginning(found.beginning, known)
    ]
    keywords = () if found.first else ("OR", "AND")
    words = [
        Suggestion(text=each, kind="keyword")
        for each in (*keywords, "NOT")
        if each.startswith(found.beginning)
    ]
    operators = list(_operators(found.beginning, known))
    return [*operators, *fields[: MOST - len(operators) - len(words)], *words]


def asked(found: Typed) -> str | None:
    """Give the beginning of the values that recent records are to be asked for, or None."""
    if found.field in {None, LAST, "level"} or field(found.field or "").kind == "time":
        return None
    return found.beginning.lstrip("*").lstrip('"').replace('\\"', '"')


def values(found: Typed, recent: Iterable[tuple[str, int]]) -> list[Suggestion]:
    """Suggest values of a field: its own, or the *recent* ones, each with its count."""
    own: dict[str | None, Iterable[str]] = {LAST: SPANS, "level": LEVELS.values()}
    names = _beginning(found.beginning, own.get(found.field, ()))
    return [
        *(Suggestion(text=each, kind="value") for each in names),
        *(Suggestion(text=value(text), kind="value", count=count) for text, count in recent),
    ]


def _operators(typed: str, known: Iterable[str]) -> Iterator[Suggestion]:
    """Suggest what may come behind a name that is complete."""
    if typed not in known or typed == LAST:
        return
    kind = field(typed).kind
    order = ("<", "<=", ">", ">=") if kind in _ORDERED else ()
    equal = () if kind == "time" else (":",)
    for each in (*equal, *order, ":*"):
        yield Suggestion(text=f"{name(typed)}{each}", kind="operator")


def _beginning(typed: str, known: Iterable[str]) -> list[str]:
    """Give those of *known* that begin with *typed* in any case, then those that have it."""
    lower = typed.lower()
    have = [each for each in dict.fromkeys(known) if lower in each.lower()]
    return sorted(have, key=lambda each: not each.lower().startswith(lower))
