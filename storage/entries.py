"""One log record as readers get it, and how a row becomes one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

if TYPE_CHECKING:
    from asyncpg import Record

_OBJECT = {"type": ["object", "null"]}
Object = Annotated[msgspec.Raw | None, msgspec.Meta(extra_json_schema=_OBJECT)]


class Entry(msgspec.Struct, frozen=True):
    """
    One log record; every key is always present, null where the sender gave nothing.

    Times are ISO 8601 in UTC with microseconds. ``artifact_id`` and ``generation_id`` are
    two names of one id; each shows the other's value when it has none. The last three
    fields are JSON as the database keeps it.
    """

    id: int
    timestamp: str
    level: str
    service: str
    env: str | None
    msg: str | None
    domain: str | None
    request_id: str | None
    trace_id: str | None
    span_id: str | None
    job_id: int | None
    submission_id: int | None
    artifact_id: int | None
    generation_id: int | None
    provider_job_id: str | None
    provider_id: str | None
    operation_type: str | None
    stage: str | None
    channel: str | None
    user_id: int | None
    error: str | None
    error_type: str | None
    duration_ms: float | None
    attempt: int | None
    instance_id: str | None
    event_name: str | None
    severity_number: int
    trace_flags: str | None
    observed_timestamp: str | None
    timestamp_unix_nano: str | None  # text, for JavaScript's numbers lose the last digits
    extra: Object
    resource: Object
    scope: Object


def _iso(column: str) -> str:
    """Format a time; to_char has no infinity and no sign for years before our era."""
    return (
        f"CASE WHEN e.{column} BETWEEN '0001-01-01Z' AND '294000-01-01Z' THEN"
        f" to_char(e.{column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
        f" ELSE e.{column}::text END"
    )


# What isn't the column itself. The columns are those of a row named ``e``.
_EXPRESSIONS = {
    "timestamp": _iso("timestamp"),
    "observed_timestamp": _iso("observed_timestamp"),
    "timestamp_unix_nano": (
        "trunc(extract(epoch FROM e.timestamp) * 1000000000 + e.timestamp_ns)::text"
    ),
    "artifact_id": "coalesce(e.artifact_id, e.generation_id)",
    "generation_id": "coalesce(e.generation_id, e.artifact_id)",
    "trace_flags": "lpad(to_hex(e.flags & 255), 2, '0')",
    "resource": "(SELECT r.attributes::text FROM resources r WHERE r.id = e.resource_id)",
    "scope": (
        "(SELECT jsonb_build_object('name', s.name, 'version', s.version,"
        " 'attributes', s.attributes)::text FROM scopes s WHERE s.id = e.scope_id)"
    ),
}
SELECTED = ", ".join(_EXPRESSIONS.get(name, f"e.{name}") for name in Entry.__struct_fields__)
_JSON = 3  # fields, the last ones


def entry(row: Record | tuple[Any, ...], behind: int = 1) -> Entry:
    """Make an entry of a row of `SELECTED`, *behind* columns of something else."""
    raw = (None if text is None else msgspec.Raw(text) for text in row[-_JSON:])
    return Entry(*row[behind:-_JSON], *raw)
