"""
OTLP in protobuf, read shallowly.

The messages are opentelemetry-proto's, with two differences. Strings are bytes, so that
one that is not UTF-8 doesn't cost its whole request. And what is mostly the same from record
to record and from request to request stays encoded, to be looked up instead of being read again:
attributes, resources and scopes. Where a request can't be read so, its log records stay encoded
too: a broken record costs only itself.
"""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING, Any

import msgspec
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.resource.v1 import resource_pb2

from collector import values
from collector.correlation import MOST_OF_A_NAME, Name, filled
from collector.errors import BadRequest, Violation
from collector.receivers.otlp import mapping
from collector.receivers.otlp.mapping import LONGEST_ORIGIN, MOST_ORIGINS, Group, Origin
from collector.receivers.otlp.refusal import TOO_DEEP, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.correlation import Attribute, Columns
    from collector.receivers.otlp.mapping import Shared
    from storage.records import LogRecord

LEFT_ENCODED = {("LogRecord", "attributes"), ("ResourceLogs", "resource"), ("ScopeLogs", "scope")}
RECORDS = ("ScopeLogs", "log_records")
# The wire format: tags of KeyValue's and of AnyValue's fields, and how lengths are told.
KEY, VALUE = 0x0A, 0x12
STRING, INTEGER, DOUBLE = 0x0A, 0x18, 0x21
LENGTH_OF_ONE_BYTE = 128  # a length below it is
CONTINUED = 128  # a byte of a varint below it is the last
LONGEST_VARINT = 10  # bytes, which a negative number has
_double = struct.Struct("<d")
MOST_HEADS = 10_000  # names with the length and the kind of a value
LONGEST_SEEN = 200  # bytes of an attribute that is looked up the next time
UNKNOWN = (Name(""), 0, -1)  # the name of an attribute


