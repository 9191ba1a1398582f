"""What was done with the rights of an admin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from aiohttp import web

from collector.api.decoding import decode
from collector.api.parameters import Integer  # noqa: TC001  msgspec reads the annotations
from collector.api.responses import answered
from storage import audit
from storage.audit import Action  # noqa: TC001  the same

if TYPE_CHECKING:
    from storage.database import Pool

PATH = "/api/v1/audit"


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """Which actions."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    before: Annotated[
        Integer | None, msgspec.Meta(description="`next_before` of the page before")
    ] = None


class Actions(msgspec.Struct, frozen=True, kw_only=True):
    """Actions, the newest first."""

    actions: list[Action]
    next_before: int | None  # where there may be more


def routes(pool: Pool) -> list[web.RouteDef]:
    """Give the route, reading by *pool*."""

    async def page(request: web.Request) -> web.Response:
        given, _ = decode(AuditPage, request.query.items())
        found = await audit.page(pool, limit=given.limit, before=given.before)
        following = found[-1].id if len(found) == given.limit else None
        return answered(Actions(actions=found, next_before=following))

    return [web.get(PATH, page)]
