"""
A stored record as names and values, for destinations that do not speak OTLP.

What every destination has a place of its own for is a field of `Fields`. All else is in its
``attributes``, under one name each: columns under the column's, maps flattened with dots. An
attribute of the record stands before one of its scope, and that before one of its resource; where
one name has several values, the later ones keep theirs behind ``attributes.``, ``scope.`` or
``resource.``. Values are those that `collector.values.plain` gives.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import msgspec

from collector import levels, values
from storage import moments
from storage.moments import FROM_1970

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from storage.moments import Moment
    from storage.records import LogRecord, Resource
    from storage.stored import Stored

UNKNOWN_LEVEL = "unknown"
NAMELESS = "attribute"  # stands for a name that is empty
_RECORD, _SCOPE, _RESOURCE = "attributes", "scope", "resource"
_COLUMNS = (
    *("event_name", "request_id", "job_id", "submission_id", "artifact_id", "generation_id"),
    *("provider_job_id", "provider_id", "operation_type", "stage", "channel", "domain"),
    *("user_id", "error", "error_type", "duration_ms", "attempt", "instance_id"),
)
# Attributes that only say again what a field has, where they do.
_SAID = {
    "service.name": "service",
    "deployment.environment.name": "env",
    "deployment.environment": "env",
    "service.instance.id": "instance_id",
    "host.name": "host",
}
_HOSTS = ("host.name", "hostname")
_MOST_RESOURCES = 1_000  # that are remembered


class Fields(msgspec.Struct, gc=False):
    """A record; a text that its sender did not give is empty."""

    uid: str  # of this record and no other, however often it is sent
    time: int  # ns since 1970
    observed: int | None  # ns since 1970
    message: str
    level: str  # as its sender wrote it
    severity: str  # trace, debug, info, warn, error, fatal, or unknown
    severity_number: int  # OTLP's, 1 to 24; 0 is unknown
    service: str
    env: str
    host: str
    trace_id: str
    span_id: str
    attributes: dict[str, Any]  # each a text, a number, a boolean, None or a list


class Reader:
    """Reads records; it remembers the resources that it has seen."""

    def __init__(self) -> None:
        self._resources: dict[str, dict[str, Any]] = {}

    def read(self, stored: Stored) -> Fields:
        """Give the fields of *stored*."""
        record = stored.record
        extra = record.extra or {}
        resource = self._attributes(stored.resource) if stored.resource is not None else {}
        fields = Fields(
            uid=uid(record),
            time=nanoseconds(record.timestamp, record.timestamp_ns),
            observed=None
            if (observed := record.observed_timestamp) is None
            else nanoseconds(observed, record.observed_timestamp_ns),
            message=record.msg or record.event_name or record.error or "",
            level=record.level,
            severity=severity(record.severity_number),
            severity_number=record.severity_number,
            service=record.service,
            env=record.env or "",
            host=_first_text(_HOSTS, extra, resource),
            trace_id=record.trace_id or "",
            span_id=record.span_id or "",
            attributes={},
        )
        for name in _COLUMNS:
            if (value := getattr(record, name)) is not None:
                fields.attributes[name] = _finite(value)
        _add(fields, extra, _RECORD)
        if record.otlp:
            _add_rest(fields, record.otlp)
        if stored.scope is not None:
            scope = stored.scope
            named = {"otel.scope.name": scope.name, "otel.scope.version": scope.version}
            _add(fields, {name: text for name, text in named.items() if text}, _SCOPE)
            _add(fields, msgspec.json.decode(scope.attributes), _SCOPE)
        _add(fields, resource, _RESOURCE)
        if record.flags:
            _put(fields, "flags", record.flags, _RECORD)
        if stored.clamped:  # its own is beyond all that can be told
            _put(fields, "timestamp_clamped", True, _RECORD)
        return fields

    def _attributes(self, resource: Resource) -> dict[str, Any]:
        # Not by id, for of a resource attributes may be deleted.
        if (found := self._resources.get(resource.attributes)) is None:
            if len(self._resources) >= _MOST_RESOURCES:
                self._resources.clear()
            found = msgspec.json.decode(resource.attributes)
            self._resources[resource.attributes] = found
        return found


def uid(record: LogRecord) -> str:
    """
    Give an id that *record* has whenever it is sent, and no other has.

    Two collectors may give the same number at the same time; so some of its contents are in it,
    of which no forwarder's settings change any.
    """
    contents = zlib.crc32(f"{record.service}\n{record.level}\n{record.msg or ''}".encode())
    return f"{record.id}-{nanoseconds(record.timestamp, record.timestamp_ns)}-{contents:08x}"


def nanoseconds(time: Moment, rest: int | None) -> int:
    """Give a time as ns since 1970; *rest* are those below its microseconds."""
    return (time + FROM_1970) * 1_000 + (rest or 0)


def rfc3339(nanoseconds: int) -> str:
    """Give ns since 1970 as text, all nine digits of them."""
    microseconds, rest = divmod(nanoseconds, 1_000)
    time = moments.time(microseconds - FROM_1970)
    return f"{time.isoformat(timespec='microseconds')[:26]}{rest:03d}Z"


def severity(number: int) -> str:
    """Give the word for the band of a severity number."""
    if not 1 <= number <= 24:
        return UNKNOWN_LEVEL
    return levels.short_name((number - 1) // 4 * 4 + 1).lower()


def text(value: Any) -> str:
    """Give an attribute as text: a string is itself, the empty value is "", all else its JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def distinct(
    attributes: Mapping[str, Any], taken: Collection[str], clean: Callable[[str], str] = str
) -> dict[str, Any]:
    """Give *attributes* under clean names, none of which is *taken*, and no two say the same."""
    given: dict[str, Any] = {}
    for name, value in attributes.items():
        found = clean(name)
        while found in taken or (found in given and text(given[found]) != text(value)):
            found = clean(f"{_RECORD}.{found}")
        given[found] = value
    return given


def _add(fields: Fields, attributes: Mapping[str, Any], origin: str) -> None:
    for name, value in attributes.items():
        _flatten(fields, name or NAMELESS, values.plain(value), origin)


def _flatten(fields: Fields, name: str, value: Any, origin: str) -> None:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            _flatten(fields, f"{name}.{key}", inner, origin)
    else:
        _put(fields, name, "{}" if isinstance(value, dict) else _finite(value), origin)


def _put(fields: Fields, name: str, value: Any, origin: str) -> None:
    """Add an attribute, unless what it says is there already."""
    if (said := _SAID.get(name)) is not None and value == (
        fields.attributes.get(said) if said == "instance_id" else getattr(fields, said)
    ):
        return
    there = fields.attributes
    while name in there:
        if text(there[name]) == text(value):
            return
        name = f"{origin}.{name}"
    there[name] = value


def _add_rest(fields: Fields, otlp: Mapping[str, Any]) -> None:
    """Add what only OTLP has: a body that is a map, of which the message is the JSON."""
    if isinstance(body := values.plain(otlp.get("body")), dict):
        _flatten(fields, "body", body, _RECORD)
    if count := otlp.get("dropped_attributes_count"):
        _put(fields, "otel.dropped_attributes_count", count, _RECORD)


def _first_text(names: Collection[str], *places: Mapping[str, Any]) -> str:
    found = (place.get(name) for place in places for name in names)
    return next((value for value in found if isinstance(value, str) and value), "")


def _finite(value: Any) -> Any:
    """Give a number that JSON has not as its name; only SQL can have written it."""
    return values.plain(values.double(value)) if isinstance(value, float) else value
