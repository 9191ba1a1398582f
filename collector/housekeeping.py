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
    for chore in chores:
        if chore.before:
            await _do(chore)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_repeat(chore), name=chore.name) for chore in chores]
        try:
            yield
        finally:
            for task in running:
                task.cancel()


async def _repeat(chore: Chore) -> None:
    if not chore.before:
        await _do(chore)
    while True:
        await asyncio.sleep(chore.interval)
        await _do(chore)


async def _do(chore: Chore) -> None:
    try:
        did = await chore.do()
    except StorageError as exc:  # the next time mends it
        log.warning("housekeeping_failed", chore=chore.name, error=str(exc))
    except Exception:
        log.exception("housekeeping_failed", chore=chore.name)
    else:
        if did:
            log.info("housekeeping", chore=chore.name, did=list(did))
