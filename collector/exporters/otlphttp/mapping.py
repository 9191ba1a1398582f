"""
A stored record as OTLP has it: the way back of `collector.receivers.otlp.mapping`.

What came by OTLP goes out as it came, field by field and type by type, but for one thing: a
record that its sender gave no observed time has that at which the collector first saw it, as
OTLP demands of who passes records on.

What came otherwise has no resource. It gets one of its service, environment and instance, and
its other columns become attributes, under names that fill the same columns again where the
receiver is a collector of ours. docs/forwarding.md has the table.
"""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from collector.forwarding.fields import nanoseconds
from storage import moments
from storage.records import PROMOTABLE, Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from storage.records import LogRecord, Scope
    from storage.stored import Stored

# A request: its records, which are encoded already, in their order under each scope of each
# resource. Where a sender gave no scope or no resource, that is None.
Scopes: TypeAlias = "Mapping[Scope | None, Sequence[bytes]]"
Groups: TypeAlias = "Mapping[Resource | None, Scopes]"

UID = "log.record.uid"
# The resource attributes of records that came otherwise, by the column.
OF_RESOURCE = {
    "service": "service.name",
    "env": "deployment.environment.name",
    "instance_id": "service.instance.id",
}
STANDARD = {"error": "exception.message", "error_type": "exception.type"}
# All other columns that become attributes of such records, with the attribute's name.
OF_RECORD = tuple(
    (column, STANDARD.get(column, column)) for column in PROMOTABLE if column not in OF_RESOURCE
)
_UINT32, _UINT64 = 2**32 - 1, 2**64 - 1


class Record(msgspec.Struct, gc=False):
    """A log record of OTLP; body and attributes are in the encoding of `collector.values`."""

    time: int  # ns since 1970, as is the next; 0 where there was none
    observed: int
    severity_number: int
    severity_text: str
    body: object  # UNSET where there was none
    attributes: dict[str, Any]
    dropped_attributes_count: int
    flags: int
    trace_id: bytes
    span_id: bytes
    event_name: str


def by_otlp(stored: Stored) -> bool:
    """Tell whether a record came by OTLP; only then its observed time has nanoseconds."""
    return stored.record.observed_timestamp_ns is not None


def record(stored: Stored) -> Record:
    """Give the log record of *stored*."""
    return _as_it_came(stored.record) if by_otlp(stored) else _of_columns(stored)


def resource(stored: Stored) -> Resource | None:
    """Give the resource of *stored*; None where its sender gave none."""
    if stored.resource is not None:
        return stored.resource
    row = stored.record
    if row.resource_id is None and by_otlp(stored):
        return None
    return _made(row.service, row.env, row.instance_id)


def _as_it_came(row: LogRecord) -> Record:
    attributes = row.extra or {}
    if row.promoted:
        names, read = _promoted(row.promoted)
        found = dict(zip(names, read(row), strict=True))
        if None in found.values():  # somebody has deleted it
            found = {name: value for name, value in found.items() if value is not None}
        attributes = {**attributes, **found}
    time = observed = nanoseconds(row.timestamp, row.timestamp_ns)
    if (row.observed_timestamp, row.observed_timestamp_ns) != (row.timestamp, row.timestamp_ns):
        observed = nanoseconds(row.observed_timestamp or row.timestamp, row.observed_timestamp_ns)
    body: object = row.msg
    otlp = row.otlp or {}
    if "body" in otlp:
        body = otlp["body"]
    elif body is None or "no_body" in otlp:
        body = msgspec.UNSET
    return Record(
        0 if "no_time" in otlp else time,
        observed,
        otlp.get("severity_number", row.severity_number),  # type: ignore[arg-type]
        otlp.get("severity_text", row.level),  # type: ignore[arg-type]
        body,
        attributes,
        uint32(otlp.get("dropped_attributes_count")),  # type: ignore[arg-type]
        uint32(row.flags),
        identifier(row.trace_id, 16),
        identifier(row.span_id, 8),
        row.event_name or "",
    )


def _of_columns(stored: Stored) -> Record:
    row = stored.record
    attributes = dict(row.extra or {})
    for column, name in OF_RECORD:
        if (value := getattr(row, column)) is not None:
            _add(attributes, (name, column, f"pixsim.{column}"), value)
    trace_id, span_id = identifier(row.trace_id, 16), identifier(row.span_id, 8)
    if row.trace_id and not trace_id:
        _add(attributes, ("trace_id", "pixsim.trace_id"), row.trace_id)
    if row.span_id and not span_id:
        _add(attributes, ("span_id", "pixsim.span_id"), row.span_id)
    if stored.clamped:
        _add(attributes, ("timestamp_clamped", "pixsim.timestamp_clamped"), value=True)
    time = nanoseconds(row.timestamp, row.timestamp_ns)
    if time != (sent := min(max(time, 1), _UINT64)):
        _add(attributes, ("timestamp", "pixsim.timestamp"), moments.time(row.timestamp).isoformat())
    return Record(
        sent,
        min(max(nanoseconds(row.observed_timestamp or stored.received_at, 0), 0), _UINT64),
        row.severity_number,
        row.level,
        msgspec.UNSET if row.msg is None else row.msg,
        attributes,
        0,
        uint32(row.flags),
        trace_id,
        span_id,
        row.event_name or "",
    )


def _add(attributes: dict[str, Any], names: tuple[str, ...], value: object) -> None:
    """Add an attribute under the first of *names* that does not stand for something else."""
    name = next((each for each in names if attributes.get(each, value) == value), names[-1])
    attributes[name] = value


@lru_cache(maxsize=1_000)
def _made(service: str, env: str | None, instance_id: str | None) -> Resource:
    columns = {"service": service, "env": env, "instance_id": instance_id}
    named = {OF_RESOURCE[column]: value for column, value in columns.items() if value is not None}
    return Resource(id=0, attributes=msgspec.json.encode(named).decode())


@lru_cache(maxsize=1_000)
def _promoted(bits: int) -> tuple[tuple[str, ...], Callable[[LogRecord], tuple[Any, ...]]]:
    """Give the names that *bits* stand for, and what reads their columns."""
    names = tuple(name for bit, name in enumerate(PROMOTABLE) if bits >> bit & 1)
    if len(names) > 1:
        return names, attrgetter(*names)
    return names, lambda row: tuple(getattr(row, name) for name in names)


def uint32(number: int | None) -> int:
    """Give the nearest number that has 32 bits."""
    return min(max(number, 0), _UINT32) if number else 0


def identifier(text: str | None, size: int) -> bytes:
    """Read a trace or span id of *size* bytes; one that OTLP has no place for is none."""
    if text is None or len(text) != 2 * size:
        return b""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return b""
    return found if len(found) == size and any(found) else b""
