"""The keys by which somebody may send or ask, and what was done with the rights of an admin."""

from __future__ import annotations

from alembic import op

from migrations import reader

revision = "0009"
down_revision = "0008"

TABLES = """
CREATE TABLE access_keys (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text COLLATE "C" NOT NULL,
    digest        bytea NOT NULL UNIQUE,
    former        bytea UNIQUE,
    former_until  timestamptz,
    scopes        text[] NOT NULL
        CHECK (cardinality(scopes) > 0 AND scopes <@ '{ingest,query,metrics,admin}'),
    services      text[] NOT NULL DEFAULT '{}',
    envs          text[] NOT NULL DEFAULT '{}',
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz,
    last_used_at  timestamptz,
    revoked_at    timestamptz
);
-- Of one that was revoked the name is free again.
CREATE UNIQUE INDEX access_keys_name ON access_keys (name) WHERE revoked_at IS NULL;

CREATE TABLE audit_log (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now(),
    who      text NOT NULL,
    origin   text NOT NULL,
    action   text NOT NULL,
    detail   text NOT NULL
);

COMMENT ON TABLE access_keys IS 'keys by which somebody may send or ask; never the keys themselves';
COMMENT ON COLUMN access_keys.digest IS 'SHA-256 of the key';
COMMENT ON COLUMN access_keys.former IS 'that of the key before it, which holds until former_until';
COMMENT ON COLUMN access_keys.services IS 'only records of these may be sent or seen; {} is all';
COMMENT ON COLUMN access_keys.envs IS 'the same of environments';
COMMENT ON TABLE audit_log IS 'what was asked for with the rights of an admin; never deleted';
COMMENT ON COLUMN audit_log.who IS 'the name of a key, or local where no key was asked for';
COMMENT ON COLUMN audit_log.origin IS 'the address it came from, or the user of a command';
"""


def upgrade() -> None:
    """Make the tables; only the collector itself sees the digests."""
    op.execute(TABLES)
    op.execute(reader.readable("audit_log"))


def downgrade() -> None:
    """Drop them, and what restricted keys see; see `storage.restriction`."""
    op.execute("""
        DO $$
        BEGIN
            EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', current_schema() || '_restricted');
        END
        $$;
        DROP TABLE access_keys, audit_log;
    """)
