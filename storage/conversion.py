"""
From a plain ``log_entries`` to a hypertable, in place and restartable.

The plain table becomes ``log_entries_plain``, and a hypertable with all that was on it takes
its name. Then the days are made chunks, the newest first, each in a transaction of its own;
what has been interrupted goes on with those that are left. Rows stay where they are, but for
those of no day and those with a job id that is no number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storage import chunks, expiry, partitions, roll_ups, sealing
from storage.engines import HELP
from storage.errors import Unsuitable
from storage.layout import PAST_LEDGER, engine

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    Told = Callable[[str], object]

PLAIN = "log_entries_plain"

# Who keeps house must not find half of the partitions gone.
LOCKS = (partitions.LOCK, roll_ups.LOCK, sealing.LOCK, expiry.LOCK)

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
UNION ALL SELECT 'row security policy ' || polname FROM pg_policy
WHERE polrelid = 'log_entries'::regclass
UNION ALL SELECT 'rule ' || rulename FROM pg_rules
WHERE format('%I.%I', schemaname, tablename)::regclass = 'log_entries'::regclass
UNION ALL SELECT 'publication ' || pubname FROM pg_publication_rel
JOIN pg_publication ON pg_publication.oid = prpubid WHERE prrelid = 'log_entries'::regclass
UNION ALL SELECT 'statistics ' || stxname FROM pg_statistic_ext
WHERE stxrelid = 'log_entries'::regclass
UNION ALL SELECT 'rights on column ' || attname FROM pg_attribute
WHERE attrelid = 'log_entries'::regclass AND attacl IS NOT NULL
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


async def convert(connection: Any, told: Told) -> None:
    """
    Make ``log_entries`` a hypertable, or finish that; tell a line for each step.

    The *connection* keeps the locks of housekeeping until it is closed.

    Raises:
        Unsuitable: something depends on the table and can't be moved; nothing is changed.
    """
    plain = await engine(connection) != "timescaledb"
    if not plain and await connection.fetchval("SELECT to_regclass($1) IS NULL", PLAIN):
        return
    for lock in LOCKS:
        await connection.fetchval("SELECT pg_advisory_lock($1)", lock)
    if plain:
        await _swap(connection)
        told("log_entries is a hypertable")
    await _move(connection, told)


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
    help_ = HELP["timescaledb"]
    raise Unsuitable(f"drop trigger {name} on log_entries: no hypertable can have it; {help_}")


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
