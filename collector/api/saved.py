"""The views of the page that are saved under a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from aiohttp import web

from collector import server
from collector.api.responses import answered
from collector.errors import BadRequest, Unprocessable
from storage import saved_views
from storage.saved_views import SavedView  # noqa: TC001  msgspec reads the annotations

if TYPE_CHECKING:
    from storage.reader import Reader

PATH = "/api/v1/views"
MOST_BYTES = 64 * 1024  # of a body


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """The path of a view."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a view shows."""

    query: Annotated[
        str,
        msgspec.Meta(
            max_length=8_000,
            pattern=r"^[^\x00-\x20\x7f]*$",
            description="the parameters of the page's address, as behind its `?`",
        ),
    ]


class SavedViews(msgspec.Struct, frozen=True, kw_only=True):
    """All views, by name."""

    views: list[SavedView]


class Saved(msgspec.Struct, frozen=True):
    """The handlers, which all ask one reader."""

    reader: Reader

    async def listed(self, _: web.Request) -> web.Response:
        """Answer with all views."""
        return answered(SavedViews(views=await saved_views.saved(self.reader)))

    async def save(self, request: web.Request) -> web.Response:
        """Save a view, and answer with it."""
        name = _name(request)
        body = await server.body(request, limit=MOST_BYTES)
        try:
            wanted = msgspec.json.decode(body, type=Wanted)
        except msgspec.ValidationError as exc:
            raise _unfit(["body"], exc) from exc
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise BadRequest(f"the body is no JSON: {exc}") from exc
        return answered(await saved_views.save(self.reader, name, wanted.query))

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a view, and answer with what it was."""
        name = _name(request)
        if (deleted := await saved_views.delete(self.reader, name)) is None:
            raise web.HTTPNotFound(text=f"no view has the name {name}")
        return answered(deleted)


def routes(reader: Reader) -> list[web.RouteDef]:
    """Give the routes, asking *reader*."""
    saved = Saved(reader)
    return [
        web.get(PATH, saved.listed),
        web.put(f"{PATH}/{{name:[^/]+}}", saved.save),
        web.delete(f"{PATH}/{{name:[^/]+}}", saved.delete),
    ]


def _name(request: web.Request) -> str:
    try:
        return msgspec.convert(dict(request.match_info), Named).name
    except msgspec.ValidationError as exc:
        raise _unfit(["path", "name"], exc) from exc


def _unfit(loc: list[str], exc: msgspec.ValidationError) -> Unprocessable:
    return Unprocessable([{"type": "value_error", "loc": loc, "msg": str(exc), "input": None}])
