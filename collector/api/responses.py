"""How the query API's answers look as HTTP."""

from __future__ import annotations

import msgspec
from aiohttp import web

PREFIX = "/api/v1/logs"  # of what is asked about records
FORWARDERS = "/api/v1/forwarders"  # of what is sent on
ALERTS = "/api/v1/alerts"
# Why an answer has less than was asked for; in a header, for some answers are bare lists.
INCOMPLETE = "X-Incomplete"


def answered(answer: object, *, incomplete: str | None = None) -> web.Response:
    """Give *answer* as JSON; *incomplete* says why it has less than was asked for."""
    # The line's end is for who reads it in a terminal.
    body = msgspec.json.encode(answer) + b"\n"
    headers = {INCOMPLETE: incomplete} if incomplete else None
    return web.Response(body=body, content_type="application/json", headers=headers)
