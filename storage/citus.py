"""
The engine Citus: the rows of ``log_entries`` divided among the servers of a cluster by their id.

``log_entries_days`` is distributed, with its days; ``resources`` and ``scopes`` are on every
server. All other tables stay on the coordinator, and so do the numbers of transactions, which the
rows have in ``xid``. No distributed table can have our triggers, so ``log_entries`` is a view of
it, by whose triggers services insert for themselves, and nothing is counted in roll-ups: who asks
for counts has the workers count. A migration that changes ``log_entries`` finds a view there, and
is to change ``log_entries_days``.

A commit is in two phases: prepared on the workers, committed here, and then committed on the
workers. So rows may be seen a moment later than the ledger tells of them; see
`storage.settlement`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storage import expiry, partitions, restriction, roll_ups, sealing
from storage.conversion import COMMENT, OTHERS, OWNER, VIEWS
from storage.engines import HELP, Extension, alone, extend
from storage.errors import Unsuitable
from storage.layout import engine

if TYPE_CHECKING:
    from collections.abc import Callable

LOCKS = (partitions.LOCK, roll_ups.LOCK, sealing.LOCK, expiry.LOCK)

EXTENSION = Extension(
    engine="citus",
    name="Citus",
    preloaded="put citus first in",
    setting="citus.shard_count",
    oldest=(13, 0),
)
NODES = """
SELECT count(*) FILTER (WHERE shouldhaveshards) AS workers, bool_or(groupid = 0) AS coordinator
FROM pg_dist_node WHERE isactive AND noderole = 'primary'
"""
TRIGGERS = """
SELECT format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass) FROM pg_trigger
WHERE tgrelid IN (SELECT relid FROM pg_partition_tree('log_entries_days'))
    AND NOT tgisinternal AND tgparentid = 0
"""
DEFAULTS = """
SELECT format('ALTER VIEW log_entries ALTER %I SET DEFAULT %s', attname,
    pg_get_expr(adbin, adrelid))
FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
WHERE adrelid = 'log_entries_plain'::regclass
"""
# Their shards are on the workers, and so must be what they use.
TRIGRAMS = """
SELECT count(*) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace,
    run_command_on_workers(format('CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA %I', nspname))
WHERE extname = 'pg_trgm'
"""
DISTRIBUTE = """
SET LOCAL citus.multi_shard_modify_mode = 'sequential';
SELECT create_distributed_function(oid::regprocedure) FROM pg_proc
WHERE oid = 'log_text'::regproc;
SELECT create_reference_table('resources');
SELECT create_reference_table('scopes');
ALTER TABLE log_entries_days ALTER id DROP DEFAULT;
SELECT create_distributed_table('log_entries_days', 'id', colocate_with => 'none',
    shard_count => {0})
"""
ASIDE = """
ALTER TABLE log_entries RENAME TO log_entries_plain;
ALTER TABLE log_entries_plain DETACH PARTITION log_entries_days
"""
# What a service inserts waits in a table of this server until its statement has ended: rows
# that are put into a distributed table one by one may be committed on one server and not here.
# The view is a barrier so that its rows are a subquery, with which Citus takes conditions to the
# workers as they stand; see `storage.shards.AS_WRITTEN`.
VIEW = """
SET LOCAL citus.enable_ddl_propagation = off;
CREATE VIEW log_entries WITH (security_barrier) AS SELECT * FROM log_entries_days;
CREATE UNLOGGED TABLE log_entries_arriving (LIKE log_entries_plain);

CREATE FUNCTION log_entries_row_arrived() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    NEW.xid := pg_current_xact_id();
    IF NEW.severity_number = 0 THEN
        NEW.severity_number := log_severity_number(NEW.level);
    END IF;
    NEW.trace_id := coalesce(NEW.trace_id, NEW.extra ->> 'trace_id');
    INSERT INTO log_entries_arriving VALUES (NEW.*);
    RETURN NEW;
END
$$;

