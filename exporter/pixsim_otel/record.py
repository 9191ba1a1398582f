"""
The one record type, from the log call to the bytes on the wire.

`Record` carries what OTLP's LogRecord carries, in plain values. It exists beside the
SDK's `LogRecord` because building and copying that costs a log call several times what
all the rest of it does; `from_sdk` and `to_sdk` are the bridge, so that records of other
OpenTelemetry users come in and any `LogRecordExporter` can send ours.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from opentelemetry.sdk.resources import Resource  # noqa: TC002  msgspec reads the annotations
from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: TC002

# What a body or an attribute may be: OTLP's AnyValue. Lists and dicts hold the same.
Plain: TypeAlias = "str | bool | int | float | bytes | None | list[Plain] | dict[str, Plain]"


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
    size: int = 0  # bytes it is taken to occupy, for the queue's limit
