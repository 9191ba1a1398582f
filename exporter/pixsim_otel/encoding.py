"""
Records as the bytes of an OTLP ``ExportLogsServiceRequest``.

The wire format is written directly, because building protobuf's message objects costs
several times what all the rest of sending does. Parsed again, the bytes are what the SDK's
own encoder makes of the same records, but for this: a record without a body has none here,
and an empty one there.

Tags are ``field number << 3 | wire type``, with the numbers of ``logs.proto``,
``common.proto`` and ``resource.proto``.
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import msgspec

from .values import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from .record import Record

MOST_KNOWN = 1_000  # names, severities, resources and scopes that are kept encoded
LONGEST_KNOWN = 100  # characters of a name that is kept

_UINT64 = 2**64 - 1
_pack_times = struct.Struct("<BQBQ").pack
_pack_double = struct.Struct("<BBd").pack
_pack_flags = struct.Struct("<BI").pack

# What `Record` promises does not hold for one that raises these.
_NOT_PLAIN = (
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
    OverflowError,
    RecursionError,
    struct.error,
)


class Encoder:
    """Encodes batches; what comes again in the next one is kept encoded."""

    def __init__(self) -> None:
        self._names: dict[str, bytes] = {}
        self._severities: dict[tuple[int, str | None], bytes] = {}
        # By identity, for hashing a resource costs more than encoding a record. The object
        # is kept along, so that no other one can get its identity.
        self._resources: dict[int, tuple[Resource, _Group]] = {}
        self._scopes: dict[int, tuple[InstrumentationScope, _Group]] = {}

    def encode(self, records: Iterable[Record]) -> bytes:
        """Encode *records*, grouped by resource and scope, in their order within a group."""
        groups: dict[_Group, dict[_Group, list[bytes]]] = {}
        encoded: list[bytes] = []
        resource = scope = None
        for record in records:
            if record.resource is not resource or record.scope is not scope:
                resource, scope = record.resource, record.scope
                group = groups.setdefault(self._resource(resource), {})
                encoded = group.setdefault(self._scope(scope), [])
            try:
                message = self._record(record)
            except _NOT_PLAIN:
                message = self._record(_made_plain(record))
            encoded += (b"\x12", varint(len(message)), message)
        return b"".join(
            resource.around(scope.around(messages) for scope, messages in scopes.items())
            for resource, scopes in groups.items()
        )

    def _record(self, record: Record) -> bytes:
        time = record.time
        severity = (record.severity_number, record.severity_text)
        parts = [
            _pack_times(0x09, time, 0x59, record.observed_time or time),
            self._severities.get(severity) or self._severity(severity),
        ]
        if (body := record.body) is not None:
            parts += (b"\x2a", _ANY_VALUE[type(body)](body))
        names = self._names
        for name, value in record.attributes.items():
            head = names.get(name) or self._name(name)
            encoded = _ANY_VALUE[type(value)](value)
            size = len(head) + len(encoded)
            parts += (_ATTRIBUTE[size] if size < _SHORT else _tagged(0x32, size), head, encoded)
        if record.trace_id:
            parts += (b"\x4a\x10", record.trace_id.to_bytes(16, "big"))
        if record.span_id:
            parts += (b"\x52\x08", record.span_id.to_bytes(8, "big"))
        if record.flags:
            parts.append(_pack_flags(0x45, record.flags))
        if record.event_name:
            parts.append(_text(0x62, record.event_name))
        if record.dropped_attributes:
            parts.append(_tagged(0x38, record.dropped_attributes))
        return b"".join(parts)

    def _name(self, name: str) -> bytes:
        """Give all of a KeyValue that stands before the length of its value."""
        head = _text(0x0A, name) + b"\x12"
        if len(name) <= LONGEST_KNOWN:
            _keep(self._names, name, head)
        return head

    def _severity(self, severity: tuple[int, str | None]) -> bytes:
        number, text = severity
        encoded = _tagged(0x10, number) + (_text(0x1A, text) if text else b"")
        _keep(self._severities, severity, encoded)
        return encoded

    def _resource(self, resource: Resource) -> _Group:
        if found := self._resources.get(id(resource)):
            return found[1]
        message = b"".join(_attributes(0x0A, resource.attributes))
        group = _Group(_message(0x0A, message), _text(0x1A, resource.schema_url or ""))
        _keep(self._resources, id(resource), (resource, group))
        return group

    def _scope(self, scope: InstrumentationScope) -> _Group:
        if found := self._scopes.get(id(scope)):
            return found[1]
        message = _text(0x0A, scope.name or "") + _text(0x12, scope.version or "")
        message += b"".join(_attributes(0x1A, scope.attributes or {}))
        group = _Group(_message(0x0A, message), _text(0x1A, scope.schema_url or ""), tag=0x12)
        _keep(self._scopes, id(scope), (scope, group))
        return group


class _Group(msgspec.Struct, frozen=True):
    """A ResourceLogs or ScopeLogs: what stands before and after what it holds."""

    before: bytes
    after: bytes
    tag: int = 0x0A

    def around(self, messages: Iterable[bytes]) -> bytes:
        return _message(self.tag, b"".join((self.before, *messages, self.after)))


def _keep(known: dict[Any, Any], key: object, value: object) -> None:
    """Remember, and begin anew where a program makes up names without end."""
    if len(known) >= MOST_KNOWN:
        known.clear()
    known[key] = value


def _made_plain(record: Record) -> Record:
    """Give a copy that keeps what `Record` promises."""
    return msgspec.structs.replace(
        record,
        time=min(max(record.time, 0), _UINT64),
        observed_time=min(max(record.observed_time, 0), _UINT64),
        severity_text=plain(record.severity_text),
        body=plain(record.body),
        attributes=plain(record.attributes),
        event_name=plain(record.event_name),
    )


def varint(value: int) -> bytes:
    """Encode an integer of 0 to 2**64 - 1: seven bits a byte, the lowest first."""
    if value < 0x80:
        return bytes((value,))
    if value < 0x4000:  # as nearly all lengths are
        return bytes((value & 0x7F | 0x80, value >> 7))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _tagged(tag: int, value: int) -> bytes:
    return bytes((tag,)) + varint(value)


def _message(tag: int, content: bytes) -> bytes:
    return _tagged(tag, len(content)) + content


def _text(tag: int, text: str) -> bytes:
    """Encode a string that is none of a oneof's: not at all where it is empty."""
    return _message(tag, text.encode()) if text else b""


