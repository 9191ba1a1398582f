"""
Any value of Python's as a plain one, which may be encoded later and in another thread.

A plain value is what OTLP's AnyValue can be, see `record.Plain`. What is plain already costs a
look at its type; the rest is copied, text being what is left of a type that is not known.
Nothing here raises, whatever a value's own methods do, and nothing that a program may log is
too large, too deep or too recursive: it is cut, which the value shows and `Record.cut` counts.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import operator
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from functools import lru_cache, singledispatch
from itertools import islice
from types import NoneType
from typing import TYPE_CHECKING, Any

import msgspec

from .limits import VALUES, ValueLimits

if TYPE_CHECKING:
    from collections.abc import Collection

    from .record import Plain, Record

LOWEST, HIGHEST = -(2**63), 2**63 - 1
RECORD_BYTES = 400  # a `Record` and its dict
VALUE_BYTES = 80  # an entry and its object's header

_SCALARS = frozenset((float, bool, NoneType))  # always plain; strings and integers have limits


def settle(record: Record, limits: ValueLimits = VALUES) -> None:
    """Make the body and the attributes of *record* plain, in place, and fill in its size."""
    attributes: dict[str, Any] = record.attributes
    if len(attributes) > limits.attributes or not _are_text(attributes):
        attributes = _with_good_keys(record, limits)
    walk = None
    room = limits.text
    size = RECORD_BYTES + VALUE_BYTES * len(attributes)
    for key, value in attributes.items():
        kind = type(value)
        if kind is str:
            if value.isascii() and len(value) <= room:
                size += len(value)
                continue
        elif kind in _SCALARS or (kind is int and LOWEST <= value <= HIGHEST):
            continue
        walk = walk or _Walk(limits)
        attributes[key] = walk.start(value)
    body = record.body
    if type(body) is str and body.isascii() and len(body) <= room:
        size += len(body)
    elif body is not None:
        walk = walk or _Walk(limits)
        record.body = walk.start(body)
    if walk is not None:
        size += walk.size
        record.cut += walk.cut
    record.size = size


def plain(value: Any, limits: ValueLimits = VALUES) -> Plain:
    """Give *value* as a plain one that shares nothing with it."""
    kind = type(value)
    if kind in _SCALARS or (kind is str and value.isascii() and len(value) <= limits.text):
        return value  # type: ignore[no-any-return]
    return _Walk(limits).start(value)


def _are_text(keys: Collection[object]) -> bool:
    try:
        return "".join(keys).isascii()  # type: ignore[arg-type]
    except TypeError:
        return False


def _with_good_keys(record: Record, limits: ValueLimits) -> dict[str, object]:
    """Give *record* attributes whose keys are text, the first of them where they are too many."""
    walk = _Walk(limits)
    kept = islice(record.attributes.items(), limits.attributes)
    record.dropped_attributes += max(0, len(record.attributes) - limits.attributes)
    record.attributes = {walk.key(key): value for key, value in kept}
    record.cut += walk.cut
    return record.attributes


class _Walk:
    """One record's way through its values: what of the limits is left, and what was used."""

    def __init__(self, limits: ValueLimits) -> None:
        self.cut = 0  # values that were shortened
        self.size = 0  # bytes they take, by and large
        self._limits = limits
        self._path: set[int] = set()
        self._renew()

    def start(self, value: object) -> Plain:
        """Give an attribute's or a body's value as a plain one."""
        self._renew()
        return self.visit(value)

    def _renew(self) -> None:
        self.items = self._limits.items  # that may still follow
        self._text = max(self._limits.text, self._limits.nested_text)  # characters likewise

    def visit(self, value: Any) -> Plain:
        """Give a value as a plain one, at whatever depth it was found."""
        kind = type(value)
        if kind is str:
            return self.text(value)
        if kind in _SCALARS:
            return value  # type: ignore[no-any-return]
        if kind is int:
            return self._integer(value)
        if id(value) in self._path:
            return f"<{kind.__name__} within itself>"
        if len(self._path) >= self._limits.depth:
            self.cut += 1
            return f"<{kind.__name__}, nested too deep>"
        return self._convert(value)

    def _integer(self, value: int) -> Plain:
        if LOWEST <= value <= HIGHEST:
            return value
        try:
            return self.text(str(value))
        except ValueError:  # longer than Python's limit for decimal digits
            return self.text(hex(value))

    def _convert(self, value: object) -> Plain:
        kind = type(value)
        self._path.add(id(value))
        try:
            if isinstance(value, Enum):
                return self.visit(value.value)
            return _convert.dispatch(kind)(value, self)
        except Exception as error:  # noqa: BLE001  any method of any class may have been called
            return self.text(f"<{kind.__name__} that raises {type(error).__name__}>")
        finally:
            self._path.discard(id(value))

    def text(self, value: str) -> str:
        """Give text that is UTF-8 and within the limits."""
        room = min(self._limits.text, self._text)
        if len(value) > room:
            self.cut += 1
            note = f"… (cut from {len(value)})"
            value = value[: room - len(note)] + note if room > len(note) else value[:room]
        self._text -= len(value)
        if value.isascii():
            self.size += len(value)
            return value
        try:
            self.size += len(value.encode())
        except UnicodeEncodeError:
            # UTF-16 joins two halves that belong together
            value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            self.size += 3 * len(value)
        return value

    def binary(self, value: bytes) -> bytes:
        """Give bytes that are within the limits."""
        room = min(self._limits.text, self._text)
        self.cut += len(value) > room
        value = value[:room]
        self._text -= len(value)
        self.size += len(value)
        return value

    def key(self, value: object) -> str:
        """Give the key of an attribute or a dict's entry as text."""
        if type(value) is not str:
            value = self.visit(value)
        return self.text(value if type(value) is str else str(value))

    def take(self, number: int) -> int:
        """Give how many of *number* items may be kept."""
        kept = min(number, self.items)
        self.items -= kept
        self.size += VALUE_BYTES * kept
        self.cut += kept < number
        return kept


