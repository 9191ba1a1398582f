"""
Views and a read-only role for who asks by SQL.

A view whose name another table has already is called ``pixsim_logs`` and so on.
"""

from __future__ import annotations

from alembic import op

from migrations import reader

revision = "0002"
down_revision = "0001"

NAMES = ("logs", "traces", "jobs_seen")

SEVERITY = """CASE
    WHEN e.severity_number > 20 THEN 'critical'
    WHEN e.severity_number > 16 THEN 'error'
    WHEN e.severity_number > 12 THEN 'warning'
    WHEN e.severity_number > 8 THEN 'info'
    WHEN e.severity_number > 4 THEN 'debug'
    WHEN e.severity_number > 0 THEN 'trace'
    ELSE lower(e.level) END"""

# The name of a column, what it is, and what is said of it. No column is an expression of one
# that an index is on, or conditions on it could not use the index.
LOGS = (
    ("id", "e.id", "tells the record from all others; in order of arrival within a time"),
    ("timestamp", "e.timestamp", "when it happened, as its sender says"),
    ("severity", SEVERITY, "trace, debug, info, warning, error, critical, or the level as sent"),
    ("level", "e.level", "the level as the sender wrote it"),
    (
        "severity_number",
        "e.severity_number",
        "the level as a number, 1-24, where 9 is info, 13 warning, 17 error; 0 where unknown",
    ),
    ("service", "e.service", "the service that wrote it"),
    ("env", "e.env", "the environment it ran in, such as prod"),
    ("instance_id", "e.instance_id", "which of the service's processes"),
    ("msg", "e.msg", "the message"),
    ("event_name", "e.event_name", "the name of the event, from OpenTelemetry"),
    ("request_id", "e.request_id", "the request it belongs to"),
    ("trace_id", "e.trace_id", "the trace it belongs to"),
    ("span_id", "e.span_id", "the span within the trace"),
    (
        "job_id",
        "e.job_id",
        "the job it belongs to; null where that is no number, and extra ->> 'job_id' has it",
    ),
    ("submission_id", "e.submission_id", "the submission it belongs to"),
    ("artifact_id", "e.artifact_id", "the artifact it belongs to; newer services say generation"),
    ("generation_id", "e.generation_id", "the generation it belongs to; older: artifact_id"),
    ("provider_job_id", "e.provider_job_id", "the job's id at the provider"),
    ("provider_id", "e.provider_id", "the provider"),
    ("operation_type", "e.operation_type", "what is done, such as image_to_video"),
    ("stage", "e.stage", "the stage of the job, such as provider:submit"),
    ("attempt", "e.attempt", "which try of the job"),
    ("channel", "e.channel", "the channel"),
    ("domain", "e.domain", "the domain"),
    ("user_id", "e.user_id", "the user it was done for"),
    ("duration_ms", "e.duration_ms", "how long it took, in milliseconds"),
    ("error_type", "e.error_type", "the class of the error"),
    ("error", "e.error", "the error"),
    ("extra", "e.extra", "all fields without a column, by name: extra ->> 'queue'"),
    (
        "resource",
        "r.attributes",
        "what is known of the process that wrote it: resource ->> 'host.name'",
    ),
    ("scope_name", "nullif(s.name, '')", "the logger, or the library that wrote it"),
    ("scope", "s.attributes", "the attributes of the logger"),
    ("observed_timestamp", "e.observed_timestamp", "when a collector first saw it"),
    ("created_at", "e.created_at", "when it was stored"),
)

SPAN = (
    ("first_seen", "min(timestamp)", "the time of the first record"),
    ("last_seen", "max(timestamp)", "the time of the last record"),
    ("records", "count(*)", "how many records there are"),
    ("errors", "count(*) FILTER (WHERE severity_number >= 17)", "how many of them are errors"),
    ("services", "array_agg(DISTINCT service)", "the services that wrote them"),
)
TRACES = (("trace_id", "trace_id", "the trace; ask for one, or all records are read"), *SPAN)


def _latest(expression: str, condition: str) -> str:
    return (
        f"(array_agg({expression} ORDER BY timestamp DESC, id DESC) FILTER (WHERE {condition}))[1]"
    )


