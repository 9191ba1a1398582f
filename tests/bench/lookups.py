"""
How fast the questions people ask are answered, over fourteen days of records.

``python -m tests.bench.lookups [ROWS [FOLDER]]`` fills an embedded Postgres in the folder, or
asks the one that is there.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
import tempfile
import time
from pathlib import Path

from collector.api.statistics_shapes import FACETS
from storage import database, embedded, histogram, migrate, pages, statistics
from storage.reader import Reader
from storage.search import EVERYTHING, All, Equals, Last, Severity, Text
from tests.bench import table

ROWS = 2_000_000
REPEAT = 200
FEW = 20  # times of what takes long
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
WORKER = Equals("service", ("worker",))
PAGES = {
    "": EVERYTHING,
    ", service": WORKER,
    ", service and info": All((WORKER, Severity(9, 12))),
    ", service and error": All((WORKER, Severity(17, 20))),
    ", error": Severity(17, 20),
}
IDS = ("job_id", "request_id", "trace_id", "submission_id")
SIZES = """
SELECT sum(pg_table_size(relid)), sum(pg_indexes_size(relid)), (
    SELECT sum(pg_relation_size(indexrelid)) FROM pg_index
    WHERE indexrelid::regclass::text ~ '^log_entries_[0-9]{8}_text')
FROM pg_partition_tree('log_entries')
"""


async def timed(name, ask, known, repeat=REPEAT):
    """Print the median and the 95th percentile of asking, in milliseconds."""
    await ask(known[0])  # what is planned once is planned
    seconds = []
    for number in range(repeat):
        record = known[number % len(known)]
        start = time.perf_counter()
        await ask(record)
        seconds.append(time.perf_counter() - start)
    seconds.sort()
    p50, p95 = seconds[repeat // 2], seconds[min(repeat * 95 // 100, repeat - 1)]
    print(f"{name:44}{p50 * 1e3:9.2f}{p95 * 1e3:9.2f}", flush=True)


async def run(dsn):
    """Print the table of answers."""
    known, count, newest_time = await table.found(dsn)
    async with database.connected(dsn, size=1) as pool:
        heap, indexes, text = await pool.fetchrow(SIZES)
    print(
        f"{count:,} rows over {table.DAYS} days; bytes a row: {heap / count:.0f} heap,"
        f" {(indexes - text) / count:.0f} indexes, {text / count:.0f} text index"
    )
    print(f"{'':44}{'p50 ms':>9}{'p95 ms':>9}")
    async with database.reading(dsn, size=2) as pool:
        reader = Reader(pool, timeout=60)
        await timed("trace of a job", lambda r: reader.job(r["job_id"]), known)
        await timed("trace of a request", lambda r: reader.request(r["request_id"]), known)
        await timed("trace by trace id", lambda r: reader.trace(r["trace_id"]), known)
        for name, wanted in PAGES.items():
            await timed(f"newest 100{name}", lambda _, w=wanted: newest(reader, w), known)
        for name in IDS:
            await timed(
                f"newest 100, {name}", lambda r, n=name: newest(reader, Equals(n, (r[n],))), known
            )
        await _counted(reader, known, newest_time)
        await _paged(reader)


async def _counted(reader, known, now):
    def facets(_):
        return statistics.facets(
            reader, Last(HOUR), now=now, names=FACETS, most=10, records=100_000
        )

    def histogram_of(days, by):
        return histogram.histogram(
            reader, Last(days * DAY), now=now, buckets=60, interval=None, by=by, most=10
        )

    await timed("facets of 10 fields, an hour", facets, known, FEW)
    await timed("histogram by level, 24 h", lambda _: histogram_of(1, "level"), known, FEW)
    await timed("histogram by level, 14 days", lambda _: histogram_of(14, "level"), known, FEW)
    await timed("histogram by stage, 24 h", lambda _: histogram_of(1, "stage"), known, FEW)
    rare = All((Text(table.NEEDLE[10:24]), Last(table.DAYS * DAY)))
    page = await newest(reader, rare)
    assert [table.NEEDLE] == [entry.msg for entry in page.entries]
    await timed("rare substring, 14 days", lambda _: newest(reader, rare), known, FEW)


async def _paged(reader, last=1_000):
    """Go through pages of a hundred by cursor."""
    page = await newest(reader, EVERYTHING)
    seconds = []
    for _ in range(last):
        start = time.perf_counter()
        page = await pages.turned(reader, EVERYTHING, page.older, limit=100)
        seconds.append(time.perf_counter() - start)
    for name, some in (("2-51", seconds[:50]), (f"{last - 49}-{last}", seconds[-50:])):
        some.sort()
        print(f"{f'pages {name} by cursor':44}{some[25] * 1e3:9.2f}{some[47] * 1e3:9.2f}")


def newest(reader, wanted):
    """Ask for the newest hundred, without their total."""
    return pages.first(reader, wanted, now=now(), limit=100, total="none")


def now():
    """Give the time."""
    return dt.datetime.now(dt.UTC)


def main(rows=ROWS, folder=None):
    """Fill a server of our own, unless *folder* has one, and ask it."""
    with tempfile.TemporaryDirectory(prefix="pixsim-bench-") as other:
        data = Path(folder or other)
        data.mkdir(exist_ok=True)
        data.chmod(0o755)  # the embedded server runs as a user of its own under root
        with embedded.running(data / "postgres") as dsn:
            asyncio.run(_main(dsn, rows))


async def _main(dsn, rows):
    if not await asyncio.to_thread(migrate.current, dsn):
        await asyncio.to_thread(migrate.upgrade, dsn)
        start = time.perf_counter()
        await table.fill(dsn, rows)
        print(f"filled in {time.perf_counter() - start:.0f} s")
    await run(dsn)


if __name__ == "__main__":
    main(*(int(rows) for rows in sys.argv[1:2]), *sys.argv[2:3])
