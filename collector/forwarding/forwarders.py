"""The forwarders of a configuration, at work beside whatever else the process does."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from collector.components import Catalog
from collector.forwarding.delivery import Delivery
from collector.forwarding.pace import Courtesy
from collector.forwarding.settings import BEGINNING, NOW
from collector.forwarding.tenure import Source
from collector.search import times
from collector.tracing import Recorded
from storage import database, destinations, notices, positions
from storage.follower import Follower

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from collector.forwarding.settings import Forwarder
    from collector.tracing import Spans
    from storage.positions import Position

MOST_READERS = 3  # connections that the records are read on


@asynccontextmanager
async def forwarding(
    forwarders: Mapping[str, Forwarder],
    dsn: str,
    courtesy: Courtesy | None = None,
    catalog: Catalog | None = None,
    spans: Spans | None = None,
) -> AsyncIterator[None]:
    """
    Send to the destinations *forwarders* inside the block, those that no other process sends to.

    At its end what is under way has a few seconds; what isn't recorded then is sent again next
    time. A destination that is new begins where its settings say. *courtesy* knows of requests
    that have the same event loop.

    Raises:
        Unavailable: the database cannot be reached at the start.
    """
    if not forwarders:
        yield
        return
    async with AsyncExitStack() as stack:
        # Each destination is held by a connection; one is for notices, one for all else.
        pool = await stack.enter_async_context(database.connected(dsn, size=len(forwarders) + 2))
        readers = await stack.enter_async_context(
            database.reading(dsn, size=min(MOST_READERS, len(forwarders) + 1))
        )
        board = await stack.enter_async_context(notices.running(pool))
        source = Source(
            pool=pool,
            readers=readers,
            follower=Follower(readers),
            board=board,
            courtesy=courtesy or Courtesy(),
            holder=f"{socket.gethostname()}:{os.getpid()}",
        )
        catalog = catalog or Catalog()
        deliveries = []
        for name, settings in forwarders.items():
            await destinations.register(pool, name, await _start(source.follower, settings))
            target = catalog.create("exporters", name)(settings)
            stack.push_async_callback(target.close)
            recorded = Recorded(spans, name, target) if spans else target
            deliveries.append(Delivery(name, settings, recorded, source))
        stop = asyncio.Event()
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        for delivery in deliveries:
            tasks.create_task(delivery.run(stop), name=f"forwarding {delivery.name}")
        try:
            yield
        finally:
            stop.set()


async def _start(follower: Follower, settings: Forwarder) -> Position:
    """Give where a destination begins that is new."""
    if settings.start_at == BEGINNING:
        return positions.BEGINNING
    if settings.start_at == NOW:
        return await follower.now()
    return await follower.since(times.moment(settings.start_at))
