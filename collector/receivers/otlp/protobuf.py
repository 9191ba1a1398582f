"""
OTLP in protobuf, read shallowly.

The messages are opentelemetry-proto's, with two differences. Strings are bytes, so that
one that is not UTF-8 doesn't cost its whole request. And log records, and their
attributes, stay encoded: a broken record costs only itself, and the attributes, which
are mostly the same from record to record, are looked up instead of being read again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.resource.v1 import resource_pb2

from collector import values
from collector.errors import BadRequest, Violation
from collector.receivers.otlp.mapping import SPAN_ID, TRACE_ID, Entry, Group, Origin, hex_id
from collector.receivers.otlp.refusal import TOO_DEEP, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.correlation import Attribute, Columns

LEFT_ENCODED = {("ScopeLogs", "log_records"), ("LogRecord", "attributes")}
LONGEST_SEEN = 200  # bytes of an attribute that is looked up the next time


def _shallow() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for module in (common_pb2, resource_pb2, logs_pb2, logs_service_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for message in file.message_type:
            for field in message.field:
                string = field.type == field.TYPE_STRING
                if string or (message.name, field.name) in LEFT_ENCODED:
                    field.type = field.TYPE_BYTES
                    field.ClearField("type_name")
        pool.Add(file)
    return pool


def message_class(name: str) -> Any:
    """Make the class of one of the messages, such as ``common.v1.AnyValue``."""
    descriptor = _POOL.FindMessageTypeByName(f"opentelemetry.proto.{name}")
    return message_factory.GetMessageClass(descriptor)


_POOL = _shallow()
_REQUEST = message_class("collector.logs.v1.ExportLogsServiceRequest")
_RECORD = message_class("logs.v1.LogRecord")
_KEY_VALUE = message_class("common.v1.KeyValue")


def groups(body: bytes) -> Iterator[Group]:
    """
    Read a request as far as its records.

    Raises:
        BadRequest: it is not an ``ExportLogsServiceRequest``.
    """
    try:
        request = _REQUEST.FromString(body)
    except DecodeError as exc:
        problem = "the body is not an ExportLogsServiceRequest in protobuf"
        raise BadRequest(problem, (Violation("", str(exc)),)) from exc
    for place, resource_logs in enumerate(request.resource_logs):
        path = f"resourceLogs[{place}]"
        resource, refused = _origin(resource_logs.resource, resource_logs.schema_url)
        for within, scope_logs in enumerate(resource_logs.scope_logs):
            scope, scope_refused = _origin(scope_logs.scope, scope_logs.schema_url)
            group = Group(
                path=f"{path}.scopeLogs[{within}]",
                resource=resource,
                scope=scope,
                records=scope_logs.log_records,
            )
            if refused is not None:
                group.refused = refused.within(f"{path}.resource.attributes")
            elif scope_refused is not None:
                group.refused = scope_refused.within(f"{group.path}.scope.attributes")
            yield group


def _origin(message: Any, schema_url: bytes) -> tuple[Origin, Refused | None]:
    """Read a Resource or an InstrumentationScope."""
    changes: set[str] = set()
    origin = Origin(
        dropped_attributes_count=message.dropped_attributes_count,
        schema_url=values.text(schema_url, changes),
        name=values.text(getattr(message, "name", b""), changes),
        version=values.text(getattr(message, "version", b""), changes),
        changes=changes,
    )
    try:
        origin.attributes = values.from_key_values(message.attributes, changes)
    except values.TooDeep as exc:
        return origin, Refused(str(exc), reason=TOO_DEEP)
    return origin, None


def entry(raw: bytes, columns: Columns, changes: set[str]) -> Entry:
    """
    Read one log record.

    Raises:
        Refused: it is not a ``LogRecord``.
        TooDeep: a value in it is.
    """
    try:
        message = _RECORD.FromString(raw)
        attributes: dict[str, Attribute] = {}
        seen = columns.seen
        for each in message.attributes:
            attribute = seen.get(each) or _attribute(each, columns, changes)
            attributes[attribute.name] = attribute
    except DecodeError as exc:
        raise Refused(str(exc)) from exc
    body = message.body if message.HasField("body") else None
    return Entry(
        time=message.time_unix_nano,
        observed=message.observed_time_unix_nano,
        severity_number=message.severity_number,
        severity_text=values.text(message.severity_text, changes),
        body=values.from_any_value(body, changes) if body is not None else msgspec.UNSET,
        attributes=attributes,
        dropped_attributes_count=message.dropped_attributes_count,
        flags=message.flags,
        trace_id=hex_id(message.trace_id, 16, TRACE_ID, changes),
        span_id=hex_id(message.span_id, 8, SPAN_ID, changes),
        event_name=values.text(message.event_name, changes),
    )


def _attribute(raw: bytes, columns: Columns, changes: set[str]) -> Attribute:
    found: set[str] = set()
    name, value = values.from_key_value(_KEY_VALUE.FromString(raw), found)
    attribute = columns.attribute(name, value)
    if found:
        changes |= found
    elif len(raw) <= LONGEST_SEEN and type(value) not in {dict, list}:
        # Only what can't be changed later.
        columns.remember(raw, attribute)
    return attribute
