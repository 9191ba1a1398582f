"""All that a collector serves, within the test's own process."""

from __future__ import annotations

from contextlib import asynccontextmanager

import aiohttp

from collector import configfile, service, sockets
from collector.control import Control
from collector.forwarding.pace import Courtesy

CONFIG = """
receivers:
  pixsim: {{endpoint: "127.0.0.1:0"}}
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:0"}}}}}}
extensions: {{api: {{endpoint: "127.0.0.1:0"}}}}
service: {{access: {access}, shutdown_timeout: 0.2}}
"""


@asynccontextmanager
async def collecting(database, access="keys", config=None):
    """A client of a collector on *database*, in which all components share a socket."""
    text = config or CONFIG.format(access=access)
    loaded = configfile.parse(text, "test", {"DATABASE_URL": database}).config
    held = sockets.Held()
    try:
        there = held.at(loaded.endpoints)
        place = service.Place(dsn=database, sockets=there)
        url = sockets.url(next(iter(there.values())))
        async with (
            service.collecting(loaded, place, Control(), Courtesy()),
            aiohttp.ClientSession(url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as client,
        ):
            yield client
    finally:
        held.keep(())
