"""
OTLP in protobuf, written as bytes: building the library's message objects takes six times as long.

A tag is ``field number << 3 | wire type``, with the numbers of ``logs.proto``, ``common.proto``
and ``resource.proto``. https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec

from collector import values
from storage.records import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from collector.exporters.otlphttp.mapping import Groups, Record, Scopes
    from storage.records import Resource

MEDIA = "application/x-protobuf"
MOST_KNOWN = 1_000  # of each kind, such as names of attributes, that are kept as they are written
LONGEST_KNOWN = 200  # characters of what is kept
MOST_PAIRS = 10_000  # names with their values
_UINT64 = 2**64 - 1
_times = struct.Struct("<BQBQ").pack
_double = struct.Struct("<BBd").pack
_flags = struct.Struct("<BI").pack


def varint(number: int) -> bytes:
    """Write a number from 0 to 2**64 - 1: seven bits a byte, the lowest first."""
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


# What stands before a short text or message, nearly all of which are: the longest is below this.
SHORT = 1024  # bytes
_LENGTHS = [varint(size) for size in range(SHORT)]
_PAIR = [b"\x32" + size for size in _LENGTHS]  # a record's attribute
_STRING = [varint(1 + len(size) + n) + b"\x0a" + size for n, size in enumerate(_LENGTHS)]
_INTEGER = [varint(1 + len(number)) + b"\x18" + number for number in _LENGTHS]  # the number


class Known(dict[Any, Any]):
    """What is written of values that come again; begun anew where senders make up too many."""

    def __init__(self, write: Callable[[Any], Any], most: int = MOST_KNOWN) -> None:
        super().__init__()
        self._write, self._most = write, most

    def __missing__(self, value: Any) -> Any:
        """Write it, and keep it if it is short."""
        written = self._write(value)
        if len(self) >= self._most:
            self.clear()
        if len(str(value)) <= LONGEST_KNOWN:
            self[value] = written
        return written


class Heads(dict[int, bytes]):
    """What stands before a text or message, by the bytes that this has."""

    def __init__(self, head: Callable[[int], bytes]) -> None:
        super().__init__()
        self._head = head

    def __missing__(self, size: int) -> bytes:
        """Write it, and keep it if it is of something short."""
        head = self._head(size)
        if size < SHORT:
            self[size] = head
        return head


_RECORD = Heads(lambda size: b"\x12" + varint(size))


def record(given: Record) -> bytes:
    """Write a LogRecord."""
    parts = [
        _times(0x09, given.time, 0x59, given.observed),
        severities[given.severity_number, given.severity_text],
    ]
    if (body := given.body) is not msgspec.UNSET:
        parts += (b"\x2a", _WRITERS[type(body)](body))
    for name, value in given.attributes.items():
        kind = type(value)
        if kind is int or (kind is str and len(value) <= LONGEST_KNOWN):
            parts.append(_known_pair(name, value))
        else:
            parts.append(pair(name, value))
    if dropped := given.dropped_attributes_count:
        parts.append(b"\x38" + varint(dropped))
    if flags := given.flags:
        parts.append(_flags(0x45, flags))
    if trace_id := given.trace_id:
        parts += (b"\x4a\x10", trace_id)
    if span_id := given.span_id:
        parts += (b"\x52\x08", span_id)
    if event_name := given.event_name:
        parts.append(_text(0x62, event_name))
    return b"".join(parts)


def request(groups: Groups) -> bytes:
    """Write an ExportLogsServiceRequest of records that are written already."""
    parts: list[bytes] = []  # to the end, for each copy of them all takes its time
    for resource, scopes in groups.items():
        parts += _resource_logs(resource, scopes)
    return b"".join(parts)


def any_value(value: object) -> bytes:
    """Write the AnyValue that *value* is the encoding of, its length in front."""
    return _WRITERS[type(value)](value)


def pair(name: str, value: object) -> bytes:
    """Write an attribute of a record."""
    head: bytes = _names[name]
    written = _WRITERS[type(value)](value)
    size = len(head) + len(written)
    return (_PAIR[size] if size < SHORT else b"\x32" + varint(size)) + head + written


# Of most names the values are few. Floats are none of them: 0.0 and -0.0 are equal.
_known_pair = lru_cache(MOST_PAIRS, typed=True)(pair)


def _resource_logs(resource: Resource | None, scopes: Scopes) -> Sequence[bytes]:
    parts = [_origin(resource)]
    for scope, records in scopes.items():
        parts += _scope_logs(scope, records)
    return _headed(0x0A, parts, resource.schema_url if resource else "")


def _scope_logs(scope: Scope | None, records: Sequence[bytes]) -> Sequence[bytes]:
    heads = map(_RECORD.__getitem__, map(len, records))
    parts = [_origin(scope), *chain.from_iterable(zip(heads, records, strict=True))]
    return _headed(0x12, parts, scope.schema_url if scope else "")


def _headed(tag: int, parts: list[bytes], url: str) -> Sequence[bytes]:
    """Give the parts of a message that ends with the URL of a schema."""
    parts.append(_text(0x1A, url))
    return bytes((tag,)) + varint(sum(map(len, parts))), *parts


def _origin(origin: Resource | Scope | None) -> bytes:
    """Write a Resource or an InstrumentationScope, the first field of what has it."""
    if origin is None:
        return b""
    attributes, dropped, parts = 0x0A, 0x10, []
    if isinstance(origin, Scope):
        attributes, dropped = 0x1A, 0x20
        parts = [_text(0x0A, origin.name), _text(0x12, origin.version)]
    parts += _pairs(attributes, msgspec.json.decode(origin.attributes))
    if count := origin.dropped_attributes_count:
        parts.append(bytes((dropped,)) + varint(count))
    return _message(0x0A, parts)


def _message(tag: int, parts: Iterable[bytes]) -> bytes:
    return bytes((tag,)) + sized(b"".join(parts))


def _text(tag: int, text: str) -> bytes:
    """Write a text, which is not there at all where it is empty."""
    return bytes((tag,)) + sized(text.encode()) if text else b""


def sized(data: bytes) -> bytes:
    """Write *data* with its length in front."""
    size = len(data)
    return (_LENGTHS[size] if size < SHORT else varint(size)) + data


def _pairs(tag: int, pairs: Mapping[str, object]) -> list[bytes]:
    """Write KeyValues."""
    return [_message(tag, (_names[name], any_value(value))) for name, value in pairs.items()]


def _name(name: str) -> bytes:
    """Write all of a KeyValue that stands before the length of its value."""
    return b"\x0a" + sized(name.encode()) + b"\x12"


def _severity(both: tuple[int, str]) -> bytes:
    number, text = both
    return (b"\x10" + varint(number & _UINT64) if number else b"") + _text(0x1A, text)


_names = Known(_name)
severities = Known(_severity)  # by number and text


def _string(value: str) -> bytes:
    text = value.encode()
    size = len(text)
    return _STRING[size] + text if size < SHORT else sized(b"\x0a" + sized(text))


def _integer(value: int) -> bytes:
    if 0 <= value < SHORT:
        return _INTEGER[value]
    if not -(2**63) <= value < 2**63:  # a row that somebody else wrote
        return _string(str(value))
    return sized(b"\x18" + varint(value & _UINT64))


def _float(value: float) -> bytes:
    return _double(0x09, 0x21, value)


def _list(value: list[object]) -> bytes:
    return sized(_message(0x2A, [b"\x0a" + any_value(each) for each in value]))


def _map(value: dict[str, Any]) -> bytes:
    meaning = values.meant(value)
    if isinstance(meaning, float):
        return _float(meaning)
    if isinstance(meaning, bytes):
        return sized(b"\x3a" + sized(meaning))
    return sized(_message(0x32, _pairs(0x0A, meaning)))


_WRITERS: dict[type, Callable[[Any], bytes]] = {
    str: _string,
    bool: {False: b"\x02\x10\x00", True: b"\x02\x10\x01"}.__getitem__,
    int: _integer,
    float: _float,
    list: _list,
    dict: _map,
    type(None): lambda _: b"\x00",
}
