"""The time that retention counts from, so that a clock that jumps ahead deletes nothing."""

from __future__ import annotations

from alembic import op

from migrations import reader

revision = "0011"
down_revision = "0010"

TABLE = """
CREATE TABLE retention_clock (
    counted    timestamptz NOT NULL,
    seen       timestamptz NOT NULL,
    jumped_at  timestamptz
);
-- Should the clock be wrong today, then what was committed last says so.
INSERT INTO retention_clock SELECT newest, newest
FROM (SELECT coalesce(max(received_at), now()) AS newest FROM ledger) committed;

COMMENT ON TABLE retention_clock IS 'one row: the time that retention counts from';
COMMENT ON COLUMN retention_clock.seen IS 'the time at which somebody last looked';
COMMENT ON COLUMN retention_clock.jumped_at IS
    'the first time seen after a jump ahead, which does not count yet';
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(TABLE)
    op.execute(reader.readable("retention_clock"))


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE retention_clock")
