"""What a request is known by when its sender, who had no answer, sends it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.access import guard
from storage import repeats

if TYPE_CHECKING:
    from aiohttp import web

    from storage.records import Key

HEADER = "Idempotency-Key"


def given(request: web.Request, receiver: str, body: bytes) -> Key | None:
    """Give the key that the sender has given, if any."""
    name = request.headers.get(HEADER)
    return repeats.named(_among(request, receiver), name, body) if name else None


def of_body(request: web.Request, receiver: str, body: bytes) -> Key:
    """Give the key of a request that is known by its bytes."""
    return repeats.of_body(_among(request, receiver), body)


def _among(request: web.Request, receiver: str) -> str:
    """Tell apart who may send all that a body has from who may send some of it."""
    key = request.get(guard.KEY)
    return f"{receiver} {key.id}" if key and key.restricted else receiver
