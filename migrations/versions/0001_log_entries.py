"""
The log table, its ledger, and the interned resources and scopes.

``log_entries`` has two levels of partitions. Services that INSERT for themselves name
the upper one, which has a statement trigger that writes their ledger row; our COPY goes
to the lower one, ``log_entries_days``, and so doesn't pay for the trigger's transition
table, which Postgres would fill before asking whether the trigger wants it.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

COLUMNS = """
    id                       bigint NOT NULL DEFAULT nextval('log_entry_ids'),
    timestamp                timestamptz NOT NULL DEFAULT now(),
    observed_timestamp       timestamptz,
    xid                      xid8 NOT NULL DEFAULT pg_current_xact_id(),
    resource_id              bigint,
    scope_id                 bigint,
    job_id                   bigint,
    submission_id            bigint,
    artifact_id              bigint,
    generation_id            bigint,
    user_id                  bigint,
    attempt                  bigint,
    duration_ms              double precision,
    promoted                 bigint,
    flags                    bigint,
    timestamp_ns             smallint,
    observed_timestamp_ns    smallint,
    severity_number          integer NOT NULL DEFAULT 0,
    level                    text COLLATE "C" NOT NULL,
    service                  text COLLATE "C" NOT NULL DEFAULT 'unknown',
    env                      text COLLATE "C" DEFAULT 'dev',
    instance_id              text COLLATE "C",
    request_id               text COLLATE "C",
    trace_id                 text COLLATE "C",
    span_id                  text COLLATE "C",
    provider_job_id          text COLLATE "C",
    provider_id              text COLLATE "C",
    operation_type           text COLLATE "C",
    stage                    text COLLATE "C",
    channel                  text COLLATE "C",
    domain                   text COLLATE "C",
    event_name               text COLLATE "C",
    error_type               text COLLATE "C",
    error                    text,
    msg                      text,
    otlp                     jsonb,
    extra                    jsonb,
    created_at               timestamptz DEFAULT now()
"""

TABLES = f"""
-- A collector reserves a thousand ids with each call.
CREATE SEQUENCE log_entry_ids AS bigint INCREMENT BY 1000;

CREATE TABLE log_entries ({COLUMNS}) PARTITION BY RANGE (timestamp);
CREATE TABLE log_entries_days PARTITION OF log_entries
    FOR VALUES FROM (MINVALUE) TO (MAXVALUE) PARTITION BY RANGE (timestamp);
CREATE TABLE log_entries_default PARTITION OF log_entries_days DEFAULT;

CREATE TABLE resources (
    id                        bigint PRIMARY KEY,
    attributes                jsonb NOT NULL,
    schema_url                text NOT NULL DEFAULT '',
    dropped_attributes_count  bigint NOT NULL DEFAULT 0
);
CREATE TABLE scopes (
    id                        bigint PRIMARY KEY,
    name                      text NOT NULL,
    version                   text NOT NULL,
    attributes                jsonb NOT NULL,
    schema_url                text NOT NULL DEFAULT '',
    dropped_attributes_count  bigint NOT NULL DEFAULT 0
);

CREATE TABLE ledger (
    id             bigint GENERATED ALWAYS AS IDENTITY,
    xid            xid8 NOT NULL DEFAULT pg_current_xact_id(),
    received_at    timestamptz NOT NULL DEFAULT now(),
    receiver       text NOT NULL,
    sender         text NOT NULL,
    requests       integer NOT NULL,
    records        integer NOT NULL,
    refused        integer NOT NULL DEFAULT 0,
    min_timestamp  timestamptz,
    max_timestamp  timestamptz
) PARTITION BY RANGE (received_at);
CREATE TABLE ledger_default PARTITION OF ledger DEFAULT;
CREATE INDEX ledger_xid ON ledger (xid);
CREATE INDEX ledger_received_at ON ledger (received_at);

COMMENT ON TABLE log_entries IS 'log records, one partition a day; may be inserted into directly';
COMMENT ON TABLE ledger IS 'one row a transaction, receiver and sender: which rows it added';
COMMENT ON COLUMN log_entries.xid IS 'the transaction that added the row; equals ledger.xid';
COMMENT ON COLUMN log_entries.timestamp_ns IS 'the nanoseconds below the microsecond, 0-999';
COMMENT ON COLUMN log_entries.promoted IS 'bit set of record attributes kept in their column only';
COMMENT ON COLUMN log_entries.otlp IS 'what of an OTLP record no column holds';
"""

# Ids have few rows each, and most rows lack most ids, so these indexes are small.
INDEXES = """
CREATE INDEX log_entries_timestamp ON log_entries (timestamp);
CREATE INDEX log_entries_severe ON log_entries (timestamp) WHERE severity_number >= 13;
CREATE INDEX log_entries_service_severe ON log_entries (service, timestamp)
    WHERE severity_number >= 13;
CREATE INDEX log_entries_job_id ON log_entries (job_id) WHERE job_id IS NOT NULL;
-- a hash, because an entry of a btree may have no more than 2,704 bytes
CREATE INDEX log_entries_job_text ON log_entries USING hash ((extra ->> 'job_id'))
    WHERE job_id IS NULL AND (extra ->> 'job_id') IS NOT NULL;
