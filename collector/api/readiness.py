"""What the collector is made of, and how each part of it is: the answer of ``/ready``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import msgspec
from aiohttp import web

from collector.answers import JSON, RETRY_AFTER
from storage import vitals
from storage.errors import Unavailable

if TYPE_CHECKING:
    from storage.reader import Reader

State: TypeAlias = Literal["ready", "spooling", "away", "full", "paused", "stopped", "failing"]


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the collector, and how it is."""

    name: str
    state: State
    reason: str | None = None


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Whether requests are taken; while it is spooling they are stored later."""

    status: Annotated[
        Literal["ready", "spooling", "not ready"], msgspec.Meta(description="not ready is 503")
    ]
    components: Annotated[
        list[Component],
        msgspec.Meta(description="of which only the database and the spool decide the status"),
    ]


class NotReady(Ready, frozen=True, kw_only=True):
    """The same, with the reason where all errors have it."""

    detail: str


async def answer(reader: Reader, timeout: float) -> web.Response:  # noqa: ASYNC109  of the probe
    """Answer with all components; 503 while nothing could be taken in."""
    database = Component(name="database", state="ready")
    spool = Component(name="spool", state="ready")
    others: list[Component] = []
    fallback = reader.fallback
    try:
        await reader.ping(timeout=timeout)
        others = await _others(reader, timeout)
    except Unavailable as exc:
        database = Component(name="database", state="away", reason=str(exc))
    spooling = fallback is not None and (fallback.away or database.state == "away")
    if fallback is not None and spooling:
        spool = Component(name="spool", state="spooling")
        try:
            await fallback.check()
        except Unavailable as exc:
            spool = Component(name="spool", state="full", reason=str(exc))
    components = [database, *([spool] if fallback else []), *others]
    if database.state == "away" and spool.state != "spooling":
        reasons = (f"{each.name}: {each.reason}" for each in (database, spool) if each.reason)
        body: Ready = NotReady(status="not ready", components=components, detail="; ".join(reasons))
        return _answered(503, body, {"Retry-After": RETRY_AFTER})
    status: Literal["ready", "spooling"] = "spooling" if spooling else "ready"
    return _answered(200, Ready(status=status, components=components), {})


def _answered(status: int, body: Ready, headers: dict[str, str]) -> web.Response:
    text = msgspec.json.encode(body) + b"\n"
    return web.Response(status=status, body=text, content_type=JSON, headers=headers)


async def _others(reader: Reader, timeout: float) -> list[Component]:  # noqa: ASYNC109  the same
    """Give what may fail beside the way of records, which does not depend on it."""
    try:
        async with asyncio.timeout(timeout):
            return [_component(part) for part in await vitals.parts(reader)]
    except (Unavailable, TimeoutError):
        reason = "it was not told in time"
        return [Component(name="forwarders and alerts", state="failing", reason=reason)]


def _component(part: vitals.Part) -> Component:
    # Whoever asks needs no key, so what others have said is told elsewhere.
    states: dict[str, State] = {"running": "ready", "paused": "paused", "stopped": "stopped"}
    if part.kind == "forwarder":
        state = states[part.state]
        see = None if state == "ready" else "see /api/v1/forwarders"
        return Component(name=f"forwarder {part.name}", state=state, reason=see)
    failing = part.state == "failing"
    return Component(
        name=f"alert {part.name}",
        state="failing" if failing else "ready",
        reason="see /api/v1/alerts" if failing else None,
    )
