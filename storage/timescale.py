"""
The engine TimescaleDB: ``log_entries`` as a hypertable, whose older days are compressed.

It is no migration but a step after them, which may be done again and again: what is there
already is left as it is. `storage.conversion` makes a hypertable of a plain table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migrations import reader
from storage.conversion import convert
from storage.engines import HELP, Extension, alone, extend
from storage.errors import Unsuitable

if TYPE_CHECKING:
    from collections.abc import Callable

EXTENSION = Extension(
    engine="timescaledb",
    name="TimescaleDB",
    preloaded="add timescaledb to",
    setting="timescaledb.disable_load",
    oldest=(2, 24),  # before it the hashes of bloom filters were others
)
USABLE = """
SELECT current_setting('timescaledb.license', true) = 'timescale' AS licensed,
    to_regprocedure('attach_chunk(regclass, regclass, jsonb)') IS NOT NULL AS visible
"""

FUNCTIONS = """
-- What a statement deletes; empty but within a transaction.
CREATE UNLOGGED TABLE IF NOT EXISTS roll_up_deleted (
    minute           timestamptz,
    service          text COLLATE "C",
    level            text COLLATE "C",
    severity_number  integer,
    xid              xid8
);

CREATE OR REPLACE FUNCTION roll_ups_row_deleted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO roll_up_deleted VALUES (date_trunc('minute', OLD.timestamp, 'UTC'), OLD.service,
        OLD.level, OLD.severity_number, OLD.xid);
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION roll_ups_rows_deleted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    position pg_snapshot;
    changes roll_up_change[];
BEGIN
    IF NOT EXISTS (SELECT FROM roll_up_deleted) THEN
        RETURN NULL;
    END IF;
    SELECT counted INTO position FROM roll_up_position FOR SHARE;
    WITH gone AS (DELETE FROM roll_up_deleted RETURNING *)
    SELECT array_agg(ROW(minute, service, level, severity_number, records)::roll_up_change)
    INTO changes FROM (
        SELECT minute, service, level, severity_number, -count(*) AS records
        FROM gone WHERE pg_visible_in_snapshot(xid, position) GROUP BY 1, 2, 3, 4) counted;
    IF changes IS NOT NULL THEN
        PERFORM roll_ups_add(changes);
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION log_entries_job_text() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.job_text := NEW.extra ->> 'job_id';
    RETURN NEW;
END
$$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY '{roll_ups_row_deleted(),roll_ups_rows_deleted()}'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', name, current_schema());
    END LOOP;
END
$$;
"""

# One segment has the rows of a service and level, so that a condition on either leaves the
# others out. In batches of a thousand rows ids are found by bloom filters.
COLUMNSTORE = {
    "segmentby": "service,level",
    "orderby": "timestamp DESC,id DESC",
    "sparse_index": ",".join(
        f"bloom({column})"
        for column in (
            "job_id",
            "job_text",
            "request_id",
            "trace_id",
            "submission_id",
            "artifact_id",
            "generation_id",
            "provider_job_id",
            "user_id",
        )
    )
    + ",minmax(severity_number)",
}
COLUMNSTORE_NOW = """
SELECT segmentby, replace(orderby, '"', '') AS orderby, (
    SELECT string_agg(format('%s(%s)', each ->> 'type', each ->> 'column'), ',' ORDER BY place)
    FROM jsonb_array_elements(index::jsonb) WITH ORDINALITY indexes (each, place)
    WHERE each ->> 'source' = 'config') AS sparse_index
FROM timescaledb_information.hypertable_columnstore_settings
WHERE hypertable = 'log_entries'::regclass
"""
POLICY = """
SELECT (config ->> 'compress_after')::interval = make_interval(days => $1)
FROM timescaledb_information.jobs
WHERE proc_name = 'policy_compression' AND (hypertable_schema, hypertable_name) = (
    SELECT relnamespace::regnamespace::text, relname FROM pg_class
    WHERE oid = 'log_entries'::regclass)
"""


async def prepare(dsn: str, *, compress_after: int, told: Callable[[str], object]) -> None:
    """
    Make ``log_entries`` a hypertable if it is none, compressed after days (0: never).

    Waits for whoever does so now. Tells a line for all that is done.

    Raises:
        Unsuitable: the server has no TimescaleDB that will do.
        Unavailable: the database is away; the same call goes on from where it was.
    """
    async with alone(dsn) as connection:
        await _extend(connection)
        await connection.execute(FUNCTIONS)
        await connection.execute(reader.readable("roll_up_deleted"))
        await convert(connection, told)
        await _compress(connection, compress_after, told)


async def _extend(connection: Any) -> None:
    """Make the extension in this database, and see that it will do."""
    await extend(connection, EXTENSION)
    help_ = HELP["timescaledb"]
    usable = await connection.fetchrow(USABLE)
    if not usable["licensed"]:
        raise Unsuitable(f"this TimescaleDB is the Apache edition, without columnstore; {help_}")
    if not usable["visible"]:
        raise Unsuitable(f"the schema of extension timescaledb is not in search_path; {help_}")


async def _compress(connection: Any, days: int, told: Callable[[str], object]) -> None:
    """Have what is older than *days* compressed, by a job of TimescaleDB's; 0 is never."""
    is_so = await connection.fetchval(POLICY, days)
    if days == 0:
        if is_so is not None:
            await connection.execute("CALL remove_columnstore_policy('log_entries')")
            told("days are not compressed any more")
        return
    now = await connection.fetchrow(COLUMNSTORE_NOW)
    if now is None or dict(now) != COLUMNSTORE:
        options = ", ".join(f"timescaledb.{key} = '{value}'" for key, value in COLUMNSTORE.items())
        await connection.execute(
            f"ALTER TABLE log_entries SET (timescaledb.enable_columnstore, {options})"
        )
    if is_so:
        return
    async with connection.transaction():
        await connection.execute("CALL remove_columnstore_policy('log_entries', if_exists => true)")
        await connection.execute(
            f"CALL add_columnstore_policy('log_entries', after => interval '{days} days')"
        )
    told(f"days are compressed after {days}")
