"""
How soon records reach who follows them live, after their sender has its answer.

``python -m tests.bench.tail [CLIENTS]`` follows with ten searches, each of which wants a tenth of
all records or a hundredth, while 1,000 records a second are sent.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from urllib.parse import quote, urlsplit

import aiohttp

from tests.bench import collector

CLIENTS = 500
RATE, BATCH, SECONDS = 1_000, 20, 10  # records a second, and of a request
SEARCHES = 10
NUMBER = re.compile(rb'"msg":"(\d+)"')


class Client(asyncio.Protocol):
    """Follows a search, and notes when each record came."""

    def __init__(self, path, came):
        self.path = path
        self.came = came
        self.live = asyncio.get_running_loop().create_future()
        self.rest = b""
        self.records = 0

    def connection_made(self, transport):
        self.transport = transport
        transport.write(f"GET {self.path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())

    def data_received(self, data):
        now = time.perf_counter()
        body = self.rest + data
        cut = body.rfind(b"\n") + 1
        for number in NUMBER.findall(body[:cut]):
            self.came.append((int(number), now))
            self.records += 1
        if not self.live.done() and b"caught_up" in body:
            self.live.set_result(None)
        self.rest = body[cut:]


async def send(session, url, answered):
    """Send at the rate, and note when each record was acknowledged."""
    sending = set()

    async def post(first):
        logs = [
            {
                "level": "ERROR" if n // SEARCHES % 10 == 0 else "INFO",
                "service": f"s{n % SEARCHES}",
                "msg": str(n),
                "job_id": n // 50,
                "stage": "provider:submit",
                "extra": {"queue": "default", "text": "x" * 200},
            }
            for n in range(first, first + BATCH)
        ]
        async with session.post(f"{url}/api/v1/logs/ingest/batch", json={"logs": logs}) as answer:
            assert answer.status == 200, await answer.text()
            await answer.read()
        answered.update(dict.fromkeys(range(first, first + BATCH), time.perf_counter()))

    start = time.perf_counter()
    for first in range(0, RATE * SECONDS, BATCH):
        await asyncio.sleep(max(0.0, start + first / RATE - time.perf_counter()))
        task = asyncio.create_task(post(first))
        sending.add(task)
        task.add_done_callback(sending.discard)
    await asyncio.gather(*sending)


async def follow(it, clients, search, each):
    """Print how long records took to *clients* whose searches want a part of them, one in *each*."""
    parts = urlsplit(it.native)
    loop = asyncio.get_running_loop()
    came, answered, made = [], {}, []
    for n in range(clients):
        path = f"/api/v1/logs/tail?q={quote(search.format(n % SEARCHES))}"
        made.append(
            (
                await loop.create_connection(
                    lambda path=path: Client(path, came), parts.hostname, parts.port
                )
            )[1]
        )
    start = time.perf_counter()
    await asyncio.gather(*(each.live for each in made))
    joined = time.perf_counter() - start
    cpu = it.process.cpu_times()
    async with aiohttp.ClientSession() as session:
        await send(session, it.native, answered)
    expected = RATE * SECONDS // each
    async with asyncio.timeout(30):
        while min(client.records for client in made) < expected:  # noqa: ASYNC110  it is a bench
            await asyncio.sleep(0.1)
    for client in made:
        client.transport.abort()
    assert {expected} == {client.records for client in made}
    took = sorted(max(0.0, moment - answered[number]) for number, moment in came)
    p50, p99 = (took[int(len(took) * share)] * 1_000 for share in (0.5, 0.99))
    used = it.process.cpu_times()
    busy = (used.user + used.system - cpu.user - cpu.system) / SECONDS
    print(
        f"{clients} clients, {search.format('N'):28} {len(came) / SECONDS:>8,.0f} events/s"
        f"  p50 {p50:4.0f} ms  p99 {p99:4.0f} ms  max {took[-1] * 1_000:4.0f} ms"
        f"  joined in {joined:.1f} s, {busy:.0%} of a core"
    )


async def main(clients):
    """Measure the cases."""
    with collector.running(workers="1") as it:
        await follow(it, clients, "service:s{}", 10)
        await follow(it, clients, "service:s{} level>=error", 100)
        await follow(it, 1, "service:s{}", 10)


asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else CLIENTS))
