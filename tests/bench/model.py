"""
What a record costs at a steady rate, in the terms of the model in docs/scaling.md.

``python -m tests.bench.model [RATE [SECONDS]]`` sends OTLP in bodies of a hundred, 10,000 logs a second
for 20 seconds, whether or not they are answered, and then builds the index of texts as for a day
that is over.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import sys
import time

import psutil
import psycopg

from storage import database, sealing
from tests.bench import bodies, collector, ingest, load, overload

SIZE = 100  # records a body
# All that is sent is stored by the usual way, however slow the machine is.
SETTINGS = ", text_index: false, max_wait: 30, spool: {enabled: false}"
MEDIA = "application/x-protobuf"
STORED = """
SELECT count(*)::float8, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8, (
    SELECT sum(pg_table_size(i.inhrelid))::float8 FROM pg_inherits i
    WHERE i.inhparent = 'log_entries_days'::regclass), (
    SELECT sum(pg_indexes_size(i.inhrelid))::float8 FROM pg_inherits i
    WHERE i.inhparent = 'log_entries_days'::regclass)
FROM log_entries
"""


def looked(it):
    """Give records, bytes of WAL, table and indexes, and the CPU seconds of us and of Postgres."""
    with psycopg.connect(it.dsn) as connection:
        stored = connection.execute(STORED).fetchone()
    return (*stored, ingest.cpu(it.process), ingest.cpu(it.postmaster))


async def indexed(it):
    """Build the index of texts; give its bytes, and the CPU seconds that it took."""
    before = looked(it)
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=2)
    async with database.connected(it.dsn, size=1) as pool:
        await pool.execute("UPDATE ledger SET received_at = received_at - interval '1 day'")
        await sealing.Sealer(pool, small=0).seal(tomorrow)
        after = looked(it)  # while the server's process is there
    return after[3] - before[3], after[5] - before[5]


async def run(it, rate, seconds):
    """Print the table."""
    url = it.otlp + ingest.PATHS["otlp"]
    found = list(bodies.events(20_000))
    encoded = [bodies.otlp(found[i : i + SIZE]) for i in range(0, len(found), SIZE)]
    sent = [
        bodies.unlike(encoded[n % len(encoded)], n, MEDIA) for n in range(rate * seconds // SIZE)
    ]
    requests = [load.request(url, MEDIA, body) for body in sent]
    before, start = looked(it), time.perf_counter()
    answers, _ = await overload.flood(url, iter(requests), rate / SIZE, seconds)
    took = time.perf_counter() - start
    after = looked(it)
    records, wal, table, index, ours, postgres = (b - a for a, b in zip(before, after, strict=True))
    texts, building = await indexed(it)
    answered = ", ".join(f"{len(each):,} answered {status}" for status, each in answers.items())
    print(
        f"{records / took:,.0f} logs/s for {took:.0f} s ({answered}), load {os.getloadavg()[0]:.1f}"
    )
    print(f"body               {sum(map(len, sent)) / len(sent) / SIZE:9,.0f} bytes a record")
    print(f"WAL                {wal / records:9,.0f}")
    print(f"table              {table / records:9,.0f}")
    print(f"indexes            {index / records:9,.0f}")
    print(f"index of texts     {texts / records:9,.0f}")
    print(f"CPU, collector     {ours / records * 1e6:9,.1f} µs a record")
    print(f"CPU, Postgres      {postgres / records * 1e6:9,.1f}")
    print(f"CPU, texts' index  {building / records * 1e6:9,.1f}")
    print(f"cores              {(ours + postgres) / took:9.2f}, of {psutil.cpu_count()}")


if __name__ == "__main__":
    rate, seconds = [*map(int, sys.argv[1:]), *(10_000, 20)[len(sys.argv) - 1 :]]
    with collector.running(settings=SETTINGS) as it:
        asyncio.run(run(it, rate, seconds))
