"""Where records are sent on, how far that has come, and which records no destination took."""

from __future__ import annotations

from alembic import op

from migrations import reader

revision = "0006"
down_revision = "0005"

TABLES = """
CREATE TABLE destinations (
    name           text COLLATE "C" PRIMARY KEY,
    position       text NOT NULL,
    epoch          bigint NOT NULL DEFAULT 0,
    holder         text,
    state          text NOT NULL DEFAULT 'running'
        CHECK (state IN ('running', 'paused', 'stopped')),
    reason         text,
    sent           bigint NOT NULL DEFAULT 0,
    rejected       bigint NOT NULL DEFAULT 0,
    skipped        bigint NOT NULL DEFAULT 0,
    dead           bigint NOT NULL DEFAULT 0,
    gone           bigint NOT NULL DEFAULT 0,
    last_error     text,
    last_error_at  timestamptz,
    last_sent_at   timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now(),
    changed_at     timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);  -- a row changes with each batch

CREATE TABLE replays (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    destination    text COLLATE "C" NOT NULL REFERENCES destinations ON DELETE CASCADE,
    position       text NOT NULL,
    upto           text NOT NULL,
    state          text NOT NULL DEFAULT 'running'
        CHECK (state IN ('running', 'done', 'cancelled')),
    sent           bigint NOT NULL DEFAULT 0,
    created_at     timestamptz NOT NULL DEFAULT now(),
    changed_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX replays_running ON replays (destination, id) WHERE state = 'running';

CREATE TABLE dead_letters (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    destination      text COLLATE "C" NOT NULL REFERENCES destinations ON DELETE CASCADE,
    entry_timestamp  timestamptz NOT NULL,
    entry_id         bigint NOT NULL,
    reason           text NOT NULL,
    status           integer,
    attempts         integer NOT NULL DEFAULT 1,
    retry            boolean NOT NULL DEFAULT false,
    created_at       timestamptz NOT NULL DEFAULT now(),
    UNIQUE (destination, entry_timestamp, entry_id)
);
CREATE INDEX dead_letters_destination ON dead_letters (destination, id);
CREATE INDEX dead_letters_retry ON dead_letters (destination, id) WHERE retry;
CREATE INDEX dead_letters_entry ON dead_letters (entry_timestamp, entry_id);

CREATE TABLE ledger_dropped (
    day      date PRIMARY KEY,
    last     xid8 NOT NULL,
    records  bigint NOT NULL
);

-- When the row was written, and not when its transaction began: who follows can then tell
-- when all of a day is there.
ALTER TABLE ledger ALTER received_at SET DEFAULT clock_timestamp();

COMMENT ON TABLE destinations IS 'where records are sent on, and how far that has come';
COMMENT ON COLUMN destinations.position IS 'which transactions are settled; see docs/following.md';
COMMENT ON COLUMN destinations.epoch IS 'raised by each new holder; an older one records nothing';
COMMENT ON COLUMN destinations.holder IS 'the host and process that sends';
COMMENT ON COLUMN destinations.sent IS 'records that were taken';
COMMENT ON COLUMN destinations.rejected IS 'records that were not, where it was not said which';
COMMENT ON COLUMN destinations.skipped IS 'records that were not sent, by a rule or by hand';
COMMENT ON COLUMN destinations.dead IS 'records that became dead letters';
COMMENT ON COLUMN destinations.gone IS 'records that were deleted before they could be sent';
COMMENT ON TABLE replays IS 'what is sent to a destination once more, beside what is new';
COMMENT ON COLUMN replays.upto IS 'the snapshot whose transactions are the last ones';
COMMENT ON TABLE dead_letters IS
    'records that a destination did not take; they go when the record goes';
COMMENT ON COLUMN dead_letters.retry IS 'whether it is to be sent again';
COMMENT ON TABLE ledger_dropped IS 'days that the ledger does not know of any more';
COMMENT ON COLUMN ledger_dropped.last IS 'the highest transaction of the day';
"""


def upgrade() -> None:
    """Make the tables, still empty."""
    op.execute(TABLES)
    op.execute(reader.readable("destinations", "replays", "dead_letters", "ledger_dropped"))


def downgrade() -> None:
    """Drop them; what is sent on begins anew."""
    op.execute("DROP TABLE dead_letters, replays, destinations, ledger_dropped")
    op.execute("ALTER TABLE ledger ALTER received_at SET DEFAULT now()")
