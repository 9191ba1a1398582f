"""Sessions that were ended before their time, which are known until then."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from storage.errors import translated

if TYPE_CHECKING:
    from storage.database import Pool

END = """
WITH over AS (DELETE FROM sessions_ended WHERE until < now())
INSERT INTO sessions_ended (session, until) VALUES ($1, $2) ON CONFLICT DO NOTHING
"""
ENDED = "SELECT session FROM sessions_ended WHERE until > now()"


async def end(pool: Pool, session: str, until: float) -> None:
    """End *session*, which would hold *until* then, in seconds since 1970."""
    with translated():
        await pool.execute(END, session, dt.datetime.fromtimestamp(until, dt.UTC))


async def ended(pool: Pool) -> set[str]:
    """Give those that would hold still."""
    with translated():
        return {row[0] for row in await pool.fetch(ENDED)}
