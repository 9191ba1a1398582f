"""The text that a search looks through, as an expression that sealed partitions index."""

from __future__ import annotations

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make them."""


def downgrade() -> None:
    """Take them away."""
