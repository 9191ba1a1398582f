"""
What sending on costs who takes in, and how fast what waits is caught up with.

``python -m tests.bench.forwarding [RECORDS]`` sends by OTLP to a sink in a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time

import aiohttp
import asyncpg

from tests.bench import bodies, collector, load
from tests.bench.ingest import CONNECTIONS, ceiling, cpu, taken
from tests.ports import free_port

RECORDS = 200_000
SIZE = 100  # records a body
ROUNDS = 2  # with and without, in turns
LAST = 5_000  # records, of a batch
# Without waiting for more; a batch is as large as the forwarder may make it.
DESTINATION = """
  otlphttp:
    endpoint: http://127.0.0.1:{port}
    start_at: beginning
"""
SENT = "SELECT coalesce((SELECT sent + rejected + dead FROM destinations), 0)"
SINK = """
import asyncio, sys
OK = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/x-protobuf\\r\\nContent-Length: 0\\r\\n\\r\\n"
class Sink(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.got, self.head, self.left = transport, b"", True, 0
    def data_received(self, data):
        while data:
            if self.head:
                self.got += data
                end = self.got.find(b"\\r\\n\\r\\n")
                if end < 0:
                    return
                head, data, self.got = self.got[:end].lower(), self.got[end + 4:], b""
                self.left = int(head.split(b"content-length:")[1].split(b"\\r\\n")[0])
                self.head = False
            part = min(len(data), self.left)
            data, self.left = data[part:], self.left - part
            if not self.left:
                self.head = True
                self.transport.write(OK)
async def main():
    await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", int(sys.argv[1]))
    await asyncio.Event().wait()
asyncio.run(main())
"""


@contextlib.contextmanager
def sink():
    """The port of a process that takes all and answers at once."""
    port = free_port()
    with subprocess.Popen([sys.executable, "-c", SINK, str(port)]) as process:
        try:
            yield port
        finally:
            process.kill()


def requests(url, records, seed):
    """Give requests whose records are all different ones."""
    for number in range(records // SIZE):
        found = list(bodies.events(SIZE, seed=seed + number))
        yield load.request(url, "application/x-protobuf", bodies.otlp(found))


async def sent_in(connection, start, wanted):
    """Wait until *wanted* records have been sent; give the seconds since the first one was."""
    began = None
    while (sent := await connection.fetchval(SENT)) < wanted:
        if began is None and sent > start:
            began, start = time.perf_counter(), sent
        await asyncio.sleep(0.02)
    return (wanted - start) / (time.perf_counter() - began)


async def round_of(records, seed, exporters):
    """
    Send *records*; give the rate and the CPU, and the rate of COPY.

    With *exporters*, send as many once more while the destination is paused, and give the rate at
    which these are caught up with instead.
    """
    with collector.running(workers="1", settings=", max_wait: 30", exporters=exporters) as it:
        url = f"{it.otlp}/v1/logs"
        prepared = list(requests(url, records, seed))
        await load.run(url, list(requests(url, 5_000, seed + 10**6)), 50, CONNECTIONS)
        before = cpu(it.process)
        seconds, _ = await load.run(url, prepared, len(prepared), CONNECTIONS)
        used = (cpu(it.process) - before) / records * 1e6
        if not exporters:
            return records / seconds, used, (await ceiling(it, await taken(it)))[0]
        connection = await asyncpg.connect(it.dsn)
        said = f"{it.native}/api/v1/forwarders/otlphttp"
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            while await connection.fetchval(SENT) < records:  # noqa: ASYNC110  Postgres tells nobody
                await asyncio.sleep(0.1)
            await session.post(f"{said}/pause")
            await asyncio.sleep(2)
            prepared = list(requests(url, records, seed + 2 * 10**6))
            await load.run(url, prepared, len(prepared), CONNECTIONS)
            sent = await connection.fetchval(SENT)
            stored = await connection.fetchval("SELECT count(*) FROM log_entries")
            await session.post(f"{said}/resume")
            # The last ones wait for more, up to a second.
            caught = await sent_in(connection, sent, stored - LAST)
        await connection.close()
    return records / seconds, used, caught


async def main(records):
    """Print a line a round."""
    print(f"{'':14}{'taken in/s':>12}{'of COPY':>9}{'caught up/s':>13}{'of COPY':>9}{'CPU µs':>8}")
    with sink() as port:
        for number in range(ROUNDS):
            alone, used, copied = await round_of(records, number * 10**7, "")
            print(f"{'alone':14}{alone:12,.0f}{alone / copied:9.2f}{'':22}{used:8.1f}", flush=True)
            both, used, caught = await round_of(
                records, number * 10**7 + 5 * 10**6, DESTINATION.format(port=port)
            )
            print(
                f"{'sending on':14}{both:12,.0f}{both / copied:9.2f}{caught:13,.0f}"
                f"{caught / copied:9.2f}{used:8.1f}  {1 - both / alone:.0%} less taken in,"
                f" caught up at {caught / alone:.2f} of it",
                flush=True,
            )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS))
