"""
Counts a minute and an hour, service and level, so that long histograms are not full scans.

Writers don't count: their transactions would wait for each other's rows. `storage.roll_ups`
does it afterwards, and ``roll_up_position`` says which transactions it has counted. A reader
adds the rows of all others, so that its sum is right at every moment. Who deletes or changes
rows that are counted corrects the counts in the same transaction, by triggers; the triggers
and the counting keep each other out by locks on ``roll_up_position``, because neither can
see what the other hasn't committed.
"""

from __future__ import annotations

from alembic import op

from migrations import reader

revision = "0003"
down_revision = "0002"

TABLES = """
CREATE TABLE roll_up_kinds (
    id               integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- in no index, for a text may be longer than an index takes
    service          text COLLATE "C" NOT NULL,
    level            text COLLATE "C" NOT NULL,
    severity_number  integer NOT NULL
);
CREATE TABLE roll_ups (
    seconds  integer NOT NULL,
    start    timestamptz NOT NULL,
    kind     integer NOT NULL,
    records  bigint NOT NULL,
    PRIMARY KEY (seconds, start, kind)
) WITH (fillfactor = 80);  -- room for the rows of this minute, which change again and again
CREATE TABLE roll_up_position (counted pg_snapshot NOT NULL);
CREATE TABLE roll_up_partitions (
    partition  regclass PRIMARY KEY,
    start      timestamptz,
    finish     timestamptz
);
CREATE TYPE roll_up_change AS (
    minute           timestamptz,
    service          text COLLATE "C",
    level            text COLLATE "C",
    severity_number  integer,
    records          bigint
);

-- What is here already is counted partition by partition.
INSERT INTO roll_up_position VALUES (pg_current_snapshot());

COMMENT ON TABLE roll_ups IS 'how many log records there are a minute, an hour, and a kind';
COMMENT ON COLUMN roll_ups.seconds IS 'the length of the time from start on: 60 or 3600';
COMMENT ON TABLE roll_up_kinds IS 'the services, levels and numbers of levels of log records';
COMMENT ON TABLE roll_up_position IS 'one row: the transactions whose records are in roll_ups';
COMMENT ON TABLE roll_up_partitions IS 'the partitions of log_entries that roll_ups count';
"""

