"""A block that ends when something else happens."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def until(event: asyncio.Event) -> AsyncIterator[None]:
    """Run the block; where *event* is set meanwhile, it ends at whatever it waits for."""
    loop = asyncio.get_running_loop()
    waiting = loop.create_task(event.wait(), name="until")
    inside = True
    limit = asyncio.timeout(None)

    def end(_: asyncio.Task[bool]) -> None:
        if inside:
            limit.reschedule(loop.time())

    try:
        async with limit:
            waiting.add_done_callback(end)
            try:
                yield
            finally:
                inside = False
                waiting.cancel()
    except TimeoutError:
        if not limit.expired():
            raise
