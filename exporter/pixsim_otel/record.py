"""
The one record type, from the log call to the bytes on the wire.

`Record` carries what OTLP's LogRecord carries, in plain values. It exists beside the
SDK's `LogRecord` because building and copying that costs a log call several times what
all the rest of it does; `from_sdk` and `to_sdk` are the bridge, so that records of other
OpenTelemetry users come in and any `LogRecordExporter` can send ours.
"""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import msgspec
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import TraceFlags

from . import values
from .limits import VALUES, ValueLimits

# What a body or an attribute may be: OTLP's AnyValue. Lists and dicts hold the same.
Plain: TypeAlias = "str | bool | int | float | bytes | list[Plain] | dict[str, Plain] | None"

_NO_RESOURCE = Resource.get_empty()
_NO_SCOPE = InstrumentationScope("")


class Record(msgspec.Struct):
    """
    One log record, as a log call leaves it in the queue.

    Attributes and body are `Plain`: nothing in them is shared with the application, so
    they may be encoded later and elsewhere. Integers fit int64.
    """

    time: int  # ns since the epoch
    severity_number: int  # OTLP SeverityNumber, 0 (unspecified) to 24
    severity_text: str | None
    body: object
    attributes: dict[str, object]
    resource: Resource
    scope: InstrumentationScope
    trace_id: int = 0  # 0: none
    span_id: int = 0
    flags: int = 0
    observed_time: int = 0  # ns; 0: the same as ``time``
    event_name: str | None = None
    dropped_attributes: int = 0
    cut: int = 0  # values of which not all was kept
    size: int = 0  # bytes it is taken to occupy; 0: its values have yet to be made plain


def from_sdk(found: ReadableLogRecord | ReadWriteLogRecord, limits: ValueLimits = VALUES) -> Record:
    """
    Give a record of the SDK's as ours, its values made plain.

    One without a time gets the time it was observed at, which is what a receiver takes for it.
    """
    source = found.log_record
    number = source.severity_number
    record = Record(
        time=source.timestamp or source.observed_timestamp or 0,
        severity_number=0 if number is None else int(number.value),
        severity_text=_text(source.severity_text, limits),
        body=source.body,
        attributes=dict(source.attributes or {}),
        resource=found.resource or _NO_RESOURCE,
        scope=found.instrumentation_scope or _NO_SCOPE,
        trace_id=source.trace_id or 0,
        span_id=source.span_id or 0,
        flags=int(source.trace_flags or 0),
        observed_time=source.observed_timestamp or 0,
        event_name=_text(source.event_name, limits),
        dropped_attributes=found.dropped_attributes,
    )
    values.settle(record, limits)
    return record


def _text(value: object, limits: ValueLimits) -> str | None:
    """Give a field that is text, although a caller may have given the SDK anything."""
    found = values.plain(value, limits)
    return found if found is None or isinstance(found, str) else str(found)


def to_sdk(record: Record) -> ReadableLogRecord:
    """Give our record as the SDK's, for exporters that know nothing of ours."""
    attributes: Any = record.attributes  # the SDK's type is narrower: without lists in lists
    if record.dropped_attributes:  # only its own class can tell
        attributes = BoundedAttributes(attributes=attributes)
        attributes.dropped += record.dropped_attributes
    found = LogRecord(
        timestamp=record.time,
        observed_timestamp=record.observed_time or record.time,
        severity_text=record.severity_text,
        severity_number=SeverityNumber(record.severity_number),
        body=cast("Any", record.body),
        attributes=attributes,
        event_name=record.event_name,
    )
    # The constructor takes those of the current span, and deprecates being given others.
    found.context = Context()
    found.trace_id = record.trace_id
    found.span_id = record.span_id
    found.trace_flags = TraceFlags(record.flags)
    return ReadableLogRecord(found, record.resource, record.scope)