CREATE FUNCTION log_entries_rows_arrived() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM log_entries_arriving WHERE xid = pg_current_xact_id()) THEN
        RETURN NULL;
    END IF;
    INSERT INTO log_entries_days SELECT * FROM log_entries_arriving
    WHERE xid = pg_current_xact_id();
    INSERT INTO ledger (receiver, sender, requests, records, min_timestamp, max_timestamp)
    SELECT 'sql', current_setting('application_name'),
        (min(timestamp) = min(min(timestamp)) OVER ())::integer,
        count(*), min(timestamp), max(timestamp)
    FROM log_entries_arriving WHERE xid = pg_current_xact_id()
    GROUP BY date_trunc('hour', timestamp, 'UTC');
    DELETE FROM log_entries_arriving WHERE xid = pg_current_xact_id();
    RETURN NULL;
END
$$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY '{log_entries_row_arrived(),log_entries_rows_arrived()}'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', name, current_schema());
    END LOOP;
END
$$;
CREATE TRIGGER log_entries_row_arrived INSTEAD OF INSERT ON log_entries
    FOR EACH ROW EXECUTE FUNCTION log_entries_row_arrived();
CREATE TRIGGER log_entries_rows_arrived AFTER INSERT ON log_entries
    FOR EACH STATEMENT EXECUTE FUNCTION log_entries_rows_arrived();
"""
# Or each look into the catalogs, of which asyncpg has many, takes a hundred times as long.
VISIBLE = """
DO $$
BEGIN
    EXECUTE format('ALTER DATABASE %I SET citus.override_table_visibility = off',
        current_database());
END
$$
"""
# Without a position nothing is ready in the roll-ups, and all counts are of rows.
UNCOUNT = """
DELETE FROM roll_up_position; DELETE FROM roll_up_partitions;
DELETE FROM roll_ups; DELETE FROM roll_up_kinds
"""


async def prepare(dsn: str, *, shards: int, told: Callable[[str], object]) -> None:
    """
    Distribute ``log_entries`` over the workers in *shards* a day, unless it is.

    What is in it already is moved. Waits for whoever does so now, and tells a line for what is
    done.

    Raises:
        Unsuitable: the server has no Citus that will do, or something depends on the table and
            can't be moved; nothing is changed.
        Unavailable: the database is away, and nothing is changed.
    """
    async with alone(dsn) as connection:
        await _extend(connection)
        if await engine(connection) == "citus":
            return
        for lock in LOCKS:
            await connection.fetchval("SELECT pg_advisory_lock($1)", lock)
        await connection.fetchval(TRIGRAMS)
        await connection.execute(VISIBLE)
        async with connection.transaction():
            restricted = await restriction.withdraw(connection)
            await _distribute(connection, shards)
        told(f"log_entries is distributed, in {shards} shards a day")
        if restricted:
            told(f"keys for some services or environments can query no more; {HELP['citus']}")


async def _extend(connection: Any) -> None:
    """Make the extension in this database, and see that it will do."""
    await extend(connection, EXTENSION)
    help_ = HELP["citus"]
    nodes = await connection.fetchrow(NODES)
    if not nodes["coordinator"]:
        raise Unsuitable(
            "the Citus cluster doesn't know its coordinator: name it by"
            f" citus_set_coordinator_host; {help_}"
        )
    if not nodes["workers"]:
        raise Unsuitable(f"the Citus cluster has no workers: add them by citus_add_node; {help_}")


async def _distribute(connection: Any, shards: int) -> None:
    await connection.execute("LOCK TABLE log_entries IN ACCESS EXCLUSIVE MODE")
    if others := await connection.fetch(OTHERS):
        names = ", ".join(row[0] for row in others)
        raise Unsuitable(f"drop what depends on log_entries, and make it again then: {names}")
    again = [
        row["made"].replace("ALTER TABLE", "ALTER VIEW").replace("ON TABLE", "ON VIEW")
        for query in (VIEWS, COMMENT, OWNER)
        for row in await connection.fetch(query)
    ]
    for (dropped,) in await connection.fetch(TRIGGERS):
        await connection.execute(dropped)
    await connection.execute(ASIDE)
    await connection.execute(DISTRIBUTE.format(shards))
    await connection.execute(VIEW)
    for (default,) in await connection.fetch(DEFAULTS):
        await connection.execute(default)
    for statement in again:
        await connection.execute(statement)
    await connection.execute(f"DROP TABLE log_entries_plain; {UNCOUNT}")
