"""Wild searches, records to try them on, and the plain meaning of a search."""

from __future__ import annotations

import copy
import datetime as dt
import json
import operator
import re
from decimal import Decimal
from fractions import Fraction
from functools import singledispatch

from hypothesis import strategies as st

from collector import levels
from storage import search as s
from storage.fields import ALIKE, IDS, TEXTS, field
from storage.filters import SEARCHED
from storage.moments import moment, time
from storage.records import TIMES as RECORD_TIMES
from storage.records import Resource, Scope
from tests.builders import NOON, record

SECOND = dt.timedelta(seconds=1)
WORDS = ["a", "A", "ab", "ab:c", "Ä", "ä b", "%", "_", "\\", '"', "12", "012", "1.5", "true", "x*"]
NUMBERS = [-3, 0, 1, 12, 2**63 - 1]
FLOATS = [-0.5, 0.0, 1.5, 12.0, 1e14, 0.0001]
TIMES = [NOON + n * SECOND / 2 for n in range(-2, 3)]
LEVELS = ["info", "WARN", "error", "Fatal", "trace", "loud", "err"]
KEYS = ["extra.queue", "extra.n", "extra.a b", "host.name", "resource.host.name", "scope.name"]
KEYS += ["scope.version", "scope.lib", "extra.job_id", "extra."]
PLAIN = ["service", "stage", "msg", "error", "trace_id", "provider_id"]
WHOLE = ["job_id", "user_id", "artifact_id", "generation_id", "attempt"]

words = st.sampled_from(WORDS)
texts = words | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
some_text = texts.filter(bool)
whole = st.sampled_from(NUMBERS) | st.integers(-(2**63), 2**63 - 1)
floats = st.sampled_from(FLOATS) | st.floats(allow_nan=False, allow_infinity=False)
names = st.sampled_from(KEYS) | some_text.map("extra.{}".format)
orders = st.sampled_from(["<", "<=", ">", ">="])
# Text that would be a number is read as one.
id_texts = texts.map(str.strip).filter(lambda text: not re.fullmatch(r"[+-]?[0-9]+(\.0+)?", text))
duration_texts = st.sampled_from(["slow", "a b", ""])


def equals(fields, values):
    return st.builds(s.Equals, fields, st.lists(values, min_size=1, max_size=3).map(tuple))


def level(order, name):
    lowest, highest = levels.span(name)
    return {
        ":": s.Severity(lowest, highest),
        ">=": s.Severity(lowest, None),
        ">": s.Severity(highest + 1, None),
        "<=": s.Severity(None, highest),
        "<": s.Severity(None, lowest - 1),
    }[order]


of_text = st.sampled_from(PLAIN) | names
with_text = of_text | st.sampled_from(["level", "job_id", "artifact_id"])
any_field = with_text | st.sampled_from(["duration_ms", "severity_number", "timestamp", "flags"])
conditions = st.one_of(
    equals(of_text, texts),
    equals(st.sampled_from(WHOLE), whole | id_texts),
    equals(st.just("duration_ms"), floats | duration_texts),
    equals(st.sampled_from(["severity_number", "flags"]), whole),
    equals(st.just("level"), st.just("loud")),
    st.builds(level, orders | st.just(":"), st.sampled_from(["warn", "error", "fatal", "trace"])),
    st.builds(s.Compare, st.sampled_from([*WHOLE, "severity_number"]), orders, whole),
    st.builds(s.Compare, names | st.just("duration_ms"), orders, floats),
    st.builds(s.Compare, st.just("timestamp"), orders, st.sampled_from(TIMES)),
    st.builds(s.Present, any_field),
    equals(st.just("job_id"), st.sampled_from(NUMBERS)),
    st.builds(s.Prefix, with_text, some_text),
    st.builds(s.Prefix, st.just("level"), st.sampled_from(["e", "ERR", "Fa", "W"])),
    st.builds(s.Contains, with_text, some_text),
    st.builds(s.Text, some_text),
    st.builds(s.Last, st.timedeltas(dt.timedelta(), dt.timedelta(weeks=99_999))),
    st.builds(s.Last, st.sampled_from([dt.timedelta(), SECOND])),
)
searches = st.recursive(
    conditions,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: s.both(*parts)),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: s.either(*parts)),
        st.builds(s.Not, inner),
    ),
    max_leaves=8,
)

RESOURCES = {
    1: Resource(id=1, attributes='{"host.name": "ab"}'),
    2: Resource(id=2, attributes='{"host.name": 12, "extra": 1}'),
}
SCOPES = {
    1: Scope(id=1, name="", version="1.5", attributes='{"lib": "A"}'),
    2: Scope(id=2, name="ab", version="", attributes="{}"),
}
scalars = words | st.sampled_from([None, True, False, *NUMBERS, *FLOATS, {"$double": "1e+22"}])
records = st.fixed_dictionaries(
    {"timestamp": st.sampled_from(TIMES)},
    optional={
        "service": words,
        "level,severity_number": st.sampled_from(LEVELS).map(lambda n: (n, levels.number(n))),
        **dict.fromkeys([n for n in TEXTS if n != "service"], words),
        **dict.fromkeys(IDS, st.sampled_from(NUMBERS)),
        "duration_ms": st.sampled_from(FLOATS),
        "flags": st.sampled_from([0, 1, 12]),
        "resource_id": st.sampled_from([1, 2]),
        "scope_id": st.sampled_from([1, 2]),
        "extra": st.dictionaries(
            st.sampled_from(["queue", "n", "a b", "host.name", "", *WHOLE, "duration_ms"]),
            scalars | st.lists(scalars, max_size=2) | st.dictionaries(words, scalars, max_size=2),
            max_size=4,
        ),
    },
)


