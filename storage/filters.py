"""A search as a condition in SQL."""

from __future__ import annotations

import datetime as dt
from functools import singledispatch
from typing import TYPE_CHECKING

from storage import fields
from storage import search as s
from storage.fields import field
from storage.trigrams import SEARCHED, as_json, containing, may_contain
from storage.where import Where, joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.fields import Field, Test

# What of a key's text is its number: all of it, or what `collector.values` wrapped.
NUMBER = r'^(?:\{"\$double": ")?([+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,3})?)(?:"\})?$'
PLAIN_NUMBER = r"^[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,3})?$"
LONGEST_NUMBER = 400  # characters; numeric has room for every one of these


def where(search: s.Search, now: dt.datetime) -> Where:
    """
    Give the condition that the rows of *search* meet at the time *now*, which is aware.

    Raises:
        ValueError: a field can't be asked so, such as a time for its prefix; what
            `collector.search` has read never is.
    """
    found = Where()
    for each in search.conditions if isinstance(search, s.All) else (search,):
        found.add(condition(each, found, now))
    return found


@singledispatch
def condition(search: s.Search, found: Where, now: dt.datetime) -> str:
    """Give the condition that *search* is, binding its values in *found*; see `where`."""
    raise TypeError(f"no condition is a {type(search).__name__} {found} {now}")


@condition.register
def _(search: s.All, found: Where, now: dt.datetime) -> str:
    conditions = [condition(each, found, now) for each in search.conditions]
    return joined("AND", conditions) or "true"


@condition.register
def _(search: s.AnyOf, found: Where, now: dt.datetime) -> str:
    conditions = [_unpruned(each, condition(each, found, now)) for each in search.conditions]
    return joined("OR", conditions) or "false"


@condition.register
def _(search: s.Not, found: Where, now: dt.datetime) -> str:
    # A row that lacks the field makes it neither true nor false, and is wanted.
    return f"({condition(search.condition, found, now)}) IS NOT TRUE"


@condition.register
def _(search: s.Equals, found: Where, _now: dt.datetime) -> str:
    return equals(found, search.field, search.values)


@condition.register
def _(search: s.Compare, found: Where, _now: dt.datetime) -> str:
    wanted = field(search.field)
    if wanted.kind != "key":
        value = f"{found.bind(search.value)}::{_type(wanted, search.value)}"
        return fields.holds(found, wanted, lambda each: f"{each} {search.operator} {value}")
    value = f"{found.bind(str(search.value))}::text::numeric"
    return fields.holds(
        found,
        wanted,
        lambda each: f"{number(each)} {search.operator} {value}",
    )


@condition.register
def _(search: s.Severity, found: Where, now: dt.datetime) -> str:  # noqa: ARG001
    # Not as arguments: only a constant proves that an index on warnings will do.
    ends = ((">=", search.lowest), ("<=", search.highest))
    limits = [f"severity_number {sign} {int(end)}" for sign, end in ends if end is not None]
    return " AND ".join(limits) or "true"


@condition.register
def _(search: s.Present, found: Where, _now: dt.datetime) -> str:
    def test(each: str) -> str:
        return f"{each} IS NOT NULL"

    wanted = field(search.field)
    present = fields.holds(found, wanted, test)
    if wanted.kind in {"id", "duration"}:
        return joined("OR", [present, fields.kept(wanted, test)])
    return present


@condition.register
def _(search: s.Prefix, found: Where, _now: dt.datetime) -> str:
    wanted = field(search.field)
    if wanted.kind == "level":
        return f"starts_with(lower(level), {found.bind(search.prefix.lower())})"
    prefix = found.bind(search.prefix)
    return fields.text(found, wanted, lambda each: f"starts_with({each}, {prefix})")


@condition.register
def _(search: s.Contains, found: Where, now: dt.datetime) -> str:
    wanted = field(search.field)
    collate, pattern = _collate(search.text), found.bind(containing(search.text))
    contained = fields.text(found, wanted, lambda each: f"{each} {collate} ILIKE {pattern}")
    if wanted.name not in SEARCHED and wanted.places != ("extra",):
        return contained
    if indexed := may_contain(found, search.text, pattern, now):
        return joined("AND", [_opaque(contained), *indexed])
    return contained


