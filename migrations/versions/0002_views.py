"""Views and a read-only role for who asks."""

from __future__ import annotations

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make them."""


def downgrade() -> None:
    """Take them away."""