def _shallow(left: set[tuple[str, str]]) -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for module in (common_pb2, resource_pb2, logs_pb2, logs_service_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for message in file.message_type:
            for field in message.field:
                string = field.type == field.TYPE_STRING
                if string or (message.name, field.name) in left:
                    field.type = field.TYPE_BYTES
                    field.ClearField("type_name")
        pool.Add(file)
    return pool


def message_class(name: str, pool: descriptor_pool.DescriptorPool) -> Any:
    """Make the class of one of the messages, such as ``common.v1.AnyValue``."""
    descriptor = pool.FindMessageTypeByName(f"opentelemetry.proto.{name}")
    return message_factory.GetMessageClass(descriptor)


_POOL = _shallow(LEFT_ENCODED)
_REQUEST = message_class("collector.logs.v1.ExportLogsServiceRequest", _POOL)
_RECORD = message_class("logs.v1.LogRecord", _POOL)
_RESOURCE = message_class("resource.v1.Resource", _POOL)
_SCOPE = message_class("common.v1.InstrumentationScope", _POOL)
_KEY_VALUE = message_class("common.v1.KeyValue", _POOL)
_UNREAD = message_class(
    "collector.logs.v1.ExportLogsServiceRequest", _shallow(LEFT_ENCODED | {RECORDS})
)


def groups(body: bytes, *, at_once: bool = False) -> Iterator[Group]:
    """
    Read a request, with *at_once* and its records, else as far as its records.

    Raises:
        BadRequest: it is not an ``ExportLogsServiceRequest``.
    """
    request, read = _request(body, at_once=at_once)
    for place, resource_logs in enumerate(request.resource_logs):
        path = f"resourceLogs[{place}]"
        resource, refused = _origin(_RESOURCE, resource_logs.resource, resource_logs.schema_url)
        for within, scope_logs in enumerate(resource_logs.scope_logs):
            scope, scope_refused = _origin(_SCOPE, scope_logs.scope, scope_logs.schema_url)
            group = Group(
                path=f"{path}.scopeLogs[{within}]",
                resource=resource,
                scope=scope,
                records=scope_logs.log_records[:],  # which iterates in half the time
                read=read,
            )
            if refused is not None:
                group.refused = refused.within(f"{path}.resource")
            elif scope_refused is not None:
                group.refused = scope_refused.within(f"{group.path}.scope")
            yield group


def _request(body: bytes, *, at_once: bool) -> tuple[Any, bool]:
    if at_once:
        try:
            return _REQUEST.FromString(body), True
        except DecodeError:
            pass  # perhaps it is one record
    try:
        return _UNREAD.FromString(body), False
    except DecodeError as exc:
        problem = "the body is not an ExportLogsServiceRequest in protobuf"
        raise BadRequest(problem, (Violation("", str(exc)),)) from exc


def _origin(kind: Any, raw: bytes, schema_url: bytes) -> tuple[Origin, Refused | None]:
    """Read a Resource or an InstrumentationScope."""
    if len(raw) + len(schema_url) > LONGEST_ORIGIN:
        return _read_origin(kind, raw, schema_url)
    origin, refused = _kept_origin(kind, raw, schema_url)
    origin.kept = True
    return origin, refused


def _read_origin(kind: Any, raw: bytes, schema_url: bytes) -> tuple[Origin, Refused | None]:
    changes: set[str] = set()
    origin = Origin(schema_url=values.text(schema_url, changes), changes=changes)
    try:
        message = kind.FromString(raw)
    except DecodeError as exc:
        return origin, Refused(str(exc))
    origin.dropped_attributes_count = message.dropped_attributes_count
    origin.name = values.text(getattr(message, "name", b""), changes)
    origin.version = values.text(getattr(message, "version", b""), changes)
    try:
        origin.attributes = values.from_key_values(message.attributes, changes)
    except values.TooDeep as exc:
        return origin, Refused(str(exc), "attributes", TOO_DEEP)
    return origin, None


_kept_origin = functools.lru_cache(MOST_ORIGINS)(_read_origin)


def record(raw: Any, shared: Shared, columns: Columns, now: int, changes: set[str]) -> LogRecord:
    """
    Read one log record; see `mapping.Decoder`.

    Raises:
        Refused: it is not a ``LogRecord``.
        TooDeep: a value in it is.
    """
    try:
        message = _RECORD.FromString(raw) if type(raw) is bytes else raw
        seen = columns.seen
        attributes = [
            # a slice is made in half the time that iterating takes
            seen.get(each) or _attribute(each, columns, changes)
            for each in message.attributes[:]
        ]
    except DecodeError as exc:
        raise Refused(str(exc)) from exc
    row = filled(shared, attributes)
    row.severity_number = number = message.severity_number
    row.level = level = values.text(message.severity_text, changes)
    if not number or not level:
        mapping.derive_severity(row)
    mapping.set_times(row, message.time_unix_nano, message.observed_time_unix_nano, now)
    if string := message.body.string_value:
        row.msg = values.text(string, changes)
    else:
        mapping.set_message(row, _body(message, changes))
    if raw_id := message.trace_id:
        row.trace_id = mapping.hex_id(raw_id, 16, mapping.TRACE_ID, changes)
    if raw_id := message.span_id:
        row.span_id = mapping.hex_id(raw_id, 8, mapping.SPAN_ID, changes)
    if flags := message.flags:
        row.flags = flags
    if event_name := message.event_name:
        row.event_name = values.text(event_name, changes)
    if dropped := message.dropped_attributes_count:
        mapping.note(row, "dropped_attributes_count", dropped)
    return row


def _body(message: Any, changes: set[str]) -> object:
    if not message.HasField("body"):
        return msgspec.UNSET
    return values.from_any_value(message.body, changes)


def _attribute(raw: bytes, columns: Columns, changes: set[str]) -> Attribute:
    """
    Read an attribute that was not seen lately.

    Most such are ids and durations: a known name with a short text or a number. These are
    read from the wire, in half the time; the general way reads, and judges, all others.
    """
    size = len(raw)
    start = 5 + raw[1] if size > 1 else 0  # of what follows the tag of the value's one field
    name, kind, whole = columns.names_seen.get(raw[:start], UNKNOWN)
    if size != whole:
        return _any_attribute(raw, columns, changes)
    if name.remembered < MOST_OF_A_NAME and (attribute := columns.seen_before.get(raw)):
        columns.remember(raw, name, attribute)
        return attribute
    value: object
    if kind == STRING and raw[start] == size - start - 1 > 0:
        try:
            value = raw[start + 1 :].decode()
        except UnicodeDecodeError:
            return _any_attribute(raw, columns, changes)
        if "\0" in value:
            return _any_attribute(raw, columns, changes)
    elif (
        kind == INTEGER and size - start < LONGEST_VARINT and (number := _varint(raw[start:])) >= 0
    ):
        value = number
    elif kind == DOUBLE and size - start == _double.size:
        value = values.double(_double.unpack_from(raw, start)[0])
    else:
        return _any_attribute(raw, columns, changes)
    attribute = name.exactly(value) if type(value) is name.exact else name.attribute(value)
    columns.remember(raw, name, attribute)
    return attribute


def _varint(data: bytes) -> int:
    """Read a number that takes all of *data*; -1 where it takes less or more."""
    value = shift = 0
    for part in data:
        value |= (part & 127) << shift
        shift += 7
        if part < CONTINUED:
            break
    return value if part < CONTINUED and shift == 7 * len(data) else -1


def _any_attribute(raw: bytes, columns: Columns, changes: set[str]) -> Attribute:
    if attribute := columns.seen_before.get(raw):
        columns.remember(raw, columns.name(attribute.name), attribute)
        return attribute
    found: set[str] = set()
    pair = _KEY_VALUE.FromString(raw)
    key, value = values.from_key_value(pair, found)
    base = raw[: 2 + len(pair.key)]
    name = columns.name(key)
    attribute = name.attribute(value)
    if found:
        changes |= found
    elif len(raw) <= LONGEST_SEEN and type(value) not in {dict, list}:
        # Only what can't be changed later.
        columns.remember(raw, name, attribute)
        if len(columns.names_seen) >= MOST_HEADS:
            columns.names_seen.clear()
        size, start = len(raw), len(base) + 3
        if start < size < LENGTH_OF_ONE_BYTE:  # so that there is all of a head
            head = base + bytes((VALUE, size - start + 1, raw[start - 1]))
            if base == bytes((KEY, len(base) - 2)) + pair.key and raw[:start] == head:
                columns.names_seen[head] = (name, raw[start - 1], size)
    return attribute
