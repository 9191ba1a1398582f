"""The parameters of the query API; its OpenAPI document is made of these same types."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

import msgspec

from collector.levels import NAMES
from collector.search.times import PATTERN
from collector.search.values import INT64

INT32 = 2**31 - 1
COLUMNS = ("service", "channel", "domain", "level", "provider_id", "operation_type", "stage")
TEN_YEARS = 5_256_000  # minutes

Minutes = Annotated[float, msgspec.Meta(gt=0, le=TEN_YEARS)]
Integer = Annotated[int, msgspec.Meta(ge=-INT64 - 1, le=INT64)]
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
# A parameter that is given several times finds what has any of its values.
Texts = tuple[str, ...]
# Text that is a whole number is one; other text is the value that `extra` keeps.
Ids = Annotated[
    tuple[Integer | str, ...],
    msgspec.Meta(description="whole numbers of 64 bits, or text as it was sent"),
]


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """
    What records must have; each of the lists is of values of which one will do.

    Any parameter not listed is a value of a key of `extra`, or a condition on a field; see
    `collector.api.searches`.
    """

    q: Annotated[
        str | None,
        msgspec.Meta(
            description="a search, such as `service:worker level>=warning -stage:retry:*`",
            extra_json_schema={"format": "pixsim-search"},
        ),
    ] = None
    service: Texts = ()
    env: Texts = ()
    level: Annotated[
        Texts, msgspec.Meta(description="in any case; warn is warning, fatal is critical")
    ] = ()
    min_level: Annotated[
        str | None,
        msgspec.Meta(
            description="this level or a worse one; in any case",
            extra_json_schema={"enum": list(NAMES)},
        ),
    ] = None
    msg: Texts = ()
    error: Texts = ()
    error_type: Texts = ()
    request_id: Texts = ()
    trace_id: Texts = ()
    span_id: Texts = ()
    job_id: Ids = ()
    submission_id: Ids = ()
    artifact_id: Annotated[
        tuple[Integer | str, ...], msgspec.Meta(description="finds `generation_id` too")
    ] = ()
    generation_id: Annotated[
        tuple[Integer | str, ...], msgspec.Meta(description="finds `artifact_id` too")
    ] = ()
    user_id: Ids = ()
    attempt: Ids = ()
    duration_ms: Annotated[tuple[float | str, ...], msgspec.Meta(description="milliseconds")] = ()
    provider_job_id: Texts = ()
    provider_id: Texts = ()
    operation_type: Texts = ()
    stage: Texts = ()
    stage_prefix: Annotated[
        str | None, msgspec.Meta(description="a stage, or what stands before its colon")
    ] = None
    channel: Texts = ()
    domain: Texts = ()
    instance_id: Texts = ()
    event_name: Texts = ()
    id: tuple[Integer, ...] = ()
    severity_number: tuple[Annotated[int, msgspec.Meta(ge=-INT32 - 1, le=INT32)], ...] = ()
    flags: tuple[Integer, ...] = ()
    search: Annotated[
        str | None,
        msgspec.Meta(description="part of a message, error, stage, … or value of `extra`"),
    ] = None
    start_time: Time = None
    end_time: Time = None
    minutes: Annotated[
        Minutes | None, msgspec.Meta(description="only the last so many minutes")
    ] = None
    last: Annotated[
        str | None,
        msgspec.Meta(
            description="only the last so long: 90s, 15m, 1h, 7d, 2w",
            extra_json_schema={"pattern": PATTERN},
        ),
    ] = None


class Query(Conditions, frozen=True, kw_only=True):
    """The parameters of ``/query``."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    offset: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            le=INT64,
            description="how many to pass over; counts only without a cursor, which is quicker",
        ),
    ] = 0
    cursor: Annotated[
        str | None,
        msgspec.Meta(
            description="`next_cursor` or `previous_cursor` of an answer to the same question",
            extra_json_schema={"format": "pixsim-cursor"},
        ),
    ] = None
    total: Annotated[
        Literal["exact", "estimate", "none"],
        msgspec.Meta(
            description="how `total` is found; the estimate is the planner's, and with a cursor"
            " it is that of the first page"
        ),
    ] = "exact"
    under: Annotated[
        Literal["both", "logs", "items"],
        msgspec.Meta(
            description="the name that the records have in the answer; by default both, of which"
            " older and newer readers know one each"
        ),
    ] = "both"


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


class Fields(Conditions, frozen=True, kw_only=True):
    """The parameters of ``/fields``."""

    sample_limit: Annotated[
        int, msgspec.Meta(ge=1, le=2000, description="how many of the newest records to look at")
    ] = 300


class Export(Conditions, frozen=True, kw_only=True):
    """The parameters of ``/export``."""

    format: Annotated[
        Literal["jsonl", "csv", "spreadsheet", "parquet"],
        msgspec.Meta(
            description="`spreadsheet` is CSV in which no text can be taken for a formula;"
            " `parquet` is an optional part of the collector"
        ),
    ] = "jsonl"
    limit: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=INT64)] | None,
        msgspec.Meta(description="only the oldest; by default all"),
    ] = None


class Tail(Conditions, frozen=True, kw_only=True):
    """The parameters of ``/tail``."""

    start: Annotated[
        str,
        msgspec.Meta(
            description="`now`, `beginning`, a position that an event gave, or when the collector"
            " received a record: an ISO 8601 time, or how long ago, such as `15m`; the header"
            " `Last-Event-ID` goes before it"
        ),
    ] = msgspec.field(default="now", name="from")


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of ``/completion``."""

    q: Annotated[str, msgspec.Meta(description="a search, finished or not")] = ""
    at: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=INT32)] | None,
        msgspec.Meta(
            description="the column of the cursor: 1 is before the first character; by default"
            " the end"
        ),
    ] = None


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
