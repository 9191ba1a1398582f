"""What has to be done again and again while the collector runs, beside its requests."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import structlog

from storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

AGAIN = 30.0  # seconds, at most, until what the database did not do is tried again

log = structlog.get_logger()


class Chore(msgspec.Struct, frozen=True, kw_only=True):
    """
    One thing to do, and how often.

    ``do`` gives what it did, a line each. Where several collectors share a database it
    takes an advisory lock, and does nothing while another holds it.
    """

    name: str
    interval: float  # seconds from the end of one time to the start of the next
    do: Callable[[], Awaitable[Sequence[str]]]
    before: bool = False  # whether the requests have to wait for the first time


@asynccontextmanager
async def housekeeping(chores: Sequence[Chore]) -> AsyncIterator[None]:
    """Do *chores* beside the block, each at once and then again and again."""
    pauses = [await _do(chore) if chore.before else 0.0 for chore in chores]
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(_repeat(chore, pause), name=chore.name)
            for chore, pause in zip(chores, pauses, strict=True)
        ]
        try:
            yield
        finally:
            for task in running:
                task.cancel()


async def _repeat(chore: Chore, pause: float) -> None:
    while True:
        await asyncio.sleep(pause)
        pause = await _do(chore)


async def _do(chore: Chore) -> float:
    """Do it, and give the seconds until the next time."""
    try:
        did = await chore.do()
    except StorageError as exc:  # the next time mends it
        log.warning("housekeeping_failed", chore=chore.name, error=str(exc))
        return min(chore.interval, AGAIN)
    except Exception:
        log.exception("housekeeping_failed", chore=chore.name)
    else:
        if did:
            log.info("housekeeping", chore=chore.name, did=list(did))
    return chore.interval
