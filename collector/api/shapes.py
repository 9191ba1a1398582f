"""The bodies of the query API's answers, and of native requests as they are described."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from collector.search.completion import Suggestion  # noqa: TC001  the same
from storage.entries import Entry  # noqa: TC001  msgspec reads the annotations


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A page of records, newest first; both `logs` and `items` unless `under` said which."""

    logs: list[Entry] | msgspec.UnsetType = msgspec.UNSET
    items: (
        Annotated[list[Entry], msgspec.Meta(description="the same as `logs`")] | msgspec.UnsetType
    ) = msgspec.UNSET
    total: Annotated[int | None, msgspec.Meta(description="of all pages; null where not asked for")]
    limit: int
    offset: int
    has_more: bool
    next_cursor: Annotated[
        str | None, msgspec.Meta(description="`cursor` of the next page, of older records")
    ]
    previous_cursor: Annotated[
        str | None, msgspec.Meta(description="`cursor` of the page before, of newer records")
    ]


class KnownFields(msgspec.Struct, frozen=True, kw_only=True):
    """The names that a filter may have."""

    service: str | None
    fields: Annotated[list[str], msgspec.Meta(description="columns and keys of `extra`")]
    dynamic: Annotated[list[str], msgspec.Meta(description="keys of `extra`")]
    count: Annotated[int, msgspec.Meta(description="how many records were looked at")]


class FieldValues(msgspec.Struct, frozen=True, kw_only=True):
    """The values of a field, sorted."""

    field: str
    count: int
    values: list[str | float]


class ColumnValues(msgspec.Struct, frozen=True, kw_only=True):
    """The values of a column, sorted."""

    column: str
    values: list[str | float]


class Completions(msgspec.Struct, frozen=True, kw_only=True):
    """What may stand at a place of a search, the likeliest first."""

    column: Annotated[
        int, msgspec.Meta(description="where the text begins whose place an item takes, from 1")
    ]
    length: Annotated[int, msgspec.Meta(description="of that text, in characters")]
    items: list[Suggestion]


class ConsoleField(msgspec.Struct, frozen=True, kw_only=True):
    """How a console marks one ``name=value`` in a line."""

    name: str
    color: str
    clickable: bool
    pattern: str
    description: str


class ConsoleFields(msgspec.Struct, frozen=True, kw_only=True):
    """How a console marks the ids in its lines."""

    fields: list[ConsoleField]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the database answers."""

    status: Literal["healthy", "degraded"]
    database: Literal["connected", "disconnected"]
    redis: None = None
    providers: list[str] = []


class Detail(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong with a request, and where."""

    type: str
    loc: list[str | int]
    msg: str
    input: Any = None
    ctx: Annotated[
        dict[str, Any] | msgspec.UnsetType,
        msgspec.Meta(
            description="of a search: `column` (from 1) and `length` of what is wrong, in"
            " characters, `expected`, `found`, and `suggestion` or null"
        ),
    ] = msgspec.UNSET


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no answer."""

    detail: str | list[Detail]


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A record as it is sent; other keys, and values not of these types, are kept in `extra`."""

    level: str
    service: str
    timestamp: Annotated[
        str | None, msgspec.Meta(description="ISO 8601; UTC where no zone is given")
    ] = None
    env: str | None = "dev"
    msg: str | None = None
    request_id: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    job_id: int | str | None = None
    submission_id: int | str | None = None
    artifact_id: int | str | None = None
    generation_id: int | str | None = None
    provider_job_id: str | None = None
    provider_id: str | None = None
    operation_type: str | None = None
    stage: str | None = None
    channel: str | None = None
    domain: str | None = None
    user_id: int | str | None = None
    error: str | None = None
    error_type: str | None = None
    duration_ms: float | None = None
    attempt: int | None = None
    extra: dict[str, Any] | None = None


class LogBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Records as they are sent; one that lacks level or service is stored all the same."""

    logs: list[dict[str, Any]]
