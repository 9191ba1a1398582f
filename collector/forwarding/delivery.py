"""One destination, sent to by whoever of all collectors holds it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from collector.forwarding.feed import sole
from collector.forwarding.tenure import Source, Tenure, passed
from storage import claims
from storage.errors import StorageError

if TYPE_CHECKING:
    from collector.forwarding.settings import Forwarder
    from collector.forwarding.target import Target
    from storage.claims import Claim

log = structlog.get_logger()

CLAIM = 2.0  # seconds between two tries to become the holder
TOLD_EVERY = 60.0  # seconds, of the same trouble


class Delivery:
    """Sends to the destination *name* while this process is the one that holds it."""

    def __init__(self, name: str, settings: Forwarder, target: Target, source: Source) -> None:
        self.name = name
        self._settings = settings
        self._target = target
        self._source = source

    async def run(self, stop: asyncio.Event) -> None:
        """Send until *stop* is set, whenever nobody else does."""
        told_at = -TOLD_EVERY
        while not stop.is_set():
            try:
                async with claims.claim(self._source.pool, self.name, self._source.holder) as claim:
                    if claim is not None:
                        await self._hold(claim, stop)
            except StorageError as exc:
                if time.monotonic() - told_at >= TOLD_EVERY:
                    told_at = time.monotonic()
                    log.warning("forwarding_waits", destination=self.name, error=str(exc))
            except Exception:  # a bug of one destination must not end the others
                log.exception("forwarding_bug", destination=self.name)
            await passed(stop, CLAIM)

    async def _hold(self, claim: Claim, stop: asyncio.Event) -> None:
        log.info("forwarding_begins", destination=self.name)
        try:
            async with asyncio.TaskGroup() as tasks:
                tenure = Tenure(claim, self._settings, self._target, self._source, tasks)
                await tenure.last(stop)
        except BaseExceptionGroup as group:
            raise sole(group) from None
        finally:
            log.info("forwarding_ends", destination=self.name)
