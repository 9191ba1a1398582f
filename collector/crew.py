"""
The worker processes of one configuration, each started again when it dies.

A worker is ``python -m collector.worker``. Its standard input is a socket to us: we send it
what it is to do, and it says when it is ready; later we tell it to leave or to stop. If we
die, it sees the end of the socket, and stops.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import sys
import time
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path  # noqa: TC003  msgspec reads the annotations
from typing import TYPE_CHECKING

import msgspec
import structlog

from collector import telemetry
from collector.config import Config  # noqa: TC001  msgspec reads the annotations
from collector.control import Failed
from collector.sockets import PLACES, Balance

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

    from collector.control import Control
    from collector.sockets import Sockets

log = structlog.get_logger()

COMMAND = (sys.executable, "-m", "collector.worker")
READY, LEAVE, STOP = b"ready\n", b"leave\n", b"stop\n"  # what is said on the socket
LENGTH = 4  # bytes of the length before an assignment
LONG = 60.0  # seconds after which a death is no longer the one before, again
PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0)  # seconds before each start again
GRACE = 5.0  # seconds beyond all timeouts until a worker that was told to stop is killed


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is to do; *sockets* has file descriptors that it inherits."""

    config: Config
    dsn: str
    sockets: dict[str, list[int]]
    place: int
    balance: Path  # the file of `Balance`
    keeps: bool  # house, instead of taking records in
    again: bool  # in the place of one that died


class Places:
    """
    The places of workers, by number, and the *folder* where they keep counters.

    A worker goes on with the counters of whoever had its place before.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._free = set(range(PLACES))
        self.balance = folder / "connections"
        self._balance = Balance(self.balance)

    def take(self) -> int:
        """Give the lowest that is free."""
        if not self._free:
            raise Failed(f"{PLACES} workers are running or leaving")
        place = min(self._free)
        self._free.discard(place)
        return place

    def give(self, place: int) -> None:
        """Free *place*, whose worker has ended."""
        self._balance.away(place)
        telemetry.ended(self.folder, place)
        self._free.add(place)


def longest_stop(config: Config) -> float:
    """Give the seconds within which whoever was told to stop has to have stopped."""
    return 4 * config.service.shutdown_timeout + GRACE


class Crew:
    """The workers of *config*: as many as it says, and one that keeps house."""

    def __init__(
        self, config: Config, dsn: str, held: Sockets, places: Places, control: Control
    ) -> None:
        self._config, self._dsn, self._held = config, dsn, held
        self._places, self._control = places, control

    async def run(self) -> None:
        """
        Keep them running until they are told to leave or to stop, and wait until they have.

        Raises:
            Failed: one does not start, or dies again and again.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._begun(tasks, 1, keeps=True)  # the house is in order before requests
                await self._begun(tasks, self._config.workers, keeps=False)
                self._control.ready.set()
        except ExceptionGroup as group:
            if (failed := group.subgroup(Failed)) and len(failed.exceptions) == len(
                group.exceptions
            ):
                raise failed.exceptions[0] from None
            raise

    async def _begun(self, tasks: asyncio.TaskGroup, number: int, *, keeps: bool) -> None:
        begun = [asyncio.Event() for _ in range(number)]
        for event in begun:
            tasks.create_task(self._kept(event, keeps=keeps), name="worker")
        for event in begun:
            await event.wait()

    async def _kept(self, begun: asyncio.Event, *, keeps: bool) -> None:
        """Keep one worker running; *begun* is set when it works for the first time."""
        deaths = 0
        while True:
            start = time.monotonic()
            async with self._worker(keeps=keeps, again=deaths > 0) as worker:
                if await worker.ready():
                    begun.set()
                code = await worker.process.wait()
            if self._control.told.is_set():
                begun.set()
                return
            deaths = 1 if time.monotonic() - start > LONG else deaths + 1
            if not begun.is_set() or deaths > len(PAUSES):
                raise Failed(f"a worker ended at its start, with exit code {code}")
            pause = PAUSES[deaths - 1]
            log.error("worker_died", pid=worker.process.pid, exit_code=code, again_in_seconds=pause)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._control.told.wait(), pause)

    @asynccontextmanager
    async def _worker(self, *, keeps: bool, again: bool) -> AsyncIterator[Worker]:
        """Start a worker, which has what it is to do and has ended at the end of the block."""
        place = self._places.take()
        descriptors = {name: [one.fileno() for one in held] for name, held in self._held.items()}
        assignment = Assignment(
            config=self._config,
            dsn=self._dsn,
            sockets=descriptors,
            place=place,
            balance=self._places.balance,
            keeps=keeps,
            again=again,
        )
        patience = longest_stop(self._config)
        with ExitStack() as stack:
            stack.callback(self._places.give, place)
            ours, theirs = socket.socketpair()
            with theirs:
                reader, writer = await asyncio.open_connection(sock=ours)
                # Not before the process has ended: to it that would mean that we were killed.
                stack.callback(writer.close)
                process = await asyncio.create_subprocess_exec(
                    *COMMAND,
                    stdin=theirs.fileno(),
                    pass_fds=[number for held in descriptors.values() for number in held],
                    env={**os.environ, **telemetry.shared(self._places.folder, place)},
                    start_new_session=True,  # what a terminal sends to all is for us
                )
            worker = Worker(process, reader, writer)
            writer.write(packed(assignment))
            telling = asyncio.create_task(worker.tell(self._control, patience))
            try:
                yield worker
            finally:
                telling.cancel()
                if process.returncode is None:
                    process.kill()
                    await process.wait()


class Worker:
    """A process, and the socket to it."""

    def __init__(
        self, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.process = process
        self._reader, self._writer = reader, writer

    async def ready(self) -> bool:
        """Return when it works, or has died instead."""
        with suppress(ConnectionError):
            return await self._reader.readline() == READY
        return False

    async def tell(self, control: Control, patience: float) -> None:
        """Tell it what *control* says, and kill it if it has not ended *patience* seconds later."""
        await control.told.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                if not control.stopped.is_set():
                    self._writer.write(LEAVE)
                    await control.stopped.wait()
                self._writer.write(STOP)
                await self.process.wait()
                return
        log.error("worker_killed", pid=self.process.pid, reason="it did not end in time")
        self.process.kill()


def packed(assignment: Assignment) -> bytes:
    """Give *assignment* as it is sent, with its length before it."""
    data = pickle.dumps(assignment)
    return len(data).to_bytes(LENGTH, "big") + data
