"""The session of a browser: begun with a key, so that the page need not keep it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import msgspec
from aiohttp import web

from collector import server
from collector.access import sessions
from collector.access.sessions import AGE, COOKIE
from collector.api.responses import answered
from collector.errors import BadRequest

if TYPE_CHECKING:
    from collector.access.guard import Guard
    from storage.access_keys import AccessKey

PATH = "/api/v1/session"
MOST_BYTES = 64 * 1024  # of a body


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """What begins a session."""

    key: Annotated[str, msgspec.Meta(max_length=1_000)]


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: without `required` everybody, and without `name` nobody that is known."""

    required: Annotated[bool, msgspec.Meta(description="whether keys are asked for")]
    name: str | None = None
    scopes: list[str] = []
    services: Annotated[list[str], msgspec.Meta(description="all, where there are none")] = []
    envs: list[str] = []


async def shown(request: web.Request) -> web.Response:
    """Answer with who asks, whether they may anything or not."""
    if (guard := _guard(request)) is None:
        return answered(Session(required=False))
    return answered(_session(guard.recognized(request)))


async def begin(request: web.Request) -> web.Response:
    """Answer with who has the key, and with the cookie that stands for it from now on."""
    server.refuse_strangers(request)
    body = await server.body(request, limit=MOST_BYTES)
    try:
        given = msgspec.json.decode(body, type=Login).key
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise BadRequest("the body is no object with a `key`") from exc
    if (guard := _guard(request)) is None:
        return answered(Session(required=False))
    key = guard.holder(given.strip())
    response = answered(_session(key))
    response.set_cookie(
        COOKIE,
        sessions.begun(key, time.time()),
        max_age=AGE,
        path="/",
        httponly=True,
        samesite="Strict",
        secure=request.secure or request.headers.get("X-Forwarded-Proto") == "https",
    )
    response.headers["Cache-Control"] = "no-store"
    return response


async def end(request: web.Request) -> web.Response:
    """End the session, and take the cookie back."""
    server.refuse_strangers(request)
    if (guard := _guard(request)) is not None:
        await guard.end(request)
    response = answered(Session(required=guard is not None))
    response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict")
    return response


def routes() -> list[web.RouteDef]:
    """Give the routes, which are open to all: they tell nobody but of themselves."""
    return [web.get(PATH, shown), web.post(PATH, begin), web.delete(PATH, end)]


def _guard(request: web.Request) -> Guard | None:
    """Give who asks for keys, if anybody does."""
    guard = request.app.get(server.GUARD)
    return guard if guard is not None and guard.known is not None else None


def _session(key: AccessKey | None) -> Session:
    if key is None:
        return Session(required=True)
    return Session(
        required=True,
        name=key.name,
        scopes=sorted(key.scopes),
        services=list(key.services),
        envs=list(key.envs),
    )