# Of a row only its own transaction matters: one that isn't counted yet changes no count.
FUNCTIONS = """
CREATE FUNCTION roll_ups_add(changes roll_up_change[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF EXISTS (SELECT service, level, severity_number FROM unnest(changes)
        EXCEPT SELECT service, level, severity_number FROM roll_up_kinds) THEN
        LOCK TABLE roll_up_kinds IN SHARE ROW EXCLUSIVE MODE;
        INSERT INTO roll_up_kinds (service, level, severity_number)
        SELECT service, level, severity_number FROM unnest(changes)
        EXCEPT SELECT service, level, severity_number FROM roll_up_kinds;
    END IF;
    -- In order, so that two who do this at once don't wait for each other.
    INSERT INTO roll_ups (seconds, start, kind, records)
    SELECT w.seconds, date_trunc(w.unit, c.minute, 'UTC'), k.id, sum(c.records)
    FROM unnest(changes) c
    JOIN (SELECT min(id) AS id, service, level, severity_number FROM roll_up_kinds
        GROUP BY service, level, severity_number) k USING (service, level, severity_number)
    CROSS JOIN (VALUES (60, 'minute'), (3600, 'hour')) w (seconds, unit)
    GROUP BY 1, 2, 3 HAVING sum(c.records) <> 0 ORDER BY 1, 2, 3
    ON CONFLICT (seconds, start, kind) DO UPDATE SET records = roll_ups.records + excluded.records;
    IF EXISTS (SELECT FROM unnest(changes) c WHERE c.records < 0) THEN
        DELETE FROM roll_ups WHERE records = 0 AND (seconds, start) IN (
            SELECT 60, c.minute FROM unnest(changes) c
            UNION SELECT 3600, date_trunc('hour', c.minute, 'UTC') FROM unnest(changes) c);
    END IF;
END
$$;

CREATE FUNCTION roll_ups_deleted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    position pg_snapshot;
    changes roll_up_change[];
BEGIN
    IF NOT EXISTS (SELECT FROM before WHERE xid <> pg_current_xact_id()) THEN
        RETURN NULL;
    END IF;
    SELECT counted INTO position FROM roll_up_position FOR SHARE;
    SELECT array_agg(ROW(minute, service, level, severity_number, records)::roll_up_change)
    INTO changes FROM (
        SELECT date_trunc('minute', timestamp, 'UTC') AS minute, service, level,
            severity_number, -count(*) AS records
        FROM before WHERE pg_visible_in_snapshot(xid, position) GROUP BY 1, 2, 3, 4) counted;
    IF changes IS NOT NULL THEN
        PERFORM roll_ups_add(changes);
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION roll_ups_updated() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    position pg_snapshot;
    changes roll_up_change[];
BEGIN
    IF EXISTS (SELECT FROM before WHERE xid <> pg_current_xact_id()) THEN
        SELECT counted INTO position FROM roll_up_position FOR SHARE;
        SELECT array_agg(ROW(minute, service, level, severity_number, records)::roll_up_change)
        INTO changes FROM (
            SELECT date_trunc('minute', timestamp, 'UTC') AS minute, service, level,
                severity_number, sum(change) AS records
            FROM (SELECT timestamp, service, level, severity_number, xid, -1 AS change FROM before
                UNION ALL
                SELECT timestamp, service, level, severity_number, xid, 1 FROM after) changed
            WHERE pg_visible_in_snapshot(xid, position)
            GROUP BY 1, 2, 3, 4 HAVING sum(change) <> 0) counted;
        IF changes IS NOT NULL THEN
            PERFORM roll_ups_add(changes);
        END IF;
    END IF;
    -- Rows that aren't counted yet are looked for at the times that the ledger tells.
    INSERT INTO ledger (receiver, sender, requests, records, min_timestamp, max_timestamp)
    SELECT 'sql', current_setting('application_name'), 0, 0, min(timestamp), max(timestamp)
    FROM (SELECT id, timestamp FROM after EXCEPT SELECT id, timestamp FROM before) moved
    HAVING count(*) > 0;
    RETURN NULL;
END
$$;

CREATE FUNCTION roll_ups_truncated() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    position pg_snapshot;
    changes roll_up_change[];
BEGIN
    SELECT counted INTO position FROM roll_up_position FOR SHARE;
    EXECUTE format($sql$
        SELECT array_agg(ROW(minute, service, level, severity_number, records)::roll_up_change)
        FROM (SELECT date_trunc('minute', timestamp, 'UTC') AS minute, service, level,
                severity_number, -count(*) AS records
            FROM %s WHERE pg_visible_in_snapshot(xid, $1) GROUP BY 1, 2, 3, 4) counted
    $sql$, TG_RELID::regclass) INTO changes USING position;
    IF changes IS NOT NULL THEN
        PERFORM roll_ups_add(changes);
    END IF;
    RETURN NULL;
END
$$;

-- Statement triggers are those of the table that a statement names, so that every table that
-- one may name has its own.
CREATE FUNCTION roll_ups_watch(watched regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE OR REPLACE TRIGGER roll_ups_deleted AFTER DELETE ON %s
        REFERENCING OLD TABLE AS before
        FOR EACH STATEMENT EXECUTE FUNCTION roll_ups_deleted()', watched);
    EXECUTE format('CREATE OR REPLACE TRIGGER roll_ups_updated AFTER UPDATE ON %s
        REFERENCING OLD TABLE AS before NEW TABLE AS after
        FOR EACH STATEMENT EXECUTE FUNCTION roll_ups_updated()', watched);
    -- Of a table with partitions those of the partitions are run too.
    IF (SELECT relkind FROM pg_class WHERE oid = watched) = 'r' THEN
        EXECUTE format('CREATE OR REPLACE TRIGGER roll_ups_truncated BEFORE TRUNCATE ON %s
            FOR EACH STATEMENT EXECUTE FUNCTION roll_ups_truncated()', watched);
    END IF;
END
$$;

-- Who may delete rows need not be allowed to change the counts.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY '{roll_ups_deleted(),roll_ups_updated(),roll_ups_truncated(),
        roll_ups_add(roll_up_change[])}'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', name, current_schema());
    END LOOP;
END
$$;
REVOKE EXECUTE ON FUNCTION roll_ups_add FROM PUBLIC;

SELECT roll_ups_watch(relid) FROM pg_partition_tree('log_entries');
"""

# The ledger has a row an hour of the records' times: who looks for the records of a
# transaction need not look through all the time between a late one and the others.
INSERTED = """
CREATE OR REPLACE FUNCTION log_entries_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    lowest timestamptz;
    highest timestamptz;
BEGIN
    SELECT min(timestamp), max(timestamp) INTO lowest, highest FROM inserted;
    IF lowest IS NULL THEN
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
    SELECT 'sql', current_setting('application_name'), (min(timestamp) = lowest)::integer,
        count(*), min(timestamp), max(timestamp)
    FROM inserted GROUP BY date_trunc('hour', timestamp, 'UTC');
    RETURN NULL;
END
$$;
COMMENT ON TABLE ledger IS 'one row a transaction, receiver, sender and hour of the times of the'
    ' records that it added; of several hours only the first has the number of requests';
"""

INSERTED_BEFORE = """
CREATE OR REPLACE FUNCTION log_entries_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
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
COMMENT ON TABLE ledger IS 'one row a transaction, receiver and sender: which rows it added';
"""


def upgrade() -> None:
    """Make the counts, still empty; the collector fills them."""
    op.execute(TABLES)
    op.execute(FUNCTIONS)
    op.execute(INSERTED)
    op.execute(
        reader.readable("roll_ups", "roll_up_kinds", "roll_up_position", "roll_up_partitions")
    )


def downgrade() -> None:
    """Drop them, and the triggers that keep them right."""
    op.execute(INSERTED_BEFORE)
    op.execute("""
        DROP FUNCTION roll_ups_watch, roll_ups_deleted, roll_ups_updated, roll_ups_truncated,
            roll_ups_add CASCADE;
        DROP TABLE roll_ups, roll_up_kinds, roll_up_position, roll_up_partitions;
        DROP TYPE roll_up_change;
    """)
