"""
Whether what a record costs, and how long its sender waits, stays the same while a table grows.

``python -m tests.bench.drift [RECORDS] [SHARE]`` measures what can be stored by OTLP in protobuf,
and then sends that many records at that share of it, whether or not others are answered. There is
a line for each tenth of them.
"""

from __future__ import annotations

import asyncio
import itertools
import struct
import sys
import time

import asyncpg

from tests.bench import bodies, collector, ingest, load, overload

SIZE = 100  # records a body
BODIES = 200  # that are made; all others are these with other times and ids
CONNECTIONS = 8  # of the run that measures what can be stored
CAPACITY = 200_000  # records of that run
MEDIA = "application/x-protobuf"
TIME = struct.Struct("<Q")


class Bodies:
    """Bodies without end, each a moment later than the one before, with ids of its own."""

    def __init__(self, step):
        events = list(bodies.events(SIZE * BODIES, step=step))
        self._taken = itertools.count()
        self._period = round(SIZE * BODIES * step * 1e9)  # ns of all that are made
        self._made = []
        for start in range(0, len(events), SIZE):
            some = events[start : start + SIZE]
            body = bodies.otlp(some)
            times = [place for event in some for place in _times(body, event)]
            ids = [body.index(event["request_id"].encode()) for event in some]
            self._made.append((body, times, ids))

    def __next__(self):
        number = next(self._taken)
        turn, place = divmod(number, BODIES)
        body, times, ids = self._made[place]
        changed = bytearray(body)
        for offset in times:
            (found,) = TIME.unpack_from(changed, offset)
            TIME.pack_into(changed, offset, found + turn * self._period)
        for offset in ids:
            changed[offset : offset + 8] = b"%08x" % turn
        return bytes(changed)

    def __iter__(self):
        return self


def _times(body, event):
    """Give the offsets of the times of *event* in *body*."""
    when = TIME.pack(bodies.nanoseconds(event))
    first = body.index(when)
    return first, body.index(when, first + 1)


async def run(it, records, share):
    """Measure, and print a line for each tenth."""
    url = it.otlp + ingest.PATHS["otlp"]
    requests = (load.request(url, MEDIA, body) for body in Bodies(step=1 / 20_000))
    await load.run(url, list(itertools.islice(requests, BODIES)), BODIES, CONNECTIONS)
    some = list(itertools.islice(requests, CAPACITY // SIZE))
    seconds, _ = await load.run(url, some, len(some), CONNECTIONS)
    most = CAPACITY / seconds
    rate = most * share
    print(f"{most:,.0f} logs/s are stored at most; now {rate:,.0f} are sent a second")
    print(f"{'records':>12}{'logs/s':>8}{'p50 ms':>8}{'p99 ms':>8}{'most':>8}", end="")
    print(f"{'µs/log collector':>18}{'Postgres':>10}{'MB':>6}{'bytes':>7}{'refused':>9}")
    connection = await asyncpg.connect(it.dsn)
    sent = BODIES * SIZE + CAPACITY
    for _ in range(10):
        before = ingest.cpu(it.process), ingest.cpu(it.postmaster)
        start = time.perf_counter()
        answers, _ = await overload.flood(url, requests, rate / SIZE, records / 10 / rate)
        seconds = time.perf_counter() - start
        after = ingest.cpu(it.process), ingest.cpu(it.postmaster)
        assert answers.keys() <= {200, 503}, {each: len(some) for each, some in answers.items()}
        latencies = sorted(answers[200])
        number = len(latencies) * SIZE
        refused = len(answers[503]) / sum(map(len, answers.values()))
        sent += number
        used = [(b - a) / number * 1e6 for a, b in zip(before, after, strict=True)]
        memory = max(p.memory_info().rss / 1e6 for p in (it.process, *it.process.children()))
        size = await connection.fetchval("SELECT pg_database_size(current_database())")
        print(
            f"{sent:12,}{number / seconds:8,.0f}{latencies[len(latencies) // 2] * 1e3:8.1f}"
            f"{latencies[int(len(latencies) * 0.99)] * 1e3:8.1f}{latencies[-1] * 1e3:8.1f}"
            f"{used[0]:18.1f}{used[1]:10.1f}{memory:6.0f}{size / sent:7.0f}{refused:9.2%}",
            flush=True,
        )
    stored = await connection.fetchval("SELECT count(*) FROM log_entries")
    await connection.close()
    assert stored == sent, f"sent {sent}, stored {stored}"


def main(records="10000000", share="0.8"):
    """Run it against a collector of its own."""
    with collector.running(workers="1") as it:
        asyncio.run(run(it, int(records), float(share)))


if __name__ == "__main__":
    main(*sys.argv[1:])