def made(fields):
    """Make a record of what `records` has drawn."""
    fields = copy.deepcopy(fields)
    if pair := fields.pop("level,severity_number", None):
        fields["level"], fields["severity_number"] = pair
    return record(**fields)


@singledispatch
def meets(search, row, now):
    """Tell whether *row* is one that *search* finds."""
    raise TypeError(search)


@meets.register
def _(search: s.All, row, now):
    return all(meets(each, row, now) for each in search.conditions)


@meets.register
def _(search: s.AnyOf, row, now):
    return any(meets(each, row, now) for each in search.conditions)


@meets.register
def _(search: s.Not, row, now):
    return not meets(search.condition, row, now)


@meets.register
def _(search: s.Equals, row, now):
    return any(is_value(row, search.field, value) for value in search.values)


@meets.register
def _(search: s.Compare, row, now):
    found = [each for each in numbers(row, search.field) if each is not None]
    return any(COMPARED[search.operator](each, search.value) for each in found)


@meets.register
def _(search: s.Severity, row, now):
    lowest, highest = search.lowest, search.highest
    number = row.severity_number
    return (lowest is None or number >= lowest) and (highest is None or number <= highest)


@meets.register
def _(search: s.Present, row, now):
    name = search.field
    found = [*numbers(row, name), *written_in(row, name), *kept(row, name)]
    return any(each is not None for each in found)


@meets.register
def _(search: s.Prefix, row, now):
    if search.field == "level":
        return row.level.lower().startswith(search.prefix.lower())
    return any(each.startswith(search.prefix) for each in written_in(row, search.field))


@meets.register
def _(search: s.Contains, row, now):
    return any(contains(each, search.text) for each in written_in(row, search.field))


@meets.register
def _(search: s.Text, row, now):
    found = [getattr(row, name) for name in SEARCHED] + list(leaves(row.extra))
    return any(contains(each, search.text) for each in found if each is not None)


@meets.register
def _(search: s.Last, row, now):
    return row.timestamp >= moment(now - search.span)


COMPARED = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def is_value(row, name, value):
    wanted = field(name)
    if wanted.kind == "level":
        return row.level.lower() == value.lower()
    if name == "trace_id":
        return row.trace_id in {value, value.lower()}
    if wanted.kind in {"text", "key"}:
        return str(value) in written_in(row, name)
    if isinstance(value, str) or name == "job_id":
        found = str(value) in kept(row, name)
        return found if isinstance(value, str) else found or row.job_id == value
    return value in [getattr(row, each) for each in ALIKE.get(name, (name,))]


def numbers(row, name):
    """The numbers, or times, that a field has."""
    if field(name).kind != "key":
        found = [getattr(row, each) for each in ALIKE.get(name, (name,))]
        return [time(each) if name in RECORD_TIMES and each is not None else each for each in found]
    return [as_number(each) for each in written_in(row, name)]


def as_number(text):
    """The number that a text is, or that `collector.values` wrapped; exact, as numeric is."""
    wrapped = re.fullmatch(r'\{"\$double": "(.*)"\}', text)
    text = wrapped[1] if wrapped else text
    number = re.fullmatch(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?", text)
    return Fraction(Decimal(text)) if number else None


def kept(row, name):
    """The texts that extra keeps of an id."""
    if field(name).kind not in {"id", "duration"}:
        return []
    names = [each for each in ALIKE.get(name, (name,)) if getattr(row, each) is None]
    found = [shown((row.extra or {}).get(each)) for each in names]
    return [each for each in found if each is not None]


def written_in(row, name):
    """The texts of a field."""
    wanted = field(name)
    if wanted.kind == "id":
        own = [getattr(row, each) for each in ALIKE.get(name, (name,))]
        return [str(each) for each in own if each is not None] + kept(row, name)
    if wanted.kind != "key":
        value = getattr(row, name)
        return [value] if isinstance(value, str) else []
    places = {
        "extra": row.extra or {},
        "resource": json.loads(RESOURCES[row.resource_id].attributes) if row.resource_id else {},
        "scope": scope(SCOPES[row.scope_id]) if row.scope_id else {},
    }
    found = [shown(places[place].get(wanted.name)) for place in wanted.places]
    return [each for each in found if each is not None]


def scope(of):
    own = {"name": of.name or None, "version": of.version or None}
    return {**json.loads(of.attributes), **own}


def shown(value):
    """A value of JSON as Postgres' ->> gives it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict):
        return json.dumps(ordered(value), ensure_ascii=False)
    return str(value)


def ordered(value):
    if isinstance(value, list):
        return [ordered(each) for each in value]
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return {key: ordered(value[key]) for key in keys}
    return value


def leaves(value):
    """The texts of all that isn't a map or a list."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from leaves(each)
    elif value is not None:
        yield shown(value)


def contains(value, text):
    """Tell whether *value* has *text* in it: in any case, of ASCII only where it is ASCII."""
    if text.isascii():
        return ascii_lower(text) in ascii_lower(value)
    return text.lower() in value.lower()


def ascii_lower(text):
    return re.sub("[A-Z]+", lambda match: match[0].lower(), text)
