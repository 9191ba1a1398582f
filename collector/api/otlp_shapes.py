"""
OTLP's messages in proto3's JSON, as the OpenAPI document has them.

They only describe; `collector.receivers.otlp` reads more than this, such as integers as
numbers and names in snake_case, and says what it does with what is wrong.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

# proto3's JSON writes an integer of 64 bits as a string, and readers take both.
Integer64 = Annotated[str, msgspec.Meta(pattern="^-?[0-9]{1,18}$")]
Nanoseconds = Annotated[
    str, msgspec.Meta(pattern="^[0-9]{1,19}$", description="since 1970; 0 is unknown")
]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]


class _Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What all messages share; a field that is missing has its default."""


class AnyValue(_Message, frozen=True, kw_only=True):
    """A value; it has one of the fields, or none where it is empty."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: Integer64 | None = None
    double_value: float | None = None
    bytes_value: Annotated[str, msgspec.Meta(pattern="^([A-Za-z0-9+/]{4})*$")] | None = None
    array_value: ArrayValue | None = None
    kvlist_value: KeyValueList | None = None


class ArrayValue(_Message, frozen=True, kw_only=True):
    """A list."""

    values: list[AnyValue] = []


class KeyValue(_Message, frozen=True, kw_only=True):
    """An attribute."""

    key: str
    value: AnyValue | None = None


class KeyValueList(_Message, frozen=True, kw_only=True):
    """A map."""

    values: list[KeyValue] = []


class Record(_Message, frozen=True, kw_only=True):
    """OTLP's ``LogRecord``."""

    time_unix_nano: Nanoseconds = "0"
    observed_time_unix_nano: Nanoseconds = "0"
    severity_number: Annotated[int, msgspec.Meta(ge=0, le=24)] = 0
    severity_text: str = ""
    body: AnyValue | None = None
    attributes: list[KeyValue] = []
    dropped_attributes_count: Count = 0
    flags: Count = 0
    trace_id: Annotated[str, msgspec.Meta(pattern="^([0-9a-fA-F]{32})?$")] = ""
    span_id: Annotated[str, msgspec.Meta(pattern="^([0-9a-fA-F]{16})?$")] = ""
    event_name: str = ""


class InstrumentationScope(_Message, frozen=True, kw_only=True):
    """Who wrote the records within a service."""

    name: str = ""
    version: str = ""
    attributes: list[KeyValue] = []
    dropped_attributes_count: Count = 0


class OtlpResource(_Message, frozen=True, kw_only=True):
    """OTLP's ``Resource``: the service that wrote the records."""

    attributes: list[KeyValue] = []
    dropped_attributes_count: Count = 0


class ScopeLogs(_Message, frozen=True, kw_only=True):
    """Records of one scope."""

    scope: InstrumentationScope | None = None
    log_records: list[Record] = []
    schema_url: str = ""


class ResourceLogs(_Message, frozen=True, kw_only=True):
    """Records of one resource."""

    resource: OtlpResource | None = None
    scope_logs: list[ScopeLogs] = []
    schema_url: str = ""


class ExportLogsServiceRequest(_Message, frozen=True, kw_only=True):
    """A request of OTLP."""

    resource_logs: list[ResourceLogs] = []


class PartialSuccess(_Message, frozen=True, kw_only=True):
    """What a sender is told of records that were not stored, or only with a change."""

    rejected_log_records: Integer64 = "0"
    error_message: str = ""


class ExportLogsServiceResponse(_Message, frozen=True, kw_only=True):
    """OTLP's answer; empty when all was stored as it came."""

    partial_success: PartialSuccess | None = None


class Status(_Message, frozen=True, kw_only=True):
    """OTLP's error, a ``google.rpc.Status``."""

    code: int
    message: str
    details: list[dict[str, Any]] = []
