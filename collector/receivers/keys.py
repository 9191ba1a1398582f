"""What a request is known by when its sender, who had no answer, sends it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage import repeats

if TYPE_CHECKING:
    from aiohttp import web

    from storage.records import Key

HEADER = "Idempotency-Key"


def given(request: web.Request, receiver: str, body: bytes) -> Key | None:
    """Give the key that the sender has given, if any."""
    name = request.headers.get(HEADER)
    return repeats.named(receiver, name, body) if name else None
