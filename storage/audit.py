"""What was asked for with the rights of an admin: who, what, when, and from where."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  msgspec reads the annotations
from typing import TYPE_CHECKING, Any

import msgspec

from storage.errors import translated

if TYPE_CHECKING:
    from storage.database import Pool

LOCAL = "local"  # who acts without a key

WRITE = "INSERT INTO audit_log (who, origin, action, detail) VALUES ($1, $2, $3, $4)"
PAGE = """
SELECT id, at, who, origin, action, detail FROM audit_log
WHERE $2::bigint IS NULL OR id < $2 ORDER BY id DESC LIMIT $1
"""


class Origin(msgspec.Struct, frozen=True):
    """Who acts: the name of a key or `LOCAL`, and an address, or a user and their host."""

    who: str
    origin: str


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was asked for."""

    id: int
    at: dt.datetime
    who: str
    origin: str
    action: str
    detail: str


async def write(pool: Pool, by: Origin, action: str, detail: str = "") -> None:
    """Write down what *by* asks for, before it is done."""
    with translated():
        await write_on(pool, by, action, detail)


async def write_on(connection: Any, by: Origin, action: str, detail: str = "") -> None:
    """Do as `write`, in the transaction that does it."""
    await connection.execute(WRITE, by.who, by.origin, action, detail)


async def page(pool: Pool, *, limit: int, before: int | None = None) -> list[Action]:
    """Give the newest *limit* actions, of those with an id below *before*."""
    with translated():
        rows = await pool.fetch(PAGE, limit, before)
    return [Action(**dict(row)) for row in rows]
