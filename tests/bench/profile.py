"""
Where the collector's time goes under load, ``make profile``: a flame graph, and a table.

The graph is *profile.svg*. The table gives each sample to the innermost part that it is in, and
has microseconds of CPU a record.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import re
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import bodies, collector, ingest, load

CONNECTIONS = 8
RATE = 200  # samples a second
LOOP = "collector/commands/store"  # which runs the event loop; in a stack without it we start
LEAST = 0.005  # of all samples, of a part that has a line
PART = re.compile(r"[(/]((?:collector|storage|aiohttp|asyncpg|google|msgspec)/[\w/]+)\.py:")


def profiled(format_, output, arguments):
    """Put load on a collector that is looked at; give the CPU µs a record and the rate."""
    spy = Path(sys.executable).with_name("py-spy")
    record = [spy, "record", "--subprocesses", "--full-filenames", "--rate", str(RATE)]
    record += ["--format", format_, "--output", output, "--"]
    settings = ", deduplication_window: 0"  # for the same requests are sent over and over
    with collector.running(workers=arguments.workers, settings=settings, within=record) as it:
        url, media, encode = {
            "otlp": (f"{it.otlp}/v1/logs", "application/x-protobuf", bodies.otlp),
            "native": (
                f"{it.native}/api/v1/logs/ingest/batch",
                "application/json",
                bodies.native,
            ),
        }[arguments.kind]
        found, size = list(bodies.events(20_000)), arguments.size
        requests = [
            load.request(url, media, encode(found[i : i + size]))
            for i in range(0, len(found), size)
        ]
        records, used, start = 0, ingest.cpu(it.process), time.perf_counter()
        while time.perf_counter() - start < arguments.seconds:
            asyncio.run(load.run(url, requests, len(requests), CONNECTIONS))
            records += len(found)
        seconds = time.perf_counter() - start
        return (ingest.cpu(it.process) - used) / records * 1e6, records / seconds


def table(stacks, cost):
    """Give the lines of the table, from py-spy's stacks with their samples."""
    parts = collections.Counter()
    for line in stacks.splitlines():
        stack, _, samples = line.rpartition(" ")
        if LOOP in (inner := PART.findall(stack)):
            parts["the event loop" if inner[-1] == LOOP else inner[-1]] += int(samples)
    total = sum(parts.values())
    return [
        f"{cost * n / total:7.2f}  {n / total:6.1%}  {part}"
        for part, n in parts.most_common()
        if n >= LEAST * total
    ]


def main():
    """Profile twice, for the graph and for the table."""
    parser = argparse.ArgumentParser("python -m tests.bench.profile", description=__doc__)
    parser.add_argument("--workers", default="1", metavar="N")
    parser.add_argument("--seconds", type=float, default=10, metavar="N", help="of load, twice")
    parser.add_argument("--kind", choices=("otlp", "native"), default="otlp")
    parser.add_argument("--size", type=int, default=100, metavar="RECORDS", help="of a body")
    parser.add_argument("--output", default="profile.svg", metavar="FILE")
    arguments = parser.parse_args()
    profiled("flamegraph", arguments.output, arguments)
    with tempfile.TemporaryDirectory(prefix="pixsim-profile-") as folder:
        stacks = Path(folder) / "stacks"
        cost, rate = profiled("raw", str(stacks), arguments)
        lines = table(stacks.read_text(), cost)
    print(f"{arguments.output} is the flame graph. At {rate:,.0f} records/s under the profiler:\n")
    print(f"{cost:7.2f}  µs of CPU a record, of which in")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
