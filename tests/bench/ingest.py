"""How fast records are acknowledged, and what a bare COPY of the same rows does."""

from __future__ import annotations

import asyncio
import io
import time

import asyncpg
import psutil

from storage.copying import TABLE
from storage.records import COLUMNS
from tests.bench import bodies, load

CONNECTIONS = 8
RECORDS = {1: 6_000, 10: 40_000, 100: 200_000, 1_000: 200_000}  # a run, by records a body
HEADER = (
    f"{'':24}{'logs/s':>10}{'of COPY':>9}{'p50 ms':>8}{'p99 ms':>8}"
    f"{'µs/log collector':>18}{'Postgres':>10}{'client':>8}{'MB':>8}"
)


def cpu(process):
    """Give the CPU seconds of a process and those below it."""
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


async def ceiling(dsn, rows=200_000, batch=10_000):
    """COPY rows that are in the table now back into it, as bytes; give rows a second."""
    connection = await asyncpg.connect(dsn)
    columns = ", ".join(COLUMNS)
    parts = []
    for offset in range(0, rows, batch):
        out = io.BytesIO()
        await connection.copy_from_query(
            f"SELECT {columns} FROM log_entries LIMIT {batch} OFFSET {offset}",
            output=out,
            format="binary",
        )
        parts.append(out.getvalue())
    await connection.execute("TRUNCATE log_entries, ledger, seen")
    await connection.execute("CHECKPOINT")
    start = time.perf_counter()
    for part in parts:
        await connection.copy_to_table(
            TABLE[False], source=io.BytesIO(part), columns=COLUMNS, format="binary"
        )
    seconds = time.perf_counter() - start
    count = await connection.fetchval("SELECT count(*) FROM log_entries")
    await connection.close()
    return count / seconds


async def measure(dsn, collector, postmaster, name, url, content_type, encode, size):
    """Send one kind of body; give a line of the table without the ratio."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("TRUNCATE log_entries, ledger, seen")
    await connection.execute("CHECKPOINT")
    records = RECORDS[size]
    found = list(bodies.events(min(records, 20_000)))
    encoded = [encode(found[i : i + size]) for i in range(0, len(found), size)]
    requests = [
        load.request(url, content_type, bodies.unlike(encoded[n % len(encoded)], n, content_type))
        for n in range(records // size)
    ]
    me = psutil.Process()
    watched = (collector, postmaster, me)
    before = [cpu(p) if p is not me else sum(p.cpu_times()[:2]) for p in watched]
    seconds, latencies = await load.run(url, requests, records // size, CONNECTIONS)
    after = [cpu(p) if p is not me else sum(p.cpu_times()[:2]) for p in watched]
    stored = await connection.fetchval("SELECT count(*) FROM log_entries")
    await connection.close()
    assert stored == records, f"{name}: sent {records}, stored {stored}"
    used = [(b - a) / records * 1e6 for a, b in zip(before, after, strict=True)]
    return {
        "name": f"{name}, {size} a body",
        "rate": records / seconds,
        "p50": latencies[len(latencies) // 2] * 1e3,
        "p99": latencies[int(len(latencies) * 0.99)] * 1e3,
        "used": used,
        "memory": max(p.memory_info().rss for p in (collector, *collector.children())) / 1e6,
    }


async def run(dsn, native_url, otlp_url, collector, postmaster):
    """Print the table."""
    kinds = (
        (
            "native JSON",
            f"{native_url}/api/v1/logs/ingest/batch",
            "application/json",
            bodies.native,
        ),
        ("OTLP protobuf", f"{otlp_url}/v1/logs", "application/x-protobuf", bodies.otlp),
    )
    lines = [
        await measure(dsn, collector, postmaster, name, url, content_type, encode, size)
        for name, url, content_type, encode in kinds
        for size in RECORDS
    ]
    copied = await ceiling(dsn)
    print(HEADER)
    print(f"{'bare binary COPY':24}{copied:10,.0f}{1:9.2f}")
    for line in lines:
        print(
            f"{line['name']:24}{line['rate']:10,.0f}{line['rate'] / copied:9.2f}"
            f"{line['p50']:8.1f}{line['p99']:8.1f}"
            f"{line['used'][0]:18.1f}{line['used'][1]:10.1f}{line['used'][2]:8.1f}"
            f"{line['memory']:8.0f}"
        )


def main(*args):
    """Run it in a loop of its own."""
    asyncio.run(run(*args))
