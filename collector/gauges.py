"""
Gauges of what has no moment of change.

Of the process they are taken each second, of the database by who keeps house, so that no scrape
asks it anything.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import resource
import shutil
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from collector import telemetry
from collector.housekeeping import Chore
from storage import vitals
from storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from collector.body import InFlight
    from storage.database import Pool

INTERVAL = 1.0  # seconds between two looks at the process
DATABASE_INTERVAL = 15.0  # and at the database
PAGE = resource.getpagesize()
NAMES = ("idle", "used")


@asynccontextmanager
async def gauging(
    pools: Mapping[str, Pool], in_flight: InFlight | None = None
) -> AsyncIterator[None]:
    """Keep the gauges of this process, its *pools* and what is *in_flight*, beside the block."""

    async def gauge() -> None:
        due = time.monotonic()
        while True:
            if in_flight is not None:
                telemetry.in_flight_bytes.set(in_flight.held)
            for name, pool in pools.items():
                idle, size = pool.get_idle_size(), pool.get_size()
                for state, number in zip(NAMES, (idle, size - idle), strict=True):
                    telemetry.pool_connections.labels(name, state).set(number)
                telemetry.pool_most.labels(name).set(pool.get_max_size())
            _process()
            due += INTERVAL
            await asyncio.sleep(max(due - time.monotonic(), 0.0))
            late = max(time.monotonic() - due, 0.0)
            telemetry.event_loop_late.observe(late)
            due += late

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(gauge(), name="gauges")
        try:
            yield
        finally:
            task.cancel()
            if in_flight is not None:
                telemetry.in_flight_bytes.set(0)


def _process() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    telemetry.process_cpu.set(used.ru_utime + used.ru_stime)
    with suppress(OSError):  # no system of ours lacks it, but tests may run elsewhere
        resident = int(Path("/proc/self/statm").read_text().split()[1])
        telemetry.process_memory.set(resident * PAGE)
        telemetry.process_files.set(len(os.listdir("/proc/self/fd")))  # noqa: PTH208  of numbers


def database(pool: Pool, folders: Iterable[Path]) -> Chore:
    """Give the chore that looks at the database, and at the disks that *folders* are on."""
    there = list(folders)

    async def look() -> list[str]:
        now = dt.datetime.now(dt.UTC)
        for folder in there:
            with suppress(OSError):  # it isn't made yet
                free = (await asyncio.to_thread(shutil.disk_usage, folder)).free
                telemetry.disk_free.labels(str(folder)).set(free)
        try:
            found = await vitals.vitals(pool, now)
        except StorageError:
            telemetry.database_up.set(0)
            raise
        telemetry.database_up.set(1)
        telemetry.database_bytes.set(found.database_bytes)
        telemetry.records_bytes.set(found.records_bytes)
        telemetry.partitions.set(found.partitions)
        telemetry.partitions_ahead.set(found.days_ahead)
        telemetry.records_stray.set(found.stray or 0)
        telemetry.records_uncounted.set(found.uncounted)
        telemetry.database_connections.set(found.connections)
        telemetry.database_most_connections.set(found.most_connections)
        if found.newest is not None:
            telemetry.newest_commit.set(found.newest.timestamp())
        return []

    return Chore(name="gauges", interval=DATABASE_INTERVAL, do=look)
