"""A worker process, ``python -m collector.worker``, as `collector.crew` starts it."""

from __future__ import annotations

import asyncio
import os
import pickle
import shutil
import signal
import socket
import sys
from typing import TYPE_CHECKING

from collector import own_log, service, telemetry
from collector.commands import store
from collector.control import Control
from collector.crew import LEAVE, LENGTH, READY
from collector.sockets import Balance
from storage.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from collector.crew import Assignment

NICENESS = 5  # of the worker that keeps house: requests come first


def main() -> None:
    """Do what the socket says that is standard input, until it says to leave or to stop."""
    channel = socket.socket(fileno=sys.stdin.fileno())
    assignment = _received(channel)
    own_log.to_stderr(assignment.config.service.telemetry.logs.level, worker=assignment.place)
    if assignment.again:
        telemetry.workers_restarted.inc()
    if assignment.keeps:
        os.nice(NICENESS)
    try:
        store.serve(_working(assignment, channel))
    except Exception as exc:  # noqa: BLE001  the supervisor only sees the exit code
        own_log.failed("worker_failed", exc, expected=isinstance(exc, StorageError | OSError))
        sys.exit(1)


def _received(channel: socket.socket) -> Assignment:
    size = int.from_bytes(channel.recv(LENGTH, socket.MSG_WAITALL), "big")
    data = channel.recv(size, socket.MSG_WAITALL)
    if not data:
        sys.exit(1)  # who started us has gone already
    assignment: Assignment = pickle.loads(data)  # noqa: S301  it is from who started us
    return assignment


async def _working(assignment: Assignment, channel: socket.socket) -> None:
    control = Control()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, control.stop)
    reader, writer = await asyncio.open_connection(sock=channel)
    config, keeps = assignment.config, assignment.keeps
    place = service.Place(
        dsn=assignment.dsn,
        sockets={
            name: [socket.socket(fileno=number) for number in numbers]
            for name, numbers in assignment.sockets.items()
        },
        workers=config.workers,
        balance=Balance(assignment.balance, assignment.place),
    )
    async with asyncio.TaskGroup() as tasks:
        channels = (
            tasks.create_task(_hear(reader, control, assignment.balance.parent), name="hear"),
            tasks.create_task(_say(writer, control), name="say"),
        )
        await service.work(config, place, control, collects=not keeps, keeps=keeps)
        for task in channels:
            task.cancel()


async def _hear(reader: asyncio.StreamReader, control: Control, folder: Path) -> None:
    """Pass on what the supervisor says; where it was killed, stop and clear its *folder* away."""
    while (said := await reader.readline()) == LEAVE:
        control.leave()
    control.stop()
    if not said:
        shutil.rmtree(folder, ignore_errors=True)


async def _say(writer: asyncio.StreamWriter, control: Control) -> None:
    await control.ready.wait()
    writer.write(READY)


if __name__ == "__main__":
    main()
