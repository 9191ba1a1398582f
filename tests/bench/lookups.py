"""How fast the questions people ask are answered, at two million rows over seven days."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import time

import asyncpg

from storage import database, encoding, pages, partitions, writer
from storage.reader import Reader
from storage.records import Batch, LogRecord
from storage.search import EVERYTHING, All, Equals, Severity
from tests.bench import bodies

ROWS = 2_000_000
DAYS = 7
REPEAT = 200
WORKER = Equals("service", ("worker",))
PAGES = {
    "": EVERYTHING,
    " of a service": WORKER,
    " of a service and level info": All((WORKER, Severity(9, 12))),
    " of a service and level error": All((WORKER, Severity(17, 20))),
    " of level error": Severity(17, 20),
}


def records(number, start, seed):
    """Make rows of the events, an hour or so of the seven days."""
    for event in bodies.events(number, seed=seed, start=start, step=DAYS * 86_400 / ROWS):
        extra = {key: event.pop(key) for key in ("account_id", "queue")}
        when = dt.datetime.fromisoformat(event.pop("timestamp"))
        number = bodies.SEVERITY[event["level"]]
        event["job_id"] += seed * 10_000
        event["trace_id"] = f"{event['job_id']:032x}"
        yield LogRecord(timestamp=when, severity_number=number, extra=extra, **event)


async def fill(dsn):
    """Load the rows; give some job ids, request ids and trace ids among them."""
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=DAYS)
    known = []
    async with database.connected(dsn, size=4, init=encoding.prepare) as pool:
        await pool.execute("TRUNCATE log_entries, ledger")
        async with writer.writing(pool, writer.WriterConfig(), lambda *_: None) as log_writer:
            step, done = 20_000, 0
            while done < ROWS:
                begin = start + dt.timedelta(seconds=done * DAYS * 86_400 / ROWS)
                found = list(records(step, begin, done // step))
                known.append(random.Random(done).choice(found))
                await log_writer.submit(Batch(receiver="bench", records=found))
                done += step
        await partitions.maintain(pool, dt.datetime.now(dt.UTC).date(), ahead=1)
        await pool.execute("VACUUM ANALYZE log_entries")
    return known


async def timed(name, ask, known):
    """Print the median and the 95th percentile of asking, in milliseconds."""
    seconds = []
    for number in range(REPEAT):
        record = known[number % len(known)]
        start = time.perf_counter()
        await ask(record)
        seconds.append(time.perf_counter() - start)
    seconds.sort()
    print(f"{name:44}{seconds[REPEAT // 2] * 1e3:8.2f}{seconds[REPEAT * 95 // 100] * 1e3:8.2f}")


async def run(dsn):
    """Print the table."""
    known = await fill(dsn)
    connection = await asyncpg.connect(dsn)
    size, count = await connection.fetchrow("""
        SELECT sum(pg_total_relation_size(relid)), (SELECT count(*) FROM log_entries)
        FROM pg_partition_tree('log_entries')""")
    await connection.close()
    print(f"{count:,} rows over {DAYS} days, {size / count:.0f} bytes a row with indexes")
    print(f"{'':44}{'p50 ms':>8}{'p95 ms':>8}")
    async with database.connected(dsn, size=4) as pool:
        reader = Reader(pool)
        await timed("trace of a job", lambda r: reader.job(r.job_id), known)
        await timed("trace of a request", lambda r: reader.request(r.request_id), known)
        await timed("trace by trace id", lambda r: reader.trace(r.trace_id), known)
        for name, wanted in PAGES.items():
            await timed(f"newest 100{name}", lambda _, w=wanted: newest(reader, w), known)


def newest(reader, wanted):
    """Ask for the newest hundred, without their total."""
    now = dt.datetime.now(dt.UTC)
    return pages.first(reader, wanted, now=now, limit=100, total="none")


def main(dsn, native_url):
    """Run it in a loop of its own."""
    asyncio.run(run(dsn))
