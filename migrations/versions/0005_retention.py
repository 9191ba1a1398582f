"""What was deleted by rule or by hand, and by whom."""

from __future__ import annotations

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make them."""


def downgrade() -> None:
    """Take them away."""
