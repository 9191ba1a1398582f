"""
What becomes of requests when several times as many come as can be stored.

Run ``python -m tests.bench overload``. Requests come at their times whether or not others are
answered, as those of many senders do; latencies count from when a request should have left.
"""

from __future__ import annotations

import asyncio
import collections
import itertools
import time
from urllib.parse import urlsplit

from tests.bench import bodies, collector, load

SIZE = 100  # records a body
WARM = 20_000  # records
CAPACITY = 150_000  # records of the run that measures what can be stored
TIMES = 4  # as many requests as that
SECONDS = 20.0
MOST_CONNECTIONS = 4_000
WATCHED = 0.1  # seconds between two looks at the memory


class Connection(asyncio.Protocol):
    """Sends one request at a time, and goes back to the *idle* ones with its answer."""

    def __init__(self, idle):
        self.idle = idle
        self.buffer = b""
        self.answered = None

    def connection_made(self, transport):
        self.transport = transport

    def send(self, request):
        self.answered = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.answered

    def data_received(self, data):
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(rest) >= length and not self.answered.done():
            self.buffer = b""
            if b"connection: close" not in head.lower():
                self.idle.append(self)
            self.answered.set_result(int(head.split()[1]))

    def connection_lost(self, exc):
        if self in self.idle:
            self.idle.remove(self)
        if self.answered is not None and not self.answered.done():
            self.answered.set_result(0)


async def flood(url, requests, rate, seconds):
    """Send *requests* at a *rate* for so many *seconds*; give the latencies by status."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    idle = []
    answers = collections.defaultdict(list)
    open_now = 0

    async def one(request, due):
        nonlocal open_now
        if idle:
            connection = idle.pop()
        elif open_now < MOST_CONNECTIONS:
            open_now += 1
            _, connection = await loop.create_connection(
                lambda: Connection(idle), parts.hostname, parts.port
            )
        else:
            answers["not sent"].append(0.0)
            return
        status = await connection.send(request)
        answers[status].append(time.perf_counter() - due)

    tasks = set()
    start = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = start + number / rate
        if (early := due - time.perf_counter()) > 0.001:
            await asyncio.sleep(early)
        task = asyncio.create_task(one(next(requests), due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        if number % 20 == 0:
            await asyncio.sleep(0)
    spent = time.perf_counter() - start
    await asyncio.gather(*tasks)
    return answers, spent


async def watch(processes, peak):
    """Keep the most memory that each of *processes* has had, in MB."""
    while True:
        for one in processes:
            peak[one.pid] = max(peak.get(one.pid, 0), one.memory_info().rss / 1e6)
        await asyncio.sleep(WATCHED)


async def run(url, process):
    """Measure what can be stored, then send `TIMES` as much."""
    found = list(bodies.events(20_000))
    encoded = [bodies.native(found[i : i + SIZE]) for i in range(0, len(found), SIZE)]
    requests = [load.request(url, "application/json", body) for body in encoded]
    await load.run(url, requests, WARM // SIZE, 8)
    seconds, latencies = await load.run(url, requests, CAPACITY // SIZE, 16)
    rate = CAPACITY / SIZE / seconds
    processes = [process, *process.children()]  # to look for more takes time from the senders
    before = max(one.memory_info().rss / 1e6 for one in processes)
    print(
        f"stored at most: {rate * SIZE:,.0f} logs/s, p99 {latencies[-len(latencies) // 100]:.2f} s"
    )
    peak = {}
    watching = asyncio.create_task(watch(processes, peak))
    answers, spent = await flood(url, itertools.cycle(requests), TIMES * rate, SECONDS)
    watching.cancel()
    number = sum(map(len, answers.values()))
    print(f"sent: {number / spent * SIZE:,.0f} logs/s for {spent:.0f} s")
    for status, latencies in sorted(answers.items(), key=str):
        latencies.sort()
        p50, p99 = latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]
        print(
            f"  {status}: {len(latencies) / number:6.1%}, {len(latencies) * SIZE / spent:,.0f}"
            f" logs/s, p50 {p50:.2f} s, p99 {p99:.2f} s, at most {latencies[-1]:.2f} s"
        )
    print(f"memory of the largest process: {before:.0f} MB before, {max(peak.values()):.0f} MB")


def main(workers="0"):
    """Run it against a collector of its own."""
    with collector.running(workers=workers) as it:
        asyncio.run(run(f"{it.native}/api/v1/logs/ingest/batch", it.process))
