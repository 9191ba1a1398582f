"""The parameters of the query API; its OpenAPI document is made of these same types."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

import msgspec

from collector.levels import NAMES

INT64 = 2**63 - 1
INT32 = 2**31 - 1
COLUMNS = ("service", "channel", "domain", "level", "provider_id", "operation_type", "stage")
TEN_YEARS = 5_256_000  # minutes

Minutes = Annotated[float, msgspec.Meta(gt=0, le=TEN_YEARS)]
Integer = Annotated[int, msgspec.Meta(ge=-INT64 - 1, le=INT64)]
# Text that is a whole number is one; other text is the value that `extra` keeps.
Id = Annotated[
    Integer | str | None,
    msgspec.Meta(description="a whole number of 64 bits, or text as it was sent"),
]
Milliseconds = Annotated[float | str | None, msgspec.Meta(description="milliseconds")]
Time = Annotated[
    dt.datetime | None,
    msgspec.Meta(
        description="ISO 8601 (UTC where no zone is given), a date, or Unix seconds; inclusive",
        extra_json_schema={
            "oneOf": [
                {"format": "date-time"},
                {"format": "date"},
                {"pattern": r"^(-[0-9]{1,10}|[0-9]{1,7}|[0-9]{9,10})(\.[0-9]+)?$"},
            ]
        },
    ),
]


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """What records must have; any parameter not listed is an exact value of a key of `extra`."""

    service: str | None = None
    env: str | None = None
    level: Annotated[
        str | None, msgspec.Meta(description="in any case; warn is warning, fatal is critical")
    ] = None
    min_level: Annotated[
        str | None,
        msgspec.Meta(
            description="this level or a worse one; in any case",
            extra_json_schema={"enum": list(NAMES)},
        ),
    ] = None
    msg: str | None = None
    error: str | None = None
    error_type: str | None = None
    request_id: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    job_id: Id = None
    submission_id: Id = None
    artifact_id: Annotated[
        Integer | str | None, msgspec.Meta(description="finds `generation_id` too")
    ] = None
    generation_id: Annotated[
        Integer | str | None, msgspec.Meta(description="finds `artifact_id` too")
    ] = None
    user_id: Id = None
    attempt: Id = None
    duration_ms: Milliseconds = None
    provider_job_id: str | None = None
    provider_id: str | None = None
    operation_type: str | None = None
    stage: str | None = None
    stage_prefix: Annotated[
        str | None, msgspec.Meta(description="a stage, or what stands before its colon")
    ] = None
    channel: str | None = None
    domain: str | None = None
    instance_id: str | None = None
    event_name: str | None = None
    id: Integer | None = None
    severity_number: Annotated[int, msgspec.Meta(ge=-INT32 - 1, le=INT32)] | None = None
    flags: Integer | None = None
    search: Annotated[
        str | None,
        msgspec.Meta(description="part of a message, error, stage, … or value of `extra`"),
    ] = None
    start_time: Time = None
    end_time: Time = None
    minutes: Annotated[
        Minutes | None, msgspec.Meta(description="only the last so many minutes")
    ] = None


class Query(Conditions, frozen=True, kw_only=True):
    """The parameters of ``/query``."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    offset: Annotated[int, msgspec.Meta(ge=0, le=INT64)] = 0
    total: Annotated[
        Literal["exact", "estimate", "none"],
        msgspec.Meta(description="how `total` is found; the estimate is the planner's"),
    ] = "exact"


class Distinct(Conditions, frozen=True, kw_only=True):
    """The parameters of ``/distinct``."""

    field: Annotated[
        str,
        msgspec.Meta(
            description="a column, or a key of `extra`", extra_json_schema={"minLength": 1}
        ),
    ]
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class DistinctColumn(Conditions, frozen=True, kw_only=True):
    """The parameters of ``/distinct/{column}``."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1000


class Fields(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of ``/fields``."""

    service: str | None = None
    sample_limit: Annotated[
        int, msgspec.Meta(ge=1, le=2000, description="how many of the newest records to look at")
    ] = 300


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of ``/trace/job`` and ``/trace/request``."""

    expand: Annotated[
        Literal["trace"] | None,
        msgspec.Meta(description="`trace` adds the records of every trace that touched this"),
    ] = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """The path of ``/trace/job/{job_id}``."""

    job_id: Annotated[Integer | str, msgspec.Meta(description="a whole number, or text as sent")]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The path of ``/trace/request/{request_id}``."""

    request_id: str


class TraceId(msgspec.Struct, frozen=True, kw_only=True):
    """The path of ``/trace/trace/{trace_id}``."""

    trace_id: Annotated[str, msgspec.Meta(description="OTLP: 32 hex digits; native: as sent")]


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """The path of ``/distinct/{column}``."""

    column: Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(COLUMNS)})]
