"""
How fast the stored records are read by who follows them, beside a bare COPY of the same rows.

``python -m tests.bench.following [ROWS]`` fills an embedded Postgres. CPU time is this
process's; the load of the machine changes all seconds, but hardly the CPU time.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
import tempfile
import time
from pathlib import Path

from storage import database, embedded, encoding, migrate, partitions
from storage.follower import Follower
from storage.positions import BEGINNING
from storage.search import EVERYTHING, Contains, Severity
from tests.builders import record
from tests.stored import store

ROWS = 200_000
BATCH = 2_000  # of one transaction
START = dt.datetime(2025, 11, 13, tzinfo=dt.UTC)
LIMITS = {"records": 5_000, "bytes": 16 * 1024 * 1024, "now": START}


def records(first, number):
    """Make records as a busy service sends them, ten a second."""
    return [
        record(
            timestamp=START + dt.timedelta(seconds=n / 10),
            level="INFO",
            severity_number=9 + 4 * (n % 20 == 0),
            msg=f"job {n} went through stage {n % 7} of its way, and took its time",
            job_id=n // 20,
            request_id=f"request-{n // 5}",
            stage="provider:submit",
            duration_ms=n % 977 / 3,
            extra={"queue": "default", "attempt_of": n % 3, "tags": ["a", "b"]},
        )
        for n in range(first, first + number)
    ]


async def walked(name, rows, read, position=BEGINNING):
    """Print what it costs to *read* everything piece by piece."""
    start, cpu, passed, pieces, longest = time.perf_counter(), time.process_time(), 0, 0, 0.0
    more = True
    while more:
        begun = time.perf_counter()
        piece = await read(position)
        longest = max(longest, time.perf_counter() - begun)
        position, more = piece.position, piece.more
        passed += piece.passed
        pieces += 1
    assert passed == rows, passed
    shown(name, rows, time.perf_counter() - start, time.process_time() - cpu)
    print(f"{'':28}{pieces} pieces, the slowest in {longest * 1e3:.0f} ms", flush=True)


def shown(name, rows, seconds, cpu):
    """Print a line of the table."""
    print(f"{name:28}{rows / seconds:12,.0f} records/s{cpu / rows * 1e6:9.2f} µs CPU", flush=True)


async def run(dsn, rows):
    """Print the table."""
    async with (
        database.connected(dsn, size=2, init=encoding.prepare) as pool,
        database.reading(dsn, size=2) as readers,
    ):
        days = rows // 864_000 + 1
        await partitions.maintain(pool, START.date(), ahead=days)
        for first in range(0, rows, BATCH):
            await store(pool, *records(first, BATCH))
        await pool.execute("ANALYZE log_entries")
        copied = 0

        async def taken(data):
            nonlocal copied
            copied += len(data)

        start, cpu = time.perf_counter(), time.process_time()
        async with pool.acquire() as connection:
            await connection.copy_from_query(
                "SELECT * FROM log_entries", output=taken, format="binary"
            )
        shown("COPY", rows, time.perf_counter() - start, time.process_time() - cpu)
        follower = Follower(readers)
        some = Contains("msg", "stage 3")
        severe = Severity(13, None)

        def stored(search):
            return lambda position: follower.stored(position, search, **LIMITS)

        def entries(*searches):
            return lambda position: follower.entries(position, searches, **LIMITS)

        await walked("stored", rows, stored(None))
        await walked("stored, a seventh of them", rows, stored(some))
        await walked("entries", rows, entries(EVERYTHING))
        await walked("entries, of two searches", rows, entries(some, severe))
        first = await follower.now()
        await pool.execute(
            "INSERT INTO log_entries (timestamp, level, msg) SELECT $1::timestamptz + n * "
            "interval '1 ms', 'INFO', 'n ' || n FROM generate_series(1, $2::bigint) n",
            START,
            rows,
        )
        await walked("stored, one transaction", rows, stored(None), first)
        first = await follower.now()
        await pool.execute(
            "INSERT INTO log_entries (timestamp, level, msg)"
            " SELECT $1, 'INFO', 'n ' || n FROM generate_series(1, $2::bigint) n",
            START,
            rows,
        )
        await walked("stored, all of one time", rows, stored(None), first)


def main():
    """Fill a Postgres and measure."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory(prefix="pixsim-bench-") as folder:
        Path(folder).chmod(0o755)  # the embedded server runs as a user of its own under root
        with embedded.running(Path(folder) / "postgres") as dsn:
            migrate.upgrade(dsn)
            asyncio.run(run(dsn, rows))


if __name__ == "__main__":
    main()
