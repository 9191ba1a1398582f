"""Waiting for what somebody else does, however busy the machine is."""

from __future__ import annotations

import asyncio
import time

PATIENCE = 60  # seconds


def until(condition):
    """Wait for *condition*, and give what it gives."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


async def until_async(condition):
    """Wait for what *condition* promises, and give that."""
    async with asyncio.timeout(PATIENCE):
        while not (found := await condition()):  # noqa: ASYNC110  it is in others' hands
            await asyncio.sleep(0.01)
        return found
