"""OTLP in JSON: ids in hex, 64-bit integers as text, names in camelCase."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import msgspec

from collector import values
from storage.records import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from collector.exporters.otlphttp.mapping import Groups, Record, Scopes
    from storage.records import Resource

MEDIA = "application/json"
_INT64 = range(-(2**63), 2**63)
_encode = msgspec.json.Encoder().encode


def record(given: Record) -> bytes:
    """Write a logRecord."""
    body = {} if given.body is msgspec.UNSET else {"body": any_value(given.body)}
    fields = {
        "timeUnixNano": str(given.time),
        "observedTimeUnixNano": str(given.observed),
        "severityNumber": given.severity_number,
        "severityText": given.severity_text,
        **body,
        "attributes": _pairs(given.attributes),
        "droppedAttributesCount": given.dropped_attributes_count,
        "flags": given.flags,
        "traceId": given.trace_id.hex(),
        "spanId": given.span_id.hex(),
        "eventName": given.event_name,
    }
    return _encode({name: value for name, value in fields.items() if value or name == "body"})


def request(groups: Groups) -> bytes:
    """Write an ExportLogsServiceRequest of records that are written already."""
    return _encode(
        {
            "resourceLogs": [
                {**_origin("resource", resource), "scopeLogs": _scope_logs(scopes)}
                for resource, scopes in groups.items()
            ]
        }
    )


def any_value(value: object) -> dict[str, Any]:
    """Give the AnyValue that *value* is the encoding of."""
    return _WRITERS[type(value)](value)


def _integer(value: int) -> dict[str, Any]:
    if value in _INT64:
        return {"intValue": str(value)}
    return {"stringValue": str(value)}  # a row that somebody else wrote


def _double(value: float) -> dict[str, Any]:
    return {"doubleValue": values.SPECIAL.get(repr(value), value)}


def _list(value: list[object]) -> dict[str, Any]:
    return {"arrayValue": {"values": [any_value(each) for each in value]}}


def _map(value: dict[str, Any]) -> dict[str, Any]:
    meaning = values.meant(value)
    if isinstance(meaning, float):
        return _double(meaning)
    if isinstance(meaning, bytes):
        return {"bytesValue": base64.b64encode(meaning).decode()}
    return {"kvlistValue": {"values": _pairs(meaning)}}


def _pairs(pairs: Mapping[str, object]) -> list[dict[str, Any]]:
    return [{"key": name, "value": any_value(value)} for name, value in pairs.items()]


def _scope_logs(scopes: Scopes) -> list[dict[str, Any]]:
    return [
        {**_origin("scope", scope), "logRecords": [msgspec.Raw(each) for each in records]}
        for scope, records in scopes.items()
    ]


def _origin(name: str, origin: Resource | Scope | None) -> dict[str, Any]:
    """Give a resource or a scope under its *name*, and beside it its schema URL."""
    if origin is None:
        return {}
    fields = {
        "attributes": _pairs(msgspec.json.decode(origin.attributes)),
        "droppedAttributesCount": origin.dropped_attributes_count,
    }
    if isinstance(origin, Scope):
        fields |= {"name": origin.name, "version": origin.version}
    return {name: fields, "schemaUrl": origin.schema_url}


_WRITERS: dict[type, Callable[[Any], dict[str, Any]]] = {
    str: lambda value: {"stringValue": value},
    bool: lambda value: {"boolValue": value},
    int: _integer,
    float: _double,
    list: _list,
    dict: _map,
    type(None): lambda _: {},
}
