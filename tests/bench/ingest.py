"""
How fast records are acknowledged, and what a bare COPY of the same rows does.

``of CPU`` is the share of all processors that goes to what can't be left out: decoding, mapping and
COPY of a record on both sides (`parts`), and the client.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import io
import itertools
import statistics
import time

import asyncpg
import psutil

from storage.copying import TABLE
from storage.records import COLUMNS
from tests.bench import bodies, load, parts

CONNECTIONS = 8
KINDS = {  # by the address, the media type, how it is encoded, and the sizes of bodies
    "native JSON": ("native", "application/json", bodies.native, (1, 10, 100, 1_000)),
    "OTLP protobuf": ("otlp", "application/x-protobuf", bodies.otlp, (1, 10, 100, 1_000)),
    "OTLP JSON": ("otlp", "application/json", bodies.otlp_json, (100, 1_000)),
    "OTLP protobuf, gzip": ("otlp", "application/x-protobuf", bodies.otlp, (100, 1_000)),
}
PATHS = {"native": "/api/v1/logs/ingest/batch", "otlp": "/v1/logs"}
RECORDS = {1: 6_000, 10: 40_000, 100: 200_000, 1_000: 200_000}  # a run, by records a body
HEADER = (
    f"{'':29}{'logs/s':>8}{'of COPY':>9}{'of CPU':>8}{'p50 ms':>8}{'p99 ms':>8}"
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


async def taken(it, rows=100_000, batch=10_000):
    """Give rows that are in the table now, in pieces as COPY takes them."""
    connection = await asyncpg.connect(it.dsn)
    columns = ", ".join(COLUMNS)
    pieces = []
    for offset in range(0, rows, batch):
        out = io.BytesIO()
        await connection.copy_from_query(
            f"SELECT {columns} FROM log_entries LIMIT {batch} OFFSET {offset}",
            output=out,
            format="binary",
        )
        pieces.append(out.getvalue())
    await connection.close()
    return pieces


async def ceiling(it, pieces):
    """COPY *pieces* into the table; give rows a second, and Postgres' µs."""
    connection = await asyncpg.connect(it.dsn)
    await connection.execute("TRUNCATE log_entries, ledger, seen")
    await connection.execute("CHECKPOINT")
    start = time.perf_counter()
    before = cpu(it.postmaster)
    for part in pieces:
        await connection.copy_to_table(
            TABLE["postgres"], source=io.BytesIO(part), columns=COLUMNS, format="binary"
        )
    seconds = time.perf_counter() - start
    used = cpu(it.postmaster) - before
    count = await connection.fetchval("SELECT count(*) FROM log_entries")
    await connection.close()
    return count / seconds, used / count * 1e6


def prepared(url, kind, size, records):
    """Give requests of one kind with *size* records each, so many in all, each a time later."""
    _, media, encode, _ = KINDS[kind]
    headers = {"Content-Encoding": "gzip"} if kind.endswith("gzip") else {}
    start = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=records / 1_000)
    events = bodies.events(records, start=start)
    requests = []
    while found := list(itertools.islice(events, size)):
        body = gzip.compress(encode(found), 6) if headers else encode(found)
        requests.append(load.request(url, media, body, headers))
    return requests


async def measure(it, kind, size):
    """Send bodies of one kind and size; give a line of the table without the ratios."""
    address = KINDS[kind][0]
    connection = await asyncpg.connect(it.dsn)
    await connection.execute("TRUNCATE log_entries, ledger, seen")
    await connection.execute("CHECKPOINT")
    records = RECORDS[size]
    url = getattr(it, address) + PATHS[address]
    requests = prepared(url, kind, size, records)
    me = psutil.Process()
    watched = (it.process, it.postmaster, me)
    before = [cpu(p) if p is not me else sum(p.cpu_times()[:2]) for p in watched]
    seconds, latencies = await load.run(url, requests, records // size, CONNECTIONS)
    after = [cpu(p) if p is not me else sum(p.cpu_times()[:2]) for p in watched]
    stored = await connection.fetchval("SELECT count(*) FROM log_entries")
    await connection.close()
    assert stored == records, f"{kind}: sent {records}, stored {stored}"
    used = [(b - a) / records * 1e6 for a, b in zip(before, after, strict=True)]
    return {
        "kind": kind,
        "size": size,
        "rate": records / seconds,
        "p50": latencies[len(latencies) // 2] * 1e3,
        "p99": latencies[int(len(latencies) * 0.99)] * 1e3,
        "used": used,
        "memory": max(p.memory_info().rss for p in (it.process, *it.process.children())) / 1e6,
    }


async def least(it, stored):
    """Give the µs that a record of each kind takes in any case; Postgres takes *stored*."""
    needed = {}
    for kind in parts.READERS:
        encode = KINDS[kind][2]
        found = list(bodies.events(20_000))
        encoded = [encode(found[i : i + 100]) for i in range(0, len(found), 100)]
        needed[kind], rows = parts.reading(kind, encoded)
    copied = await parts.copying(it.dsn, rows)
    for kind, read in needed.items():
        print(f"{kind:24} at least {read:5.1f} to read, {copied:.1f} + {stored:.1f} to copy, in µs")
    return {kind: read + copied + stored for kind, read in needed.items()}


async def run(it):
    """Print the table. COPY is measured before and after each line: machines have moods."""
    await measure(it, "OTLP protobuf", 1_000)
    pieces = await taken(it)
    ceilings, lines = [await ceiling(it, pieces)], []
    for kind, (_, _, _, sizes) in KINDS.items():
        for size in sizes:
            lines.append(await measure(it, kind, size))
            ceilings.append(await ceiling(it, pieces))
    copied, stored = (statistics.median(found) for found in zip(*ceilings, strict=True))
    needed = await least(it, stored)
    print(HEADER)
    print(f"{'bare binary COPY':29}{copied:8,.0f}{1:9.2f}")
    for line, *around in zip(lines, ceilings, ceilings[1:], strict=False):
        client = line["used"][2]
        busy = line["rate"] * (needed[line["kind"].removesuffix(", gzip")] + client) / 1e6
        name = f"{line['kind']}, {line['size']}"
        print(
            f"{name:29}{line['rate']:8,.0f}"
            f"{line['rate'] / statistics.mean(rate for rate, _ in around):9.2f}"
            f"{busy / psutil.cpu_count():8.2f}{line['p50']:8.1f}{line['p99']:8.1f}"
            f"{line['used'][0]:18.1f}{line['used'][1]:10.1f}{client:8.1f}"
            f"{line['memory']:8.0f}"
        )


def main(*args):
    """Run it in a loop of its own."""
    asyncio.run(run(*args))
