"""
Telling those who follow the table that something was committed.

In the same process they are told at once; other processes by NOTIFY, which is sent on a
connection of its own: within the writers' transactions it would let them commit one at a time
only. It says no more than that there is something. Who inserts into the table without us sends
none, so that who follows looks once a second anyway.
"""

from __future__ import annotations

import asyncio
import weakref
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import asyncpg
import structlog

from storage.database import closed
from storage.errors import Unavailable, translated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHANNEL = "pixsim_stored"
APART = 0.1  # seconds between two notifications
POLL = 1.0  # seconds until one looks without having been told
AGAIN = 1.0  # seconds until a lost connection is made anew
# A notification is a transaction; nobody has to wait until it is on disk.
PREPARE = "SET synchronous_commit = off"

log = structlog.get_logger()


class Notices:
    """What one follower is told."""

    def __init__(self) -> None:
        self._told = asyncio.Event()

    def tell(self) -> None:
        """End the follower's waiting, now or the next time it waits."""
        self._told.set()

    async def changed(self, timeout: float = POLL) -> bool:  # noqa: ASYNC109  it is the result
        """
        Return when something was committed since the last call, or it is time to look.

        That is after *timeout* seconds, and after `POLL` in any case; then it gives False.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(min(timeout, POLL)):
                await self._told.wait()
        told = self._told.is_set()
        self._told.clear()
        return told


class Board:
    """Where a process says what it has committed, and hears of others."""

    def __init__(self) -> None:
        self._followers: weakref.WeakSet[Notices] = weakref.WeakSet()
        self._committed = asyncio.Event()

    def notices(self) -> Notices:
        """Give what one more follower is told by, as long as it keeps it."""
        notices = Notices()
        self._followers.add(notices)
        return notices

    def committed(self) -> None:
        """Tell everybody that this process has committed records."""
        self._tell()
        self._committed.set()

    async def run(self, pool: asyncpg.Pool) -> None:
        """Send and hear notifications on a connection of *pool*, until this is cancelled."""
        failing = False
        while True:
            try:
                with translated():
                    async with pool.acquire() as connection:
                        failing = False
                        await self._exchange(connection)
            except Unavailable as exc:
                if not failing:
                    log.info("notifications_wait", error=str(exc))
                failing = True
            await asyncio.sleep(AGAIN)

    async def _exchange(self, connection: Any) -> None:
        """Send and hear on *connection* until it is lost."""
        ours = connection.get_server_pid()
        lost = asyncio.Event()

        def heard(_connection: object, sender: int, _channel: str, _payload: object) -> None:
            if sender != ours:
                self._tell()

        def end(_connection: object) -> None:
            lost.set()
            self._committed.set()

        connection.add_termination_listener(end)
        try:
            await connection.add_listener(CHANNEL, heard)
            await connection.execute(PREPARE)
            while not lost.is_set():
                await self._committed.wait()
                self._committed.clear()
                await connection.execute(f"NOTIFY {CHANNEL}")
                await asyncio.sleep(APART)
        finally:
            if not closed(connection):
                connection.remove_termination_listener(end)
                with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    await connection.remove_listener(CHANNEL, heard)
                    await connection.execute("RESET synchronous_commit")

    def _tell(self) -> None:
        for notices in list(self._followers):
            notices.tell()


@asynccontextmanager
async def running(pool: asyncpg.Pool) -> AsyncIterator[Board]:
    """A board that other processes hear of, inside the block."""
    board = Board()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(board.run(pool), name="notices")
        try:
            yield board
        finally:
            task.cancel()
