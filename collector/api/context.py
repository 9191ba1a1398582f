"""The lines around a line, and how searches of text go through the days."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from aiohttp import web

from collector.api import cursors
from collector.api.decoding import decode
from collector.api.parameters import Integer  # noqa: TC001  msgspec reads the annotations
from collector.api.responses import PREFIX, answered
from collector.api.searches import read
from storage import context, sealing
from storage.context import Scope  # noqa: TC001  the same
from storage.entries import Entry  # noqa: TC001  the same
from storage.pages import MOST_BYTES

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from storage.reader import Reader

CUT = f"fewer lines than asked for, for all have {MOST_BYTES} bytes; the cursors go on"

Lines = Annotated[int, msgspec.Meta(ge=0, le=1000)]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """The path of ``/context/{id}``."""

    id: Integer


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of ``/context/{id}``."""

    before: Lines = 20
    after: Lines = 20
    scope: Annotated[
        Scope, msgspec.Meta(description="lines of the same service and instance, service, or all")
    ] = "instance"
    cursor: Annotated[
        str | None,
        msgspec.Meta(
            description="`older_cursor` or `newer_cursor` of an answer, to go on from there",
            extra_json_schema={"format": "pixsim-cursor"},
        ),
    ] = None


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """A line and those around it, oldest first; with a cursor, those beyond on its side."""

    line: Entry
    before: list[Entry]
    after: list[Entry]
    older_cursor: Annotated[str | None, msgspec.Meta(description="to lines before these")]
    newer_cursor: Annotated[str | None, msgspec.Meta(description="to lines after these")]


class Contexts(msgspec.Struct, frozen=True):
    """The handlers, which all ask one reader."""

    reader: Reader
    now: Callable[[], dt.datetime]

    async def context(self, request: web.Request) -> web.Response:
        """Answer with the lines around a line."""
        path, _ = decode(Line, request.match_info.items(), "path")
        given, _ = decode(Around, request.query.items())
        found = await context.around(
            self.reader,
            path.id,
            scope=given.scope,
            before=given.before,
            after=given.after,
            now=self.now(),
            cursor=None if given.cursor is None else read("cursor", given.cursor, cursors.read),
        )
        if found is None:
            raise web.HTTPNotFound(text=f"no record has the id {path.id}")
        return answered(
            Surroundings(
                line=found.line,
                before=found.before,
                after=found.after,
                older_cursor=cursors.written(found.older),
                newer_cursor=cursors.written(found.newer),
            ),
            incomplete=CUT if found.cut else None,
        )

    async def text_index(self, _: web.Request) -> web.Response:
        """Answer with the days that have their index, and those that are looked through."""
        return answered(await sealing.state(self.reader))


def routes(reader: Reader, now: Callable[[], dt.datetime]) -> list[web.RouteDef]:
    """Give the routes, asking *reader*; *now* is the clock, aware."""
    answers = Contexts(reader, now)
    return [
        web.get(f"{PREFIX}/context/{{id:[^/]+}}", answers.context),
        web.get(f"{PREFIX}/text-index", answers.text_index),
    ]
