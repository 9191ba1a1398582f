"""
The one row type, from mapping to COPY.

A receiver makes `LogRecord` objects, processors may change them, the writer copies
them. `COLUMNS` is their order and the names of the table's columns.
"""

from __future__ import annotations

import msgspec

from storage.moments import Moment  # noqa: TC001  msgspec reads the annotations


class Resource(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    An OTLP resource as it is interned in table ``resources``.

    ``id`` is a signed 64-bit hash of the canonical form of all the rest, so the same
    resource has the same id in every process. ``attributes`` is JSON text in the
    reversible encoding of `collector.values`, keys sorted.
    """

    id: int
    attributes: str
    schema_url: str = ""
    dropped_attributes_count: int = 0


class Scope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An OTLP instrumentation scope as it is interned in table ``scopes``; see `Resource`."""

    id: int
    name: str
    version: str
    attributes: str
    schema_url: str = ""
    dropped_attributes_count: int = 0


class LogRecord(msgspec.Struct, gc=False):  # by place too: rows are made so, in a third of the time
    """
    One row of ``log_entries``, in column order; not frozen, for processors change it.

    Times are Postgres' own, microseconds since 2000, which takes no time to encode;
    ``timestamp_ns`` and ``observed_timestamp_ns`` are the 0-999 ns below them. No text holds
    NUL or a lone surrogate, and no integer exceeds int64.
    """

    timestamp: Moment
    level: str  # as the sender wrote it; where it wrote none, the number's short name
    service: str
    id: int | None = None  # given by the writer
    timestamp_ns: int | None = None
    observed_timestamp: Moment | None = None
    observed_timestamp_ns: int | None = None
    severity_number: int = 0  # OTLP SeverityNumber, 0 (unspecified) to 24
    env: str | None = "dev"
    instance_id: str | None = None
    msg: str | None = None
    event_name: str | None = None
    request_id: str | None = None
    job_id: int | None = None
    submission_id: int | None = None
    artifact_id: int | None = None
    generation_id: int | None = None
    provider_job_id: str | None = None
    provider_id: str | None = None
    operation_type: str | None = None
    stage: str | None = None
    channel: str | None = None
    domain: str | None = None
    user_id: int | None = None
    error: str | None = None
    error_type: str | None = None
    duration_ms: float | None = None
    attempt: int | None = None
    trace_id: str | None = None  # OTLP: 32 lower-case hex digits; native: as sent
    span_id: str | None = None  # OTLP: 16 lower-case hex digits
    flags: int | None = None  # OTLP flags as sent; trace flags are the lowest 8 bits
    resource_id: int | None = None
    scope_id: int | None = None
    promoted: int | None = None  # bit set of `PROMOTABLE`; see there
    otlp: dict[str, object] | None = None  # what of an OTLP record no column holds; see README
    extra: dict[str, object] | None = None  # all else, in the encoding of `collector.values`


COLUMNS: tuple[str, ...] = LogRecord.__struct_fields__
TIMES = ("timestamp", "observed_timestamp")

# An OTLP record attribute whose name is a column's and whose value the column gives back
# exactly is kept in the column alone, and the column's bit, by its place here, is set in
# `LogRecord.promoted`. Every other attribute stays in `extra`, even where a column was
# filled from it. The order is stored: append only.
PROMOTABLE: tuple[str, ...] = (
    "request_id",
    "job_id",
    "submission_id",
    "artifact_id",
    "generation_id",
    "provider_job_id",
    "provider_id",
    "operation_type",
    "stage",
    "channel",
    "domain",
    "user_id",
    "error",
    "error_type",
    "duration_ms",
    "attempt",
    "env",
    "service",
    "instance_id",
)


class Key(msgspec.Struct, frozen=True):
    """What a request is known by when it comes again; see `storage.repeats`."""

    digest: bytes
    body: str | None = None  # a digest of its bytes, where they are not what it is known by


class Batch(msgspec.Struct, kw_only=True):
    """
    What one request brings, already decoded and mapped.

    ``records`` are stored in order; ``resources`` and ``scopes`` are those they refer to.
    """

    receiver: str  # the component's id in the configuration, such as "otlp"
    sender: str = ""  # the User-Agent
    key: Key | None = None
    records: list[LogRecord]
    resources: dict[int, Resource] = {}
    scopes: dict[int, Scope] = {}


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """One record that was not stored, by its place in `Batch.records`."""

    index: int
    reason: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """
    What became of a `Batch`, after its commit. Stored records carry their id.

    Of those that are *stored* some may be *repeated*: stored before, and not again. What is
    *spooled* is on disk, and stored when the database takes it again; it has no ids yet.
    """

    stored: int
    refused: tuple[Refusal, ...] = ()
    repeated: int = 0
    spooled: bool = False
