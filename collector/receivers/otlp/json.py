"""OTLP in JSON: what its messages say. `json_messages` tells how they are read."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import msgspec
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber

from collector import values
from collector.receivers.otlp import json_messages, mapping
from collector.receivers.otlp.json_values import any_value, integer, key_values, string
from collector.receivers.otlp.mapping import (
    LONGEST_ORIGIN,
    MOST_ORIGINS,
    SPAN_ID,
    TRACE_ID,
    Group,
    Origin,
    hex_id,
)
from collector.receivers.otlp.refusal import TOO_DEEP, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.correlation import Attribute, Columns
    from collector.receivers.otlp.mapping import Shared
    from storage.records import LogRecord

SEVERITY = "severity_number"  # an unknown name was dropped

LONGEST_SEEN = 200  # bytes of an attribute that is looked up the next time
_NAMES = dict(SeverityNumber.items())
_UINT64 = range(2**64)
_UINT32 = range(2**32)
_INT32 = range(-(2**31), 2**31)


def groups(body: bytes, *, at_once: bool = False) -> Iterator[Group]:  # noqa: ARG001  see Decoder
    """
    Read a request as far as its records.

    Raises:
        BadRequest: it is not JSON, or not an ``ExportLogsServiceRequest``.
    """
    for place, resource_logs in enumerate(json_messages.request(body).resource_logs or ()):
        path = f"resourceLogs[{place}]"
        resource, refused = _origin(bytes(resource_logs.resource), resource_logs.schema_url)
        for within, scope_logs in enumerate(resource_logs.scope_logs or ()):
            scope, scope_refused = _origin(bytes(scope_logs.scope), scope_logs.schema_url)
            group = Group(
                path=f"{path}.scopeLogs[{within}]",
                resource=resource,
                scope=scope,
                records=scope_logs.log_records or (),
            )
            if refused is not None:
                group.refused = refused.within(f"{path}.resource")
            elif scope_refused is not None:
                group.refused = scope_refused.within(f"{group.path}.scope")
            yield group


def record(raw: bytes, shared: Shared, columns: Columns, now: int, changes: set[str]) -> LogRecord:
    """
    Read one log record; see `mapping.Decoder`.

    Raises:
        Refused: it is not a ``LogRecord``.
        TooDeep: a value in it is.
    """
    if (message := json_messages.quick(raw)) is not None:
        try:
            return _usual(message, shared, columns, now, changes)
        except (Refused, *json_messages.UNREADABLE):
            changes.clear()  # the way below tells where it is, and mends what can be mended
    return _unusual(raw, shared, columns, now, changes)


def _usual(
    message: json_messages.QuickRecord,
    shared: Shared,
    columns: Columns,
    now: int,
    changes: set[str],
) -> LogRecord:
    seen = columns.seen
    attributes = [
        seen.get(each) or _attribute(each, columns, changes)
        for each in map(bytes, message.attributes)
    ]
    time, observed = message.time_unix_nano, message.observed_time_unix_nano
    flags, dropped = message.flags, message.dropped_attributes_count
    number = message.severity_number
    if (time | observed) >> 64 or (flags | dropped) >> 32 or number not in _INT32:
        raise Refused("an integer is too large, or negative")
    entry = mapping.Entry(
        time=time,
        observed=observed,
        severity_number=number,
        severity_text=message.severity_text,
        body=msgspec.UNSET if message.body is None else message.body.string_value,
        attributes=attributes,
        dropped_attributes_count=dropped,
        flags=flags,
        trace_id=_id(message.trace_id, 16, TRACE_ID, changes),
        span_id=_id(message.span_id, 8, SPAN_ID, changes),
        event_name=message.event_name,
    )
    return mapping.record(entry, shared, now)


def _unusual(
    raw: bytes, shared: Shared, columns: Columns, now: int, changes: set[str]
) -> LogRecord:
    message = json_messages.read(json_messages.RECORD, raw, changes)
    attributes = [
        columns.attribute(name, value)
        for name, value in _attributes(message.attributes, changes).items()
    ]
    return mapping.record(_entry(message, attributes, changes), shared, now)


def _attribute(raw: bytes, columns: Columns, changes: set[str]) -> Attribute:
    """Read an attribute that was not seen lately, and remember it; see `Columns.remember`."""
    if attribute := columns.seen_before.get(raw):
        columns.remember(raw, columns.name(attribute.name), attribute)
        return attribute
    try:
        pair = json_messages.SIMPLE_KEY_VALUE.decode(raw)
    except msgspec.ValidationError:
        return _any_attribute(raw, columns, changes)
    if (value := pair.simple()) is msgspec.UNSET:
        return _any_attribute(raw, columns, changes)
    name = columns.name(pair.key)
    if len(raw) > LONGEST_SEEN:
        return name.attribute(value)
    exact = type(value) is name.exact and value != ""
    attribute = name.exactly(value) if exact else name.attribute(value)
    if type(value) is not dict:  # only what can't be changed later
        columns.remember(raw, name, attribute)
    return attribute


def _any_attribute(raw: bytes, columns: Columns, changes: set[str]) -> Attribute:
    ((name, value),) = key_values([json_messages.KEY_VALUE.decode(raw)], changes).items()
    return columns.attribute(name, value)


def _entry(
    record: json_messages.LogRecord, attributes: list[Attribute], changes: set[str]
) -> mapping.Entry:
    return mapping.Entry(
        time=_number(record.time_unix_nano, "timeUnixNano", _UINT64),
        observed=_number(record.observed_time_unix_nano, "observedTimeUnixNano", _UINT64),
        severity_number=_severity(record.severity_number, changes),
        severity_text=string(record.severity_text, "severityText", changes),
        body=_body(record.body, changes),
        attributes=attributes,
        dropped_attributes_count=_number(
            record.dropped_attributes_count, "droppedAttributesCount", _UINT32
        ),
        flags=_number(record.flags, "flags", _UINT32),
        trace_id=_id(record.trace_id, 16, TRACE_ID, changes),
        span_id=_id(record.span_id, 8, SPAN_ID, changes),
        event_name=string(record.event_name, "eventName", changes),
    )


def _origin(raw: bytes, schema_url: object) -> tuple[Origin, Refused | None]:
    """Read a Resource or an InstrumentationScope."""
    if not isinstance(schema_url, str | None) or len(raw) + len(schema_url or "") > LONGEST_ORIGIN:
        return _read_origin(raw, schema_url)
    origin, refused = _kept_origin(raw, schema_url)
    origin.kept = True
    return origin, refused


def _read_origin(raw: bytes, schema_url: object) -> tuple[Origin, Refused | None]:
    origin = Origin(changes=set())
    try:
        message = json_messages.read(json_messages.ORIGIN, raw, origin.changes)
        origin.schema_url = string(schema_url, "schemaUrl", origin.changes)
        origin.name = string(message.name, "name", origin.changes)
        origin.version = string(message.version, "version", origin.changes)
        origin.attributes = _attributes(message.attributes, origin.changes)
        origin.dropped_attributes_count = _number(
            message.dropped_attributes_count, "droppedAttributesCount", _UINT32
        )
    except values.TooDeep as exc:
        return origin, Refused(str(exc), "attributes", TOO_DEEP)
    except Refused as exc:
        return origin, exc
    return origin, None


_kept_origin = functools.lru_cache(MOST_ORIGINS)(_read_origin)


def _number(value: object, field: str, allowed: range) -> int:
    if value is None:
        return 0
    try:
        return integer(value, allowed)
    except Refused as exc:
        raise exc.within(field) from None


def _severity(value: object, changes: set[str]) -> int:
    """Read a number, or a name, which OTLP forbids but some send."""
    if type(value) is str and value[:1].isalpha():
        if value not in _NAMES:
            changes.add(SEVERITY)
        return _NAMES.get(value, 0)
    return _number(value, "severityNumber", _INT32)


def _body(value: object, changes: set[str]) -> object:
    if value is None:
        return msgspec.UNSET
    try:
        return any_value(value, changes)
    except Refused as exc:
        raise exc.within("body") from None


def _attributes(value: object, changes: set[str]) -> dict[str, object]:
    try:
        return key_values(value, changes)
    except Refused as exc:
        raise exc.within("attributes") from None


def _id(value: object, size: int, change: str, changes: set[str]) -> str | None:
    if value is None or value == "":
        return None
    try:
        raw = bytes.fromhex(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        changes.add(change)
        return None
    return hex_id(raw, size, change, changes)
