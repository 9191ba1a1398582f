"""The records around one, as far as one likes to go; `storage.pages` does the walking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from storage import pages
from storage import search as s
from storage.entries import Entry, entry
from storage.pages import OLDEST, Cursor, Page

if TYPE_CHECKING:
    import datetime as dt

    from storage.reader import Reader

Scope: TypeAlias = Literal["instance", "service", "all"]


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """A record and what stands around it, oldest first, with cursors to what stands beyond."""

    line: Entry
    before: list[Entry]
    after: list[Entry]
    older: Cursor | None
    newer: Cursor | None
    cut: bool  # whether there is less than asked for, because that is too large for one answer


async def around(
    reader: Reader,
    number: int,
    *,
    scope: Scope,
    before: int,
    after: int,
    now: dt.datetime,
    cursor: Cursor | None = None,
) -> Context | None:
    """
    Give the record with the id *number*, and up to *before* and *after* records around it.

    They are of its service and instance, of its service, or all, as *scope* says. With a
    *cursor* of an earlier answer they are those beyond it, on its side only. ``None`` where
    there is no such record.
    """
    async with reader.reading() as connection:
        rows = await connection.fetch(pages.selected("id = $1", OLDEST), number)
        snapshot = await connection.fetchval("SELECT pg_current_snapshot()::text")
    if not rows:
        return None
    line = entry(rows[0])
    search = _alike(line, scope)

    def here(*, newer: bool) -> Cursor:
        return Cursor(
            newer=newer,
            timestamp=line.timestamp,
            id=line.id,
            now=now,
            snapshot=snapshot,
            total=None,
        )

    nothing = Page(entries=[], total=None, older=None, newer=None, cut=False)
    older = newer = nothing
    if cursor is None or not cursor.newer:
        older = await _beside(reader, search, cursor or here(newer=False), before)
    if cursor is None or cursor.newer:
        newer = await _beside(reader, search, cursor or here(newer=True), after)
    return Context(
        line=line,
        before=older.entries[::-1],
        after=newer.entries[::-1],
        older=older.older,
        newer=newer.newer,
        cut=older.cut or newer.cut,
    )


async def _beside(reader: Reader, search: s.Search, cursor: Cursor, limit: int) -> Page:
    if not limit:  # where one may go on is where one is
        older, newer = (None, cursor) if cursor.newer else (cursor, None)
        return Page(entries=[], total=None, older=older, newer=newer, cut=False)
    return await pages.turned(reader, search, cursor, limit=limit)


def _alike(line: Entry, scope: Scope) -> s.Search:
    """Give the search for what *line* stands among."""
    if scope == "all":
        return s.EVERYTHING
    service = s.Equals("service", (line.service,))
    if scope == "service":
        return service
    if line.instance_id is None:
        return s.both(service, s.Not(s.Present("instance_id")))
    return s.both(service, s.Equals("instance_id", (line.instance_id,)))
