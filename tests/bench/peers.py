"""
How fast others acknowledge the same records to the same client, and what is left of them then.

``python -m tests.bench.peers [RECORDS]``. PIXSIM_TEST_OTELCOL and PIXSIM_TEST_VICTORIALOGS name the programs;
one that isn't named is left out. So many RECORDS (200,000) in bodies of one size are sent twice, in
turn to all of them, and the better time counts: whatever else the machine does makes it longer.

At last each is sent 10,000 records more and killed (-9), Postgres too, at the last acknowledgement;
what it has when it is started again is counted.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil
import psycopg

from tests.bench import collector, ingest, load
from tests.ports import free_port
from tests.stoppable import Stoppable
from tests.waiting import until

KIND, SIZES, ROUNDS, CONNECTIONS = "OTLP protobuf", (100, 1_000), 2, 8
RECORDS, KILLED_AT = 200_000, 10_000
OTELCOL = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
exporters: {{nop: , file: {{path: "{folder}/logs.json"}}}}
service:
  telemetry: {{logs: {{level: error}}, metrics: {{level: none}}}}
  pipelines: {{logs: {{receivers: [otlp], exporters: [{exporter}]}}}}
"""


class Program:
    """A program that takes OTLP at ``url``, with its data in a folder of its own."""

    def __init__(self, command, port, path, count):
        self._command, self._port, self._count = command, port, count
        self.url = f"http://127.0.0.1:{port}{path}"
        self._start()

    def _start(self):
        self._started = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.processes = [psutil.Process(self._started.pid)]
        until(self._listens)

    def _listens(self):
        assert self._started.poll() is None, self._command
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port)):
            return True
        return False

    def kill(self):
        """End it at once."""
        self._started.kill()
        self._started.wait()

    def left(self):
        """Kill it, and start it again; give how many records there are."""
        self.kill()
        self._start()
        return self._count()


def otelcol(program, exporter, folder):
    """Start an OpenTelemetry Collector that writes to a file, or to nowhere."""
    port, config = free_port(), folder / "config.yaml"
    config.write_text(OTELCOL.format(port=port, folder=folder, exporter=exporter))
    return Program([program, "--config", config], port, "/v1/logs", lambda: 0)


def otelcol_file(program, folder):
    """Start one that writes to a file, which is read before a new start truncates it."""
    its = otelcol(program, "file", folder)

    def left():
        its.kill()
        return (folder / "logs.json").read_bytes().count(b'"timeUnixNano"')

    its.left = left
    return its


def victorialogs(program, folder):
    """Start a VictoriaLogs, at its defaults."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/select/logsql/query?"

    def count():
        query = urllib.parse.urlencode({"query": "* | stats count() n"})
        with urllib.request.urlopen(url + query) as answer:
            return int(msgspec.json.decode(answer.read())["n"])

    arguments = [f"-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={folder}/data"]
    return Program([program, *arguments], port, "/insert/opentelemetry/v1/logs", count)


class Ours:
    """The collector and its Postgres, as `Program`."""

    def __init__(self, it):
        self._it = it
        self.url, self.processes = it.otlp + ingest.PATHS["otlp"], [it.process, it.postmaster]

    def count(self):
        """Give how many records there are."""
        with psycopg.connect(self._it.dsn) as connection:
            return connection.execute("SELECT count(*) FROM log_entries").fetchone()[0]

    def left(self):
        """Kill both; give how many records there are when Postgres is started again."""
        for each in (*self._it.process.children(recursive=True), self._it.process):
            each.send_signal(signal.SIGKILL)
        server = Stoppable(self._it.dsn, Path(self._it.postmaster.cwd()))
        server.kill()
        try:
            server.start()
            return self.count()
        finally:
            server.kill()


class Peer(msgspec.Struct):
    """Who is measured, how it is started in a folder, and what it found."""

    name: str
    keeps: str  # where what it has acknowledged is
    make: Any  # a Program, from a folder
    rates: dict = {}  # by the size of bodies: records a second, its µs a record, the client's


def others():
    """Give those whose programs are named."""
    if program := os.environ.get("PIXSIM_TEST_OTELCOL"):
        yield Peer(
            "OpenTelemetry Collector, file",
            "the page cache, but for up to 4 KiB and a second in its memory; there is no fsync",
            lambda folder: otelcol_file(program, folder),
        )
        yield Peer(
            "OpenTelemetry Collector, nowhere",
            "nothing",
            lambda folder: otelcol(program, "nop", folder),
        )
    if other := os.environ.get("PIXSIM_TEST_VICTORIALOGS"):
        yield Peer(
            "VictoriaLogs",
            "its memory; after 5 to 11 seconds on disk, with fsync",
            lambda folder: victorialogs(other, folder),
        )


@contextmanager
def running(peer):
    """Run *peer* inside the block."""
    with tempfile.TemporaryDirectory(prefix="pixsim-peers-") as folder:
        program = peer.make(Path(folder))
        try:
            yield program
        finally:
            program.kill()


async def measure(peer, program, size, records):
    """Send *records* in bodies of one size; keep what that took if it is the best."""
    requests = ingest.prepared(program.url, KIND, size, records)

    def used():
        client = sum(psutil.Process().cpu_times()[:2])
        return sum(map(ingest.cpu, program.processes)), client

    before = used()
    seconds, _ = await load.run(program.url, requests, len(requests), CONNECTIONS)
    each = [(b - a) / records * 1e6 for a, b in zip(before, used(), strict=True)]
    found = (records / seconds, *each)
    peer.rates[size] = max(peer.rates.get(size, found), found)


async def survived(program, before=0):
    """Kill *program* when it has acknowledged some records; give how many of them are there."""
    requests = ingest.prepared(program.url, KIND, 100, KILLED_AT)
    await load.run(program.url, requests, len(requests), CONNECTIONS)
    return program.left() - before


async def run(it, records):
    """Print the table."""
    us, program = Peer("pixsim-collector", "the disk: committed, with fsync", Ours), Ours(it)
    everybody = [us, *others()]
    for _ in range(ROUNDS):
        for peer in everybody:
            if peer is us:
                for size in SIZES:
                    await measure(us, program, size, records)
                continue
            with running(peer) as its:
                for size in SIZES:
                    await measure(peer, its, size, records)
    copied, _ = await ingest.ceiling(it, await ingest.taken(it))
    print(f"load {os.getloadavg()[0]:.1f}; bare COPY {copied:,.0f} logs/s")
    print(f"{'':34}{'a body':>7}{'logs/s':>10}{'of ours':>9}{'µs/log its':>12}{'client':>8}")
    for peer in everybody:
        for size in SIZES:
            rate, its, client = peer.rates[size]
            print(
                f"{peer.name:34}{size:7,}{rate:10,.0f}{rate / us.rates[size][0]:9.2f}"
                f"{its:12.1f}{client:8.1f}"
            )
    for peer in (*everybody[1:], us):
        if peer is us:
            left = await survived(program, program.count())
        else:
            with running(peer) as its:
                left = await survived(its)
        print(f"{peer.name}: what is acknowledged is in {peer.keeps}")
        print(f"    of {KILLED_AT:,} that were, a kill -9 has left {left:,}")


if __name__ == "__main__":
    with collector.running(settings=", max_wait: 30") as it:
        asyncio.run(run(it, int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS))