CREATE INDEX log_entries_request_id ON log_entries (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX log_entries_trace_id ON log_entries (trace_id) WHERE trace_id IS NOT NULL;
CREATE INDEX log_entries_submission_id ON log_entries (submission_id)
    WHERE submission_id IS NOT NULL;
CREATE INDEX log_entries_artifact_id ON log_entries (artifact_id) WHERE artifact_id IS NOT NULL;
CREATE INDEX log_entries_generation_id ON log_entries (generation_id)
    WHERE generation_id IS NOT NULL;
CREATE INDEX log_entries_provider_job_id ON log_entries (provider_job_id)
    WHERE provider_job_id IS NOT NULL;
CREATE INDEX log_entries_user_id ON log_entries (user_id) WHERE user_id IS NOT NULL;
"""

FUNCTIONS = """
CREATE FUNCTION log_severity_number(level text) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE lower(level)
        WHEN 'trace' THEN 1
        WHEN 'debug' THEN 5
        WHEN 'info' THEN 9 WHEN 'information' THEN 9 WHEN 'notice' THEN 10
        WHEN 'warn' THEN 13 WHEN 'warning' THEN 13
        WHEN 'error' THEN 17 WHEN 'err' THEN 17 WHEN 'exception' THEN 17
        WHEN 'critical' THEN 21 WHEN 'fatal' THEN 21 WHEN 'crit' THEN 21
        WHEN 'alert' THEN 22 WHEN 'emergency' THEN 24
        ELSE 0 END
$$;

-- Completes what a service inserted for itself: the number of its level, the trace id that
-- it keeps in extra, and the ledger row that followers read.
CREATE FUNCTION log_entries_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    lowest timestamptz;
    highest timestamptz;
    number integer;
BEGIN
    SELECT min(timestamp), max(timestamp), count(*) INTO lowest, highest, number FROM inserted;
    IF number = 0 THEN
        RETURN NULL;
    END IF;
    UPDATE log_entries SET
        severity_number = CASE WHEN severity_number = 0
            THEN log_severity_number(level) ELSE severity_number END,
        trace_id = coalesce(trace_id, extra ->> 'trace_id')
    WHERE timestamp BETWEEN lowest AND highest AND xid = pg_current_xact_id()
        AND ((severity_number = 0 AND log_severity_number(level) <> 0)
            OR (trace_id IS NULL AND extra ->> 'trace_id' IS NOT NULL));
    INSERT INTO ledger (receiver, sender, requests, records, min_timestamp, max_timestamp)
    VALUES ('sql', current_setting('application_name'), 1, number, lowest, highest);
    RETURN NULL;
END
$$;

CREATE TRIGGER log_entries_inserted AFTER INSERT ON log_entries
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION log_entries_inserted();
"""

# A service that started before us may have made a plain log_entries; its rows are taken over
# column by column, and what we have no column for goes to extra.
SET_ASIDE = """
DO $$
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = to_regclass('log_entries')) IN ('r', 'p') THEN
        ALTER TABLE log_entries RENAME TO log_entries_before;
    END IF;
END
$$;
"""

ADOPT = r"""
DO $$
DECLARE
    shared text[];
    named text;
    selected text;
BEGIN
    IF to_regclass('log_entries_before') IS NULL THEN
        RETURN;
    END IF;
    SELECT array_agg(ours.attname::text),
        string_agg(quote_ident(ours.attname), ', '),
        string_agg(CASE
            WHEN ours.attname = 'level' THEN 'coalesce(b.level, ''INFO'')'
            WHEN ours.attname = 'service' THEN 'coalesce(b.service, ''unknown'')'
            WHEN theirs.atttypid = 'timestamp'::regtype
                THEN format('coalesce(b.%I AT TIME ZONE ''UTC'', now())', ours.attname)
            ELSE format('b.%I', ours.attname) END, ', ')
    INTO shared, named, selected
    FROM pg_attribute ours
    JOIN pg_attribute theirs ON theirs.attname = ours.attname
        AND theirs.attrelid = 'log_entries_before'::regclass
        AND theirs.attnum > 0 AND NOT theirs.attisdropped
    WHERE ours.attrelid = 'log_entries'::regclass AND ours.attnum > 0
        AND ours.attname NOT IN ('xid', 'extra', 'severity_number', 'trace_id');
    EXECUTE format($sql$
        INSERT INTO log_entries (%s, severity_number, trace_id, extra)
        SELECT %s, log_severity_number(r.all ->> 'level'),
            coalesce(r.all ->> 'trace_id', e.extra ->> 'trace_id'),
            nullif(e.extra || r.unknown, '{}')
        FROM log_entries_before b
        -- jsonb has no NUL; json lets one through
        CROSS JOIN LATERAL (
            SELECT replace(row_to_json(b)::text, '\u0000', '\ufffd')::jsonb AS all
        ) a
        CROSS JOIN LATERAL (
            SELECT a.all, jsonb_strip_nulls(
                a.all - %L::text[] - '{extra,severity_number,trace_id}'::text[]) AS unknown
        ) r
        CROSS JOIN LATERAL (
            SELECT CASE jsonb_typeof(r.all -> 'extra') WHEN 'object' THEN r.all -> 'extra'
                WHEN 'null' THEN '{}' ELSE coalesce(
                    jsonb_build_object('extra', r.all -> 'extra'), '{}') END AS extra
        ) e
    $sql$, named, selected, shared);
    PERFORM setval('log_entry_ids',
        (SELECT (coalesce(max(id), 0) / 1000 + 1) * 1000 FROM log_entries));
    DROP TABLE log_entries_before;
END
$$;
"""


def upgrade() -> None:
    """Make the tables, taking over the rows of a ``log_entries`` made before us."""
    for statements in (SET_ASIDE, TABLES, FUNCTIONS, ADOPT, INDEXES):
        op.execute(statements)


def downgrade() -> None:
    """Drop everything, the logs included."""
    op.execute("""
        DROP TABLE log_entries, ledger, resources, scopes;
        DROP FUNCTION log_entries_inserted, log_severity_number;
        DROP SEQUENCE log_entry_ids;
    """)
