"""What was deleted by rule or by hand, and by whom."""

from __future__ import annotations

from alembic import op

from migrations import reader

revision = "0005"
down_revision = "0004"

TABLE = """
CREATE TABLE log_deletions (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deleted_at  timestamptz NOT NULL DEFAULT now(),
    who         text NOT NULL,
    command     text NOT NULL,
    reason      text NOT NULL,
    place       text NOT NULL,
    records     bigint NOT NULL
);
CREATE INDEX log_deletions_deleted_at ON log_deletions (deleted_at);

COMMENT ON TABLE log_deletions IS
    'what was deleted of log_entries, one row a command, reason and partition; never deleted';
COMMENT ON COLUMN log_deletions.who IS 'the user and the host of the process that did it';
COMMENT ON COLUMN log_deletions.command IS 'what that was told to do';
COMMENT ON COLUMN log_deletions.reason IS 'the rule or the limit that these records fell under';
COMMENT ON COLUMN log_deletions.place IS 'the partition, or another table';
COMMENT ON COLUMN log_deletions.records IS 'how many were deleted, or changed in another table';
"""


def upgrade() -> None:
    """Make the table of all deletions."""
    op.execute(TABLE)
    op.execute(reader.readable("log_deletions"))


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE log_deletions")
