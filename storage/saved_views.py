"""Views of the page that somebody saved under a name, for all who use this collector."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  msgspec reads the annotations
from typing import TYPE_CHECKING

import msgspec

from storage.errors import Rejected

if TYPE_CHECKING:
    from asyncpg import Record

    from storage.reader import Reader

MOST = 1_000  # views

LIST = "SELECT name, query, created_at, changed_at FROM saved_views ORDER BY name"
# The limit counts what others have saved; two who save the last one at once may be one over it.
SAVE = f"""
INSERT INTO saved_views (name, query)
SELECT $1, $2 WHERE (SELECT count(*) FROM saved_views WHERE name <> $1) < {MOST}
ON CONFLICT (name) DO UPDATE SET query = excluded.query, changed_at = now()
RETURNING name, query, created_at, changed_at
"""
DELETE = "DELETE FROM saved_views WHERE name = $1 RETURNING name, query, created_at, changed_at"


class SavedView(msgspec.Struct, frozen=True):
    """A view: the parameters of the page's address, under a name."""

    name: str
    query: str
    created_at: dt.datetime
    changed_at: dt.datetime


async def saved(reader: Reader) -> list[SavedView]:
    """Give all views, by name."""
    async with reader.owning() as connection:
        return [_view(row) for row in await connection.fetch(LIST)]


async def save(reader: Reader, name: str, query: str) -> SavedView:
    """
    Save a view, in the place of the one that has its name.

    Raises:
        Rejected: there are as many as there may be.
    """
    async with reader.owning() as connection:
        row = await connection.fetchrow(SAVE, name, query)
    if row is None:
        raise Rejected(f"there are {MOST} saved views, which is the most")
    return _view(row)


async def delete(reader: Reader, name: str) -> SavedView | None:
    """Delete a view; gives what it was, or None where there was none."""
    async with reader.owning() as connection:
        row = await connection.fetchrow(DELETE, name)
    return None if row is None else _view(row)


def _view(row: Record) -> SavedView:
    return SavedView(*row)