@singledispatch
def _convert(value: Any, walk: _Walk) -> Plain:
    """Give an object of none of the types below: its fields, or its text."""
    names = _field_names(type(value))  # type: ignore[arg-type]  # classes do have a hash
    if names is not None:
        return _entries(
            {name: getattr(value, name) for name in names if hasattr(value, name)}, walk
        )
    if type(value).__module__ == "numpy":
        return _numpy(value, walk)
    return _subclass_of_text(str(value), walk)


@_convert.register(str)
def _subclass_of_text(value: str, walk: _Walk) -> Plain:
    return walk.text(str.__str__(str(value)))


@_convert.register(int)
def _subclass_of_int(value: int, walk: _Walk) -> Plain:
    return walk.visit(operator.index(value))


@_convert.register(float)
def _subclass_of_float(value: float, _walk: _Walk) -> Plain:
    return float(value)


@_convert.register(bytes)
@_convert.register(bytearray)
@_convert.register(memoryview)
def _bytes(value: bytes | bytearray | memoryview, walk: _Walk) -> Plain:
    return walk.binary(bytes(value))


@_convert.register(dt.date)  # and its subclass, datetime
@_convert.register(dt.time)
def _time(value: dt.date | dt.time, walk: _Walk) -> Plain:
    return walk.text(value.isoformat())


@_convert.register(dt.timedelta)
def _seconds(value: dt.timedelta, _walk: _Walk) -> Plain:
    return value.total_seconds()


@_convert.register(BaseException)
def _exception(value: BaseException, walk: _Walk) -> Plain:
    message = str(value)
    shown = f"{type(value).__qualname__}: {message}" if message else type(value).__qualname__
    if isinstance(value, BaseExceptionGroup):
        shown += f" [{'; '.join(str(walk.visit(each)) for each in value.exceptions)}]"
    return walk.text(shown)


@_convert.register(Mapping)
def _entries(value: Mapping[object, object], walk: _Walk) -> Plain:
    number = len(value)
    kept = list(islice(value.items(), walk.take(number)))  # before a thread can change it
    entries = {walk.key(key): walk.visit(each) for key, each in kept}
    if len(kept) < number:
        entries["…"] = f"{number - len(kept)} more"
    return entries


@_convert.register(Sequence)
def _elements(value: Collection[object], walk: _Walk) -> list[Plain]:
    number = len(value)
    kept = list(islice(value, walk.take(number)))
    elements: list[Plain] = [walk.visit(each) for each in kept]
    if len(kept) < number:
        elements.append(f"… ({number - len(kept)} more)")
    return elements


@_convert.register(AbstractSet)
def _members(value: AbstractSet[object], walk: _Walk) -> Plain:
    return sorted(_elements(value, walk), key=repr)  # the same set shows the same


def _numpy(value: Any, walk: _Walk) -> Plain:
    """Give a scalar or an array without importing numpy, which a service may not have."""
    number = getattr(value, "size", None)
    if number is None or number > walk.items:
        return walk.text(str(value))
    items = value.tolist()
    return walk.text(str(value)) if type(items) is type(value) else walk.visit(items)


@lru_cache(maxsize=512)
def _field_names(kind: type[Any]) -> tuple[str, ...] | None:
    """Give the names of a record-like class's fields, without those its repr hides."""
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind) if field.repr)
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    if attrs_fields := getattr(kind, "__attrs_attrs__", None):
        return tuple(field.name for field in attrs_fields if field.repr)
    if hasattr(kind, "__pydantic_fields__"):
        return tuple(name for name, field in kind.__pydantic_fields__.items() if field.repr)
    return None