def _attributes(tag: int, attributes: Mapping[str, object]) -> list[bytes]:
    return [
        _message(tag, _text(0x0A, name) + b"\x12" + _ANY_VALUE[type(value)](value))
        for name, value in attributes.items()
    ]


# An AnyValue, its own length before it, by the type of the value.


def _string(value: str) -> bytes:
    text = value.encode()
    size = len(text)
    return _STRING[size] + text if size < _SHORT else _sized(_message(0x0A, text))


def _integer(value: int) -> bytes:
    if 0 <= value < _SHORT:
        return _INTEGER[value]
    if not -(2**63) <= value < 2**63:
        raise OverflowError(value)
    number = varint(value & _UINT64)
    return b"%c\x18%b" % (1 + len(number), number)


def _double(value: float) -> bytes:
    return _pack_double(0x09, 0x21, value)


def _bytes(value: bytes) -> bytes:
    return _sized(_message(0x3A, value))


def _list(values: Sequence[object]) -> bytes:
    array = [b"\x0a" + _ANY_VALUE[type(value)](value) for value in values]
    return _sized(_message(0x2A, b"".join(array)))


def _map(pairs: Mapping[str, object]) -> bytes:
    return _sized(_message(0x32, b"".join(_attributes(0x0A, pairs))))


def _sized(message: bytes) -> bytes:
    return varint(len(message)) + message


_ANY_VALUE: dict[type, Callable[[Any], bytes]] = {
    str: _string,
    int: _integer,
    bool: {False: b"\x02\x10\x00", True: b"\x02\x10\x01"}.__getitem__,
    float: _double,
    type(None): lambda _: b"\x00",
    bytes: _bytes,
    list: _list,
    tuple: _list,  # which resources and scopes have
    dict: _map,
}

# By their length or value, what most attributes begin with or are.
_SHORT = 1024
_ATTRIBUTE = [_tagged(0x32, size) for size in range(_SHORT)]
_STRING = [
    varint(size + len(head)) + head for size in range(_SHORT) for head in [_tagged(0x0A, size)]
]
_INTEGER = [_sized(_tagged(0x18, value)) for value in range(_SHORT)]