@condition.register
def _(search: s.Text, found: Where, now: dt.datetime) -> str:
    text = search.text
    collate, pattern = _collate(text), found.bind(containing(text))
    # All columns are looked through at once; what stands between them isn't in the text.
    between = found.bind(next(char for char in map(chr, range(1, 0xD800)) if char not in text))
    columns = f"concat_ws({between}, {', '.join(SEARCHED)}) {collate} ILIKE {pattern}"
    # All of `extra` as text is quicker to look through than its values one by one, and holds
    # each of them as JSON writes it.
    written = found.bind(containing(as_json(text)))
    extra = f"extra::text {collate} ILIKE {written}"
    values = (
        "EXISTS (SELECT FROM jsonb_path_query(extra, 'strict $.**') value"
        " WHERE jsonb_typeof(value) NOT IN ('object', 'array')"
        f" AND (value #>> '{{}}') {collate} ILIKE {pattern})"
    )
    # Few rows come beyond the first of these, or beyond an index, by which a scan would be
    # three times as slow. Of how many rows have the text only the index's condition speaks,
    # for it has statistics: Postgres takes the others, as CASE, to let half of them through.
    quick, exact = f"{columns} OR {extra}", f"{columns} OR ({extra} AND {values})"
    if indexed := may_contain(found, text, pattern, now):
        return joined("AND", [_opaque(quick), *indexed, _opaque(exact)])
    return exact


def _opaque(condition: str) -> str:
    """Hide a condition from the planner's estimate of how many rows meet it."""
    return f"CASE WHEN {condition} THEN true ELSE false END"


@condition.register
def _(search: s.Last, found: Where, now: dt.datetime) -> str:
    return f"timestamp >= {found.bind(now - search.span)}"


def _unpruned(search: s.Search, condition: str) -> str:
    """
    Keep Postgres from choosing partitions by a *condition* that is one of several.

    Where the times of one are in no partition but the default one, Postgres 15 leaves that out.
    """
    return f"({condition}) IS TRUE" if _of_time(search) else condition


def _of_time(search: s.Search) -> bool:
    match search:
        case s.All(conditions) | s.AnyOf(conditions):
            return any(map(_of_time, conditions))
        case s.Not(condition):
            return _of_time(condition)
        case s.Compare(name, _, _):
            return name == "timestamp"
        case _:
            return isinstance(search, s.Last)


def number(text: str) -> str:
    """Give the number that an expression's text is, as a numeric, or null."""
    # Most are plain, which is told in a third of the time that taking a part out takes.
    return (
        f"CASE WHEN length({text}) > {LONGEST_NUMBER} THEN NULL"
        f" WHEN {text} ~ '{PLAIN_NUMBER}' THEN {text}::numeric"
        f" ELSE substring({text} FROM '{NUMBER}')::numeric END"
    )


def equals(found: Where, name: str, values: Sequence[s.Value]) -> str:
    """Give the condition that the field *name* is one of *values*, binding them in *found*."""
    wanted = field(name)
    texts = [str(value) for value in values]
    if wanted.kind in {"text", "key"}:
        if name == "trace_id":
            # OTLP ids are kept in lower case, others as they were sent.
            texts = list(dict.fromkeys((*texts, *(text.lower() for text in texts))))
        return fields.holds(found, wanted, _among(found, texts, "text"))
    if wanted.kind == "level":
        lower = [text.lower() for text in texts]
        return _among(found, lower, "text")("lower(level)")
    conditions = []
    if numbers := [value for value in values if not isinstance(value, str)]:
        test = _among(found, numbers, _type(wanted, *numbers))
        conditions.append(fields.holds(found, wanted, test))
    if name != "job_id":  # of which each side has its index, and Postgres joins what they find
        texts = [value for value in values if isinstance(value, str)]
    if texts and wanted.kind not in {"id", "duration"}:
        raise ValueError(f"{name} is never {texts[0]!r}")
    if texts:
        conditions.append(fields.kept(wanted, _among(found, texts, "text")))
    return joined("OR", conditions) or "false"


def job(found: Where, value: str | int) -> list[str]:
    """
    Give what `equals` does of a job, for a hypertable: a row meets one condition at most.

    Of compressed rows no index leads to what ``extra`` has, so that a column has it too.
    """
    kept = fields.kept(field("job_id"), _among(found, [str(value)], "text"))
    ways = [f"{kept} AND {_among(found, [str(value)], 'text')('job_text')}"]
    if isinstance(value, int):
        ways.append(f"job_id = {found.bind(value)}::bigint")
    return ways


def _among(found: Where, values: Sequence[s.Value], of_type: str) -> Test:
    """Give the test that an expression is one of *values*."""
    if len(values) == 1:
        only = found.bind(values[0])
        return lambda each: f"{each} = {only}::{of_type}"
    several = found.bind(list(values))
    return lambda each: f"{each} = ANY ({several}::{of_type}[])"


def _type(wanted: Field, *values: object) -> str:
    """Give the type of values that a column can have; only `Compare` has times."""
    kind, of_type = _TYPES.get(wanted.kind, (type(None), ""))
    if not all(isinstance(value, kind) for value in values):
        raise ValueError(f"{wanted.name} is never {values[0]!r}")
    return of_type


_TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "id": (int, "bigint"),
    "number": (int, "bigint"),
    "duration": ((int, float), "float8"),
    "time": (dt.datetime, "timestamptz"),
}


def _collate(text: str) -> str:
    # COLLATE "C" takes half the time and knows no upper case beyond ASCII.
    return 'COLLATE "C"' if text.isascii() else 'COLLATE "default"'
