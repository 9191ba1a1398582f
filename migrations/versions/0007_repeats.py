"""What requests and records are known by when they are sent again."""

from __future__ import annotations

from alembic import op

from migrations import reader

revision = "0007"
down_revision = "0006"

TABLE = """
CREATE TABLE seen (
    key          bytea PRIMARY KEY,
    received_at  timestamptz NOT NULL DEFAULT now(),
    outcome      jsonb NOT NULL
);
CREATE INDEX seen_received_at ON seen (received_at);

COMMENT ON TABLE seen IS 'requests and records that were stored lately, by digests of what they'
    ' are known by; what is sent again is not stored again';
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(TABLE)
    op.execute(reader.readable("seen"))


def downgrade() -> None:
    """Drop it: what is on its way again is stored twice."""
    op.execute("DROP TABLE seen")
