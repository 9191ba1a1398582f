"""
Values of OTLP JSON, as msgspec decodes them, in the encoding of `collector.values`.

It is proto3's JSON: null is absent, unknown fields are ignored, names may also be
snake_case, and 64-bit integers come as strings or numbers.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from typing import TYPE_CHECKING, Any

import msgspec

from collector import values
from collector.receivers.otlp.refusal import Refused, expected

if TYPE_CHECKING:
    from collections.abc import Callable


def any_value(value: object, changes: set[str], depth: int = values.MAX_DEPTH) -> object:
    """
    Encode an AnyValue; of two kinds of value in it the last one counts.

    Raises:
        TooDeep: it is nested deeper than *depth*.
        Refused: it is not an AnyValue.
    """
    if value is None:
        return None
    if type(value) is not dict:
        raise expected("an object", value)
    kind = None
    for name, given in value.items():
        if given is not None and name in _KINDS:
            kind = name
    if kind is None:
        return None
    try:
        return _KINDS[kind](value[kind], changes, depth)
    except Refused as exc:
        raise exc.within(kind) from None


class KeyValue(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An attribute, where it is read with types."""

    key: str = ""
    value: dict[str, Any] | None = None


class _Value(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    string_value: str | msgspec.UnsetType = msgspec.UNSET
    int_value: int | str | msgspec.UnsetType = msgspec.UNSET
    double_value: float | msgspec.UnsetType = msgspec.UNSET


class SimpleKeyValue(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An attribute that is a text or a number."""

    key: str
    value: _Value

    def simple(self) -> object:
        """
        Encode the value as `any_value` does; UNSET where it takes a closer look.

        There must be no NUL in it.
        """
        unset, value = msgspec.UNSET, self.value
        number, double = value.int_value, value.double_value
        if (text := value.string_value) is not unset:
            return text if number is unset and double is unset else unset
        if number is not unset:
            if type(number) is str and len(number) <= LONGEST_DECIMAL and number.isdecimal():
                number = int(number)
            return number if type(number) is int and number in INT64 and double is unset else unset
        return unset if double is unset else values.double(double)


def key_values(
    pairs: object, changes: set[str], depth: int = values.MAX_DEPTH
) -> dict[str, object]:
    """
    Encode a list of `KeyValue`, or of dicts, as `any_value` does.

    Of equal keys the last one wins.
    """
    found: dict[str, object] = {}
    for place, pair in enumerate(array(pairs)):
        if type(pair) is KeyValue:
            key, value = values.clean(pair.key, changes), pair.value
        else:
            key, value = _pair(pair, place, changes)
        try:
            found[key] = any_value(value, changes, depth)
        except Refused as exc:
            raise exc.within(f"[{place}].value") from None
    return found


def _pair(pair: object, place: int, changes: set[str]) -> tuple[str, Any]:
    try:
        if type(pair) is not dict:
            raise expected("an object", pair)
        if "keyStrindex" in pair or "key_strindex" in pair:
            changes.add(values.INDEX)
        return string(pair.get("key"), "key", changes), pair.get("value")
    except Refused as exc:
        raise exc.within(f"[{place}]") from None


def array(value: object) -> list[object]:
    """Read an array, which may be absent."""
    if value is None:
        return []
    if type(value) is not list:
        raise expected("an array", value)
    return value


def string(value: object, field: str, changes: set[str]) -> str:
    """Read a string, which may be absent."""
    if value is None:
        return ""
    if type(value) is not str:
        raise expected("a string", value).within(field)
    return values.clean(value, changes)


def integer(value: object, allowed: range) -> int:
    """Read an integer, a number or a string that says one, within *allowed*."""
    found = value
    if type(value) is str:
        if len(value) <= 20 and (value.isdecimal() or value.removeprefix("-").isdecimal()):
            found = int(value)
        elif _NUMBER.fullmatch(value):  # proto3's JSON has exponents in strings too
            found = float(value)
    if type(found) is float and found.is_integer():
        found = int(found)
    if type(found) is not int or found not in allowed:
        raise expected(f"an integer from {allowed.start} to {allowed.stop - 1}", value)
    return found


def _string(value: object, changes: set[str], _depth: int) -> str:
    if type(value) is not str:
        raise expected("a string", value)
    return values.clean(value, changes)


def _bool(value: object, _changes: set[str], _depth: int) -> bool:
    if type(value) is not bool:
        raise expected("true or false", value)
    return value


def _int(value: object, _changes: set[str], _depth: int) -> int:
    return integer(value, INT64)


def _double(value: object, _changes: set[str], _depth: int) -> object:
    if type(value) is str and value in values.NAMED:
        return values.double(float(value))
    if type(value) in {int, float} or (type(value) is str and _NUMBER.fullmatch(value)):
        try:
            found = float(value)  # type: ignore[arg-type]
        except OverflowError:
            found = math.inf
        if math.isfinite(found):
            return values.double(found)
    raise expected("a number, NaN, Infinity or -Infinity", value)


def _bytes(value: object, _changes: set[str], _depth: int) -> object:
    if type(value) is not str:
        raise expected("a base64 string", value)
    standard = value.rstrip("=").translate(_URL_SAFE)
    try:
        raw = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):  # the latter where it is not ASCII
        raise expected("a base64 string", value) from None
    return values.binary(raw)


def _array(value: object, changes: set[str], depth: int) -> object:
    within = values.deeper(depth)
    found = []
    for place, each in enumerate(_listed(value)):
        try:
            found.append(any_value(each, changes, within))
        except Refused as exc:
            raise exc.within(f"values[{place}]") from None
    return found


def _kvlist(value: object, changes: set[str], depth: int) -> object:
    within = values.deeper(depth)
    try:
        return values.escaped(key_values(_listed(value), changes, within))
    except Refused as exc:
        raise exc.within("values") from None


def _listed(value: object) -> list[object]:
    if type(value) is not dict:
        raise expected("an object", value)
    return array(value.get("values"))


def _index(_value: object, changes: set[str], _depth: int) -> None:
    """Read an index into a dictionary of strings, which logs don't have."""
    changes.add(values.INDEX)


LONGEST_DECIMAL = 18  # digits, with which it is an int64
INT64 = range(-(2**63), 2**63)
_NUMBER = re.compile(r"-?[0-9]{1,400}(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?")
_URL_SAFE = str.maketrans("-_", "+/")
_KINDS: dict[str, Callable[[object, set[str], int], object]] = {
    "stringValue": _string,
    "string_value": _string,
    "boolValue": _bool,
    "bool_value": _bool,
    "intValue": _int,
    "int_value": _int,
    "doubleValue": _double,
    "double_value": _double,
    "arrayValue": _array,
    "array_value": _array,
    "kvlistValue": _kvlist,
    "kvlist_value": _kvlist,
    "bytesValue": _bytes,
    "bytes_value": _bytes,
    "stringValueStrindex": _index,
    "string_value_strindex": _index,
}
