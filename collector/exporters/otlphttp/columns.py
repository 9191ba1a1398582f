"""
A LogRecord of OTLP in protobuf, straight from the columns of a row that came by OTLP.

It says what `protobuf.record` says of `mapping.record`, in a third of the time, for rows that
are as nearly all are. For the others there is the long way.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from operator import getitem, itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from collector.exporters.otlphttp import mapping, protobuf
from collector.exporters.otlphttp.protobuf import SHORT, sized, varint
from storage.moments import FROM_1970, sent
from storage.records import COLUMNS, PROMOTABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.stored import Stored

Columns: TypeAlias = "tuple[Any, ...]"

MOST_VALUES = 10_000  # of each attribute, that are kept as they are written
LONGEST_VALUE = 200  # bytes of one
MOST_OBJECTS = 1_000  # of all other attributes of a record together, kept likewise
LONGEST_OBJECT = 200  # characters of JSON
PLAIN = {None, '{"no_observed": true}'}  # as jsonb is shown, of what no column holds
TEXTS = {"request_id", "provider_job_id", "error"}  # of which nearly each one is another
FLOATS = {"duration_ms"}
_BITS = {name: 1 << place for place, name in enumerate(PROMOTABLE)}
_PLACES = {name: place for place, name in enumerate(COLUMNS)}


def _of(*names: str) -> Callable[[Columns], Columns]:
    """Give what reads the columns *names*."""
    return itemgetter(*map(COLUMNS.index, names))


_times_of = _of("timestamp", "timestamp_ns", "observed_timestamp", "observed_timestamp_ns")
_contents = _of("severity_number", "level", "msg", "promoted", "extra", "otlp", "resource_id")
_context = _of("flags", "trace_id", "span_id", "event_name")
_times = struct.Struct("<BQBQ").pack
_flags = struct.Struct("<BI").pack
_double = struct.Struct("<d").pack
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def record(stored: Stored) -> bytes | None:
    """Write the LogRecord of *stored*; None where that needs the long way."""
    if (columns := stored.columns) is None:
        return None
    time, time_ns, observed, observed_ns = _times_of(columns)
    number, level, text, promoted, extra, otlp, resource_id = _contents(columns)
    if observed_ns is None or otlp not in PLAIN or (stored.resource is None and resource_id):
        return None
    first = last = _nanoseconds(time, time_ns)
    if observed_ns != time_ns or observed != time:
        last = _nanoseconds(observed or time, observed_ns)
    parts = [_times(0x09, first, 0x59, last), protobuf.severity(number, level)]
    if text is not None:
        data = text.encode()
        parts += (_body[len(data)], data)
    if promoted:
        _add_promoted(parts, columns, promoted)
    if extra is not None:
        others, bits = _others[extra] if len(extra) <= LONGEST_OBJECT else _pairs(extra)
        if others is None or bits & (promoted or 0):
            return None
        parts.append(others)
    _add_rest(parts, *_context(columns))
    return b"".join(parts)


def _nanoseconds(time: bytes, rest: int | None) -> int:
    """Give what timestamptz_send has written as ns since 1970; *rest* are those below a µs."""
    return (sent(time) + FROM_1970) * 1_000 + (rest or 0)


class _Heads(dict[int, bytes]):
    """What stands before a text, by the bytes that this has."""

    def __init__(self, head: Callable[[int], bytes]) -> None:
        super().__init__()
        self._head = head

    def __missing__(self, size: int) -> bytes:
        head = self._head(size)
        if size < SHORT:
            self[size] = head
        return head


class _Values(dict["int | str | None", bytes]):
    """An attribute of which there are few values, whole; nothing where it has been deleted."""

    def __init__(self, name: str) -> None:
        super().__init__({None: b""})
        self._name = name

    def __missing__(self, value: int | str) -> bytes:
        written = protobuf.pair(self._name, value)
        if len(self) >= MOST_VALUES:
            self.clear()
            self[None] = b""
        if len(written) <= LONGEST_VALUE:
            self[value] = written
        return written


class _Others(dict[str, "tuple[bytes | None, int]"]):
    """All attributes that are in no column, by their JSON."""

    def __missing__(self, text: str) -> tuple[bytes | None, int]:
        if len(self) >= MOST_OBJECTS:
            self.clear()
        self[text] = written = _pairs(text)
        return written


Texts: TypeAlias = "list[tuple[int, _Heads]]"
Floats: TypeAlias = "list[tuple[int, bytes]]"


@lru_cache(maxsize=1_000)
def _layout(bits: int) -> tuple[list[_Values], Callable[[Columns], Columns], Texts, Floats]:
    """Give how the columns that *bits* stand for are written, and where they are."""
    names = [name for bit, name in enumerate(PROMOTABLE) if bits >> bit & 1]
    few = [name for name in names if name in _values]
    return (
        [_values[name] for name in few],
        itemgetter(*map(_PLACES.__getitem__, few), 0, 0),  # of one alone it gives no tuple
        [(_PLACES[n], _texts[n]) for n in names if n in _texts],
        [(_PLACES[n], _attribute(n, b"\x21", 8)) for n in names if n in FLOATS],
    )


def _add_promoted(parts: list[bytes], columns: Columns, promoted: int) -> None:
    """Write the attributes that are kept in columns."""
    values, pick, texts, floats = _layout(promoted)
    parts += map(getitem, values, pick(columns))
    for place, heads in texts:
        if (text := columns[place]) is not None:  # or somebody has deleted it
            data = text.encode()
            parts += (heads[len(data)], data)
    for place, head in floats:
        if (number := columns[place]) is not None:
            parts += (head, _double(number))


def _add_rest(
    parts: list[bytes],
    flags: int | None,
    trace_id: str | None,
    span_id: str | None,
    event_name: str | None,
) -> None:
    """Write what stands behind the attributes."""
    if flags:
        parts.append(_flags(0x45, mapping.uint32(flags)))
    if found := mapping.identifier(trace_id, 16):
        parts += (b"\x4a\x10", found)
    if found := mapping.identifier(span_id, 8):
        parts += (b"\x52\x08", found)
    if event_name:
        data = event_name.encode()
        parts += (_event_name[len(data)], data)


def _pairs(text: str) -> tuple[bytes | None, int]:
    """Write the attributes of a JSON object, or None; give the bits of `PROMOTABLE` it has too."""
    try:
        found = _decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None, 0
    bits = sum(_BITS.get(name, 0) for name in found)
    return b"".join([protobuf.pair(name, value) for name, value in found.items()]), bits


def _attribute(name: str, tag: bytes, size: int) -> bytes:
    """Write all of an attribute but its value, which has *size* bytes, *tag* and all before it."""
    key = b"\x0a" + sized(name.encode())
    value = b"\x12" + varint(len(tag) + size) + tag
    return b"\x32" + varint(len(key) + len(value) + size) + key + value


def _text(size: int) -> bytes:
    """Give what stands before a text in an AnyValue."""
    return b"\x0a" + varint(size)


_body = _Heads(lambda size: b"\x2a" + varint(len(_text(size)) + size) + _text(size))
_event_name = _Heads(lambda size: b"\x62" + varint(size))
_texts = {
    name: _Heads(lambda size, name=name: _attribute(name, _text(size), size))  # type: ignore[misc]
    for name in TEXTS
}
_values = {name: _Values(name) for name in PROMOTABLE if name not in TEXTS | FLOATS}
_others = _Others()
