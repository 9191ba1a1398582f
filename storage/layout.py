"""
How the rows of ``log_entries`` lie: in partitions, perhaps in shards, or in a hypertable's chunks.

In any case a table of its own holds a UTC day and is named for it. Of partitions one more holds
the rows of all other times, of chunks one those from before the first day that has its own.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

Engine: TypeAlias = Literal["postgres", "timescaledb", "citus"]

# Who asks for restricted keys has a view of this name before ours; see `storage.restriction`.
ENGINE = """
SELECT CASE WHEN days.relkind = 'p' AND NOT days.relispartition THEN 'citus'
    WHEN entries.relkind = 'r' THEN 'timescaledb' ELSE 'postgres' END
FROM (VALUES (to_regclass('log_entries'), to_regclass('log_entries_days'))) names (entries, days)
LEFT JOIN pg_class entries ON entries.oid = names.entries
LEFT JOIN pg_class days ON days.oid = names.days
"""
# The tables that hold the rows, with the times they are for as text: null is no limit. A
# hypertable's chunks are its children; of partitions there is a level between.
PARTITIONS = r"""
SELECT partition, substring(bound FROM '(?:FROM \(|>= )''([^'']+)''') AS start,
    substring(bound FROM '(?:TO \(| < )''([^'']+)''') AS finish
FROM (
    SELECT child.oid AS partition, coalesce(
        pg_get_expr(child.relpartbound, child.oid),
        (SELECT pg_get_constraintdef(c.oid) FROM pg_constraint c
            WHERE c.conrelid = child.oid AND c.contype = 'c' AND c.conname ~ '^constraint_\d+$')
    ) AS bound
    FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid AND child.relkind = 'r'
    WHERE inhparent = 'log_entries'::regclass OR inhparent IN (
        SELECT inhrelid FROM pg_inherits WHERE inhparent = 'log_entries'::regclass
        UNION ALL SELECT oid FROM pg_class
        WHERE oid = to_regclass('log_entries_days') AND NOT relispartition)
) bounds
"""

BOUNDS = f"SELECT start, finish FROM ({PARTITIONS}) p WHERE partition = $1::text::regclass"
NAMES = f"SELECT partition::regclass::text FROM ({PARTITIONS}) partitions"

# Those that housekeeping knows of. A chunk that TimescaleDB has made for a row keeps its first
# name until then, and has no rows but those that were inserted since.
WHOLE = f"SELECT * FROM ({PARTITIONS}) p WHERE partition::regclass::text !~ '_chunk\"?$'"

# For a transaction: it inserts into a hypertable, and writes the ledger itself.
PAST_LEDGER = "pixsim.writes_ledger = 'on'"
# What a transaction that COPYs sets before. Citus would open a connection for each shard, most
# of them anew, and prepare a transaction on each.
COPYING: dict[Engine, str] = {
    "postgres": "",
    "citus": "SET LOCAL citus.max_adaptive_executor_pool_size = 1",
    "timescaledb": f"SET LOCAL {PAST_LEDGER}",
}

# The bytes of one of them, with its indexes and what of it is compressed.
SIZE: dict[Engine, str] = {
    "postgres": "SELECT pg_total_relation_size($1::text::regclass)",
    "citus": "SELECT citus_total_relation_size($1::text::regclass)",
    "timescaledb": "SELECT coalesce(sum(total_bytes), 0)::bigint"
    " FROM chunks_detailed_size('log_entries')"
    " WHERE format('%I.%I', chunk_schema, chunk_name)::regclass = $1::text::regclass",
}

# The function that gives the bytes of its rows alone.
ROWS_SIZE: dict[Engine, str] = {
    "postgres": "pg_relation_size",
    "citus": "citus_relation_size",
    "timescaledb": "pg_relation_size",
}

# The bytes of all rows and of the ledger.
TOTAL_SIZE: dict[Engine, str] = {
    "postgres": """
SELECT sum(pg_total_relation_size(relid))::bigint FROM (
    SELECT relid FROM pg_partition_tree('log_entries')
    UNION ALL SELECT relid FROM pg_partition_tree('ledger')) tables
""",
    "citus": f"""
SELECT (SELECT sum(citus_total_relation_size(partition)) FROM ({PARTITIONS}) partitions)::bigint
    + sum(pg_total_relation_size(relid))::bigint
FROM pg_partition_tree('ledger')
""",
    "timescaledb": """
SELECT coalesce(hypertable_size('log_entries'), 0)::bigint
    + sum(pg_total_relation_size(relid))::bigint
FROM pg_partition_tree('ledger')
""",
}


async def engine(connection: Any) -> Engine:
    """Tell what keeps the rows."""
    found: Engine = await connection.fetchval(ENGINE)
    return found
