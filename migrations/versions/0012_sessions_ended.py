"""The sessions of browsers that were ended, so that a copy of their cookie is of no use."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"

TABLE = """
CREATE TABLE sessions_ended (
    session  text COLLATE "C" PRIMARY KEY,
    until    timestamptz NOT NULL
);

COMMENT ON TABLE sessions_ended IS 'sessions that somebody signed out of, until they had ended';
"""


def upgrade() -> None:
    """Make the table; only the collector itself reads it."""
    op.execute(TABLE)


def downgrade() -> None:
    """Drop it: cookies that were copied hold again, until they end."""
    op.execute("DROP TABLE sessions_ended")
