"""Views of the page that somebody saved under a name."""

from __future__ import annotations

from alembic import op

from migrations import reader

revision = "0008"
down_revision = "0007"

TABLE = """
CREATE TABLE saved_views (
    name        text COLLATE "C" PRIMARY KEY,
    query       text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    changed_at  timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE saved_views IS 'views of the page that somebody saved under a name';
COMMENT ON COLUMN saved_views.query IS 'the parameters of the page''s address';
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(TABLE)
    op.execute(reader.readable("saved_views"))


def downgrade() -> None:
    """Drop it, with what was saved."""
    op.execute("DROP TABLE saved_views")
