"""
The engine TimescaleDB: ``log_entries`` as a hypertable, whose older days are compressed.

It is no migration but a step after them, which may be done again and again: what is there
already is left as it is. A plain ``log_entries`` becomes ``log_entries_plain``, whose days are
made chunks one after another, the newest first, each in a transaction of its own; what has
been interrupted goes on at the next start. Rows stay where they are, but for those of no day.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from migrations import reader
from storage import chunks, database, expiry, migrate, partitions, roll_ups
from storage.errors import StorageError, translated
from storage.layout import PAST_LEDGER, hypertable

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncIterator, Callable

    Told = Callable[[str], object]

OLDEST_VERSION = (2, 24)  # before it the hashes of bloom filters were others
PLAIN = "log_entries_plain"
HELP = "see docs/timescaledb.md"

# Who keeps house must not find half of the partitions gone.
LOCKS = (migrate.LOCK, partitions.LOCK, roll_ups.LOCK, expiry.LOCK)

# Whether the library is loaded; only a superuser may read shared_preload_libraries.
EXTENSION = """
SELECT (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS version,
    EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb') AS installed,
    current_setting('timescaledb.disable_load', true) IS NOT NULL AS loaded
"""
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

# Statements that make again on a new log_entries what an old one has.
DIRECT = "coalesce(current_setting('pixsim.writes_ledger', true), '') = ''"
HYPERTABLE = """
ALTER TABLE log_entries RENAME TO {0};
CREATE TABLE log_entries (LIKE {0} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS
    INCLUDING STORAGE INCLUDING COMPRESSION);
SELECT create_hypertable('log_entries', 'timestamp', chunk_time_interval => interval '1 day',
    create_default_indexes => false, associated_schema_name => current_schema(),
    associated_table_prefix => 'log_entries');
"""
TRUNCATED = """
CREATE TRIGGER roll_ups_truncated BEFORE TRUNCATE ON log_entries
    FOR EACH STATEMENT EXECUTE FUNCTION roll_ups_truncated()
"""
INDEXES = r"""
SELECT indexrelid::regclass::text AS name, regexp_replace(
    replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON '),
    '"timestamp"\)', '"timestamp", id)') AS made
FROM pg_index WHERE indrelid = 'log_entries'::regclass
"""
# Pages are ordered by time and id. Of partitions Postgres sorts what an index by time alone
# gives as far as a page needs it, of chunks it sorts a whole day.
BY_TIME = r"""
SELECT indexrelid::regclass::text FROM pg_index
WHERE indrelid = $1::text::regclass AND pg_get_indexdef(indexrelid) ~ '"timestamp"\)'
"""
TRIGGERS = """
SELECT tgname AS name, pg_get_triggerdef(oid) AS made, tgoldtable IS NOT NULL AND tgtype & 8 <> 0
    AS sees_deleted
FROM pg_trigger WHERE tgrelid = 'log_entries'::regclass AND NOT tgisinternal
"""
GRANTS = """
SELECT format('GRANT %s ON log_entries TO %s%s', privilege_type,
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END) AS made
FROM pg_class, aclexplode(relacl) WHERE oid = 'log_entries'::regclass
"""
COMMENT = """
SELECT format('COMMENT ON TABLE log_entries IS %L', obj_description(oid)) AS made
FROM pg_class WHERE oid = 'log_entries'::regclass
"""
OWNER = """
SELECT format('ALTER TABLE log_entries OWNER TO %I', pg_get_userbyid(relowner)) AS made
FROM pg_class WHERE oid = 'log_entries'::regclass
"""
TRIGGERS_OF = """
SELECT quote_ident(tgname) FROM pg_trigger
WHERE tgrelid = $1::text::regclass AND NOT tgisinternal
"""
VIEWS = """
SELECT DISTINCT format('CREATE OR REPLACE VIEW %s %s AS %s', v.oid::regclass,
    'WITH (' || array_to_string(v.reloptions, ', ') || ')', pg_get_viewdef(v.oid)) AS made
FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
    AND d.refobjid = 'log_entries'::regclass AND v.relkind = 'v'
"""
# What else is of log_entries, and would stay with the old one.
OTHERS = """
SELECT DISTINCT CASE WHEN v.oid IS NULL THEN pg_describe_object(d.classid, d.objid, 0)
    ELSE pg_describe_object('pg_class'::regclass, v.oid, 0) END
FROM pg_depend d LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
LEFT JOIN pg_class v ON v.oid = r.ev_class
JOIN pg_class t ON t.oid IN ('log_entries'::regclass, 'log_entries_days'::regclass)
    AND (d.refclassid, d.refobjid) IN
        (('pg_class'::regclass, t.oid), ('pg_type'::regclass, t.reltype))
WHERE d.deptype = 'n' AND (v.relkind IS DISTINCT FROM 'v' OR t.relname <> 'log_entries')
"""
PLAIN_DAYS = r"""
SELECT inhrelid::regclass::text AS name,
    substring(bound FROM 'FROM \(''([^'']+)')::timestamptz AS start,
    substring(bound FROM 'TO \(''([^'']+)')::timestamptz AS finish
FROM (SELECT inhrelid, pg_get_expr(relpartbound, inhrelid) AS bound
    FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'log_entries_days'::regclass) bounds
ORDER BY start DESC NULLS LAST
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


class Unsuitable(StorageError):
    """The database can't be what the configuration asks for, until somebody changes either."""


async def prepare(dsn: str, *, compress_after: int, told: Told) -> None:
    """
    Make ``log_entries`` a hypertable if it is none, compressed after days (0: never).

    Waits for whoever does so now. Tells a line for all that is done.

    Raises:
        Unsuitable: the server has no TimescaleDB that will do.
        Unavailable: the database is away; the same call goes on from where it was.
    """
    async with _alone(dsn) as connection:
        await _extend(connection)
        await connection.execute(FUNCTIONS)
        await connection.execute(reader.readable("roll_up_deleted"))
        if not await hypertable(connection):
            await _swap(connection)
            told("log_entries is a hypertable")
        if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", PLAIN):
            await _move(connection, told)
        await _compress(connection, compress_after, told)


async def check(dsn: str, *, wanted: bool) -> None:
    """
    Return if ``log_entries`` is a hypertable just where one is *wanted*.

    Raises:
        Unsuitable: it is not.
        Unavailable: the database is away.
    """
    with translated():
        connection = await asyncpg.connect(dsn, timeout=database.CONNECT_TIMEOUT)
        try:
            found = await hypertable(connection)
        finally:
            await connection.close(timeout=database.CLOSE_TIMEOUT)
    if found and not wanted:
        raise Unsuitable(f"log_entries is a hypertable, so the engine is timescaledb; {HELP}")
    if wanted and not found:
        raise Unsuitable(
            f"log_entries is no hypertable: run `pixsim-collector migrate upgrade`; {HELP}"
        )


@asynccontextmanager
async def _alone(dsn: str) -> AsyncIterator[Any]:
    """Hold a connection and the locks of all who change tables."""
    with translated():
        connection = await asyncpg.connect(
            dsn, timeout=database.CONNECT_TIMEOUT, server_settings=database.SETTINGS
        )
        try:
            for lock in LOCKS:
                await connection.fetchval("SELECT pg_advisory_lock($1)", lock)
            yield connection
        finally:
            await connection.close(timeout=database.CLOSE_TIMEOUT)


async def _extend(connection: Any) -> None:
    """Make the extension in this database, and see that it will do."""
    found = await connection.fetchrow(EXTENSION)
    if not found["installed"]:
        raise Unsuitable(f"the Postgres server has no TimescaleDB; {HELP}")
    if not found["loaded"]:
        raise Unsuitable(
            "the Postgres server doesn't load TimescaleDB: add timescaledb to its"
            f" shared_preload_libraries and start it anew; {HELP}"
        )
    if found["version"] is None:
        try:
            await connection.execute("CREATE EXTENSION timescaledb")
        except asyncpg.PostgresError as exc:
            raise Unsuitable(f"no extension timescaledb can be made: {exc}; {HELP}") from exc
        found = await connection.fetchrow(EXTENSION)
    version: str = found["version"]
    if tuple(map(int, version.split(".")[:2])) < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        raise Unsuitable(f"TimescaleDB {version} is older than {oldest}; {HELP}")
    usable = await connection.fetchrow(USABLE)
    if not usable["licensed"]:
        raise Unsuitable(f"this TimescaleDB is the Apache edition, without columnstore; {HELP}")
    if not usable["visible"]:
        raise Unsuitable(f"the schema of extension timescaledb is not in search_path; {HELP}")


async def _swap(connection: Any) -> None:
    """Put an empty hypertable in the place of the plain table, with all that was on it."""
    async with connection.transaction():
        await connection.execute("LOCK TABLE log_entries IN ACCESS EXCLUSIVE MODE")
        if others := await connection.fetch(OTHERS):
            names = ", ".join(row[0] for row in others)
            raise Unsuitable(f"drop what depends on log_entries, and make it again then: {names}")
        again = [_trigger(*row) for row in await connection.fetch(TRIGGERS)]
        for query in (GRANTS, VIEWS, COMMENT, OWNER):
            again += [row["made"] for row in await connection.fetch(query)]
        for name, made in await connection.fetch(INDEXES):
            again.insert(0, made)
            await connection.execute(f"ALTER INDEX {name} RENAME TO {name}_plain")
        await connection.execute(HYPERTABLE.format(PLAIN))
        await connection.execute(chunks.JOB_TEXT.format("log_entries"))
        for statement in again:
            await connection.execute(statement)
        await connection.execute(chunks.TRIGGERS.format("log_entries"))


def _trigger(name: str, made: str, sees_deleted: bool) -> str:  # noqa: FBT001  a row's column
    """Give the statement that makes a trigger of the plain table on the hypertable."""
    if name == "log_entries_inserted":  # there is no way past it, as COPY has of partitions
        return made.replace(" EXECUTE ", f" WHEN ({DIRECT}) EXECUTE ")
    if not sees_deleted:
        return made
    if name == "roll_ups_deleted":  # see `chunks.TRIGGERS`
        return TRUNCATED
    raise Unsuitable(f"drop trigger {name} on log_entries: no hypertable can have it; {HELP}")


async def _move(connection: Any, told: Told) -> None:
    """Make the days of the plain table chunks, and drop what is left of it."""
    days = await connection.fetch(PLAIN_DAYS)
    for number, (name, start, end) in enumerate(days, 1):
        async with connection.transaction():
            await connection.execute(f"ALTER TABLE log_entries_days DETACH PARTITION {name}")
            for (trigger,) in await connection.fetch(TRIGGERS_OF, name):
                await connection.execute(f"DROP TRIGGER {trigger} ON {name}")
            for (index,) in await connection.fetch(BY_TIME, name):
                await connection.execute(f"DROP INDEX {index}")
            await connection.execute(chunks.JOB_TEXT.format(name))
            if start is None:
                end = chunks.EARLIEST  # noqa: PLW2901
                await _disperse(connection, name, chunks.EARLIEST)
            await chunks.attach(connection, name, start, end)
        told(f"moved {name}, {number} of {len(days)}")
    await connection.execute(f"DROP TABLE {PLAIN}")
    await chunks.make_unbounded(connection)


async def _disperse(connection: Any, default: str, start: dt.datetime) -> None:
    """Insert the rows of the *default* partition from *start* on anew, each in its day."""
    await connection.execute(f"SET LOCAL {PAST_LEDGER}")  # it has them
    await connection.execute(
        f"INSERT INTO log_entries SELECT * FROM {default} WHERE timestamp >= $1", start
    )
    await connection.execute(f"DELETE FROM {default} WHERE timestamp >= $1", start)


async def _compress(connection: Any, days: int, told: Told) -> None:
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