def _all(column: str) -> str:
    return f"coalesce(array_agg(DISTINCT {column}) FILTER (WHERE {column} IS NOT NULL), '{{}}')"


JOBS = (
    *SPAN,
    ("stages", _all("stage"), "the stages it has been in, by name"),
    ("last_stage", _latest("stage", "stage IS NOT NULL"), "the stage of its last record that has"),
    ("attempts", "max(attempt)", "the highest number of an attempt"),
    (
        "last_error",
        _latest("coalesce(error, msg)", "severity_number >= 17 OR error IS NOT NULL"),
        "what its last error says",
    ),
    ("request_ids", _all("request_id"), "the requests that its records belong to"),
)
NUMBERED = (
    ("job_id", "job_id", "the job; ask for one, or all records are read"),
    ("text_id", "NULL::text", "the id of a job whose id is no number, such as ingestion-55"),
    *JOBS,
)
TEXTUAL = (("job_id", "NULL::bigint", ""), ("text_id", "extra ->> 'job_id'", ""), *JOBS)

Columns = tuple[tuple[str, str, str], ...]


def _selected(columns: Columns) -> str:
    return ", ".join(f"{expression} AS {name}" for name, expression, _ in columns)


def _commented(view: str, text: str, columns: Columns) -> str:
    told = [("VIEW", view, text)]
    told += [("COLUMN", f"{view}.{name}", comment) for name, _, comment in columns]
    return "".join(
        "COMMENT ON {} {} IS '{}';\n".format(kind, name, comment.replace("'", "''"))
        for kind, name, comment in told
    )


# Names are given back where they are taken, by a table or by a type.
VIEWS = f"""
CREATE VIEW pixsim_logs AS SELECT {_selected(LOGS)}
    FROM log_entries e
    LEFT JOIN resources r ON r.id = e.resource_id
    LEFT JOIN scopes s ON s.id = e.scope_id;
CREATE VIEW pixsim_traces AS SELECT {_selected(TRACES)}
    FROM log_entries WHERE trace_id IS NOT NULL GROUP BY trace_id;
-- Two parts, so that either id finds its index.
CREATE VIEW pixsim_jobs_seen AS SELECT {_selected(NUMBERED)}
    FROM log_entries WHERE job_id IS NOT NULL GROUP BY job_id
    UNION ALL SELECT {_selected(TEXTUAL)}
    FROM log_entries WHERE job_id IS NULL AND (extra ->> 'job_id') IS NOT NULL
    GROUP BY extra ->> 'job_id';
{_commented("pixsim_logs", "log records, to read; ask for a span of time or for an id", LOGS)}
{_commented("pixsim_traces", "what is known of each trace, from its records", TRACES)}
{_commented("pixsim_jobs_seen", "what is known of each job, from its records", NUMBERED)}
{reader.readable(*(f"pixsim_{name}" for name in NAMES))}
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY '{{{",".join(NAMES)}}}'::text[] LOOP
        IF to_regclass(name) IS NULL AND to_regtype(name) IS NULL THEN
            EXECUTE format('ALTER VIEW %I RENAME TO %I', 'pixsim_' || name, name);
        ELSE
            RAISE WARNING 'the name % is taken; the view is called pixsim_%', name, name;
        END IF;
    END LOOP;
END
$$;
"""


def upgrade() -> None:
    """Make the role, where that is permitted, and the views."""
    op.execute(reader.CREATE)
    op.execute(reader.readable("log_entries", "ledger", "resources", "scopes"))
    op.execute(VIEWS)


def downgrade() -> None:
    """Drop the views; the role stays, for other databases of the server may use it."""
    names = ", ".join(f"coalesce(to_regclass('pixsim_{n}'), to_regclass('{n}'))" for n in NAMES)
    op.execute(f"""
        DO $$
        DECLARE
            view regclass;
        BEGIN
            FOREACH view IN ARRAY ARRAY[{names}] LOOP
                EXECUTE format('DROP VIEW %s', view);
            END LOOP;
        END
        $$;
        DO $$
        BEGIN
            IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{reader.READER}') THEN
                REVOKE SELECT ON log_entries, ledger, resources, scopes FROM {reader.READER};
            END IF;
        END
        $$;
    """)
