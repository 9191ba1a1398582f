"""
OTLP values as JSON that Postgres keeps, and back: the one encoding, reversible.

What jsonb gives back exactly stands as it is: text, booleans, integers, most floating
point numbers, lists, maps, and null for the empty value. Anything else is a map with one
reserved key:

* ``{"$double": "NaN"}``  what a JSON number can't say (NaN, the infinities), or what jsonb
  would change: the sign of -0.0, and the "e" that tells 1e+22 from an integer
* ``{"$bytes": "aGk="}``  bytes, in base64
* ``{"$map": {…}}``       a map with one key that starts with "$"

Postgres has no NUL in a text; U+FFFD stands for it.
"""

from __future__ import annotations

import base64
import math
import re
from typing import TYPE_CHECKING, Any, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

# Maps or lists in each other. A map costs three levels of protobuf messages, a record is
# the fourth, and protobuf's decoders stop at a hundred.
MAX_DEPTH = 30

DOUBLE, BYTES, MAP = "$double", "$bytes", "$map"
SPECIAL = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
NAMED = frozenset(SPECIAL.values())

# What had to be changed on the way in.
NUL, UNICODE, INDEX = "nul", "unicode", "string_index"


class TooDeep(ValueError):
    """A value has more than `MAX_DEPTH` maps or lists in each other."""

    def __init__(self) -> None:
        super().__init__(f"more than {MAX_DEPTH} maps or lists in each other")


def clean(text: str, changes: set[str]) -> str:
    """Replace each NUL, and tell *changes* so."""
    if "\0" in text:
        changes.add(NUL)
        return text.replace("\0", "\ufffd")
    return text


def text(raw: bytes, changes: set[str]) -> str:
    """Decode UTF-8, replacing what is none, and each NUL."""
    try:
        decoded = raw.decode()
    except UnicodeDecodeError:
        changes.add(UNICODE)
        decoded = raw.decode(errors="replace")
    return clean(decoded, changes) if "\0" in decoded else decoded


def double(value: float) -> object:
    """Encode a floating point number."""
    if 1e-4 <= abs(value) < 1e15 or (value == 0 and math.copysign(1, value) > 0):
        return value
    shown = repr(value)
    return {DOUBLE: SPECIAL.get(shown, shown)}


def binary(value: bytes) -> object:
    """Encode bytes."""
    return {BYTES: base64.b64encode(value).decode()}


def deeper(depth: int) -> int:
    """Give the depth that is left inside a map or list, or raise `TooDeep`."""
    if depth == 0:
        raise TooDeep
    return depth - 1


def from_any_value(value: Any, changes: set[str], depth: int = MAX_DEPTH) -> object:
    """
    Encode a protobuf AnyValue whose strings are bytes (`receivers.otlp.protobuf`).

    Raises:
        TooDeep: it is nested deeper than *depth*.
    """
    if string := value.string_value:  # nearly all are this or a number, and WhichOneof is slow
        return text(string, changes)
    if number := value.int_value:
        return cast("int", number)
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    return _FROM_ANY_VALUE[kind](value, changes, depth)


def from_key_values(pairs: Any, changes: set[str], depth: int = MAX_DEPTH) -> dict[str, object]:
    """Encode protobuf KeyValues as `from_any_value` does; of equal keys the last one wins."""
    return dict(from_key_value(pair, changes, depth) for pair in pairs)


def from_key_value(pair: Any, changes: set[str], depth: int = MAX_DEPTH) -> tuple[str, object]:
    """Encode a protobuf KeyValue, as `from_any_value` does."""
    if pair.key_strindex:
        changes.add(INDEX)
    return text(pair.key, changes), from_any_value(pair.value, changes, depth)


def _array(value: Any, changes: set[str], depth: int) -> object:
    within = deeper(depth)
    return [from_any_value(each, changes, within) for each in value.array_value.values]


def _kvlist(value: Any, changes: set[str], depth: int) -> object:
    return escaped(from_key_values(value.kvlist_value.values, changes, deeper(depth)))


def _index(_value: Any, changes: set[str], _depth: int) -> None:
    """Read an index into a dictionary of strings, which logs don't have."""
    changes.add(INDEX)


_FROM_ANY_VALUE: dict[str, Callable[[Any, set[str], int], object]] = {
    "string_value": lambda _value, _changes, _depth: "",
    "bool_value": lambda value, _changes, _depth: value.bool_value,
    "int_value": lambda value, _changes, _depth: value.int_value,
    "double_value": lambda value, _changes, _depth: double(value.double_value),
    "bytes_value": lambda value, _changes, _depth: binary(value.bytes_value),
    "array_value": _array,
    "kvlist_value": _kvlist,
    "string_value_strindex": _index,
}


def escaped(pairs: dict[str, object]) -> dict[str, object]:
    """Tell a map of the sender's from one of ours."""
    if len(pairs) == 1 and next(iter(pairs)).startswith("$"):
        return {MAP: pairs}
    return pairs


def meant(value: dict[str, Any]) -> float | bytes | dict[str, Any]:
    """Give what a map stands for: a number, bytes, or a map of the sender's, still encoded."""
    match _reserved(value):
        case "$double":
            return float(value[DOUBLE])
        case "$bytes":
            return base64.b64decode(value[BYTES])
        case "$map":
            return cast("dict[str, Any]", value[MAP])
        case _:
            return value


def _reserved(value: dict[str, Any]) -> str | None:
    """Give the reserved key of a map of ours; others' rows may hold what only looks like one."""
    if len(value) != 1:
        return None
    ((key, given),) = value.items()
    if key == MAP:
        return MAP if isinstance(given, dict) else None
    form = _FORMS.get(key)
    return key if form and isinstance(given, str) and form.fullmatch(given) else None


_FORMS = {
    DOUBLE: re.compile(r"NaN|-?Infinity|-?[0-9]+(\.[0-9]+)?(e[+-][0-9]+)?"),
    BYTES: re.compile(r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"),
}


def plain(value: object) -> object:
    """Give the JSON to show a reader: bytes as base64, NaN and the infinities as strings."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    reserved = _reserved(value)
    if reserved == BYTES:
        return value[BYTES]
    if reserved == DOUBLE:
        shown = value[DOUBLE]
        return shown if shown in NAMED else float(shown)
    pairs = value[MAP] if reserved == MAP else value
    return {key: plain(each) for key, each in pairs.items()}


def as_text(value: object) -> str:
    """Give a value as text: a string is itself, the empty value is "", all else its JSON."""
    if isinstance(value, str):
        return value
    shown = "" if value is None else plain(value)
    return shown if isinstance(shown, str) else msgspec.json.encode(shown).decode()
