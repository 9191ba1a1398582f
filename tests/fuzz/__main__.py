"""
Wild input to a collector for so many minutes: ``python -m tests.fuzz --minutes 30``.

It fails where an answer is 500, none comes, the collector grows or ends, or something that it
acknowledged isn't stored. With the seed that it prints it sends the same again.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import psutil
import requests

from tests import postgres
from tests.e2e.conftest import starting
from tests.fuzz.api import Asker
from tests.fuzz.findings import Findings
from tests.fuzz.senders import Senders
from tests.waiting import until

ROUND = 30.0  # seconds for each kind of input, in turn
WARM = 5  # a part of the time, after which the collector is as large as it gets,
PATIENCE = 600  # seconds, until the decoders have ended too
GROWTH = 64e6  # but for so many bytes
FOLDER = Path("build/fuzz")


def memory(collector):
    """The bytes that all processes of *collector* have."""
    process = psutil.Process(collector.process.pid)
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))


def grown(sizes):
    """The bytes by which the collector is larger at the end than when it was warm."""
    warm = len(sizes) // WARM + 1
    return min(sizes[-3:]) - max(sizes[:warm])


def running(stack, folder):
    """A collector on a Postgres of its own, and the DSN of that."""
    server = stack.enter_context(postgres.server())
    stack.enter_context(postgres.template(server))
    dsn = stack.enter_context(postgres.clone(server))
    return stack.enter_context(starting(dsn, folder))(), dsn


def told(kind, statuses):
    """Print how often each status was answered."""
    by = Counter()
    for (_, status), number in statuses.items():
        by[status] += number
    print(f"{kind}: {by.total():,} requests: {dict(sorted(by.items(), key=str))}")


def fuzz(seconds, seed, findings, folder):
    """Send and ask by turns, while the decoders are tried beside."""
    decoders = [sys.executable, "-m", "tests.fuzz.decoders", "--findings", FOLDER]
    decoders += ["--seconds", str(seconds), "--seed", str(seed % 2**31)]
    log = FOLDER / "decoders.log"
    with ExitStack() as stack:
        output = stack.enter_context(log.open("w"))
        collector, dsn = running(stack, folder)
        beside = subprocess.Popen(decoders, stdout=output, stderr=output)
        stack.callback(beside.kill)
        parts = [Senders(collector, findings), Asker(collector, findings)]
        requests.get(f"{collector.native}/api/v1/logs/export?format=parquet", timeout=60)
        sizes = [memory(collector)]  # with the library of Parquet, which it loads when asked
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for part in parts:
                part.round(min(ROUND, left / len(parts)), seed)
            seed += 1
            sizes.append(memory(collector))
            print(f"{left:.0f} s left, the collector has {sizes[-1] / 1e6:.0f} MB", flush=True)
        if beside.wait(PATIENCE) != 0:
            findings.add("the decoders failed", log.read_bytes()[-20_000:])
        print(*log.read_text().splitlines()[-8:], sep="\n")
        until(lambda: collector.counters()["pixsim_spool_records", frozenset()] == 0)
        senders, asker = parts
        told("wild bodies", senders.statuses)
        print(senders.told(dsn))
        told("API", asker.statuses)
        if (more := grown(sizes)) > GROWTH:
            findings.add(f"it has grown by {more / 1e6:.0f} MB")
        print(f"MB: {', '.join(f'{size / 1e6:.0f}' for size in sizes)}; grown by {more / 1e6:.0f}")
        if collector.process.poll() is not None or "Traceback" in collector.output:
            findings.add("the collector has ended, or met a bug", collector.output.encode())
        for line in collector.lines:
            if "request_failed" in line:
                findings.add("request_failed", line.encode())


def main():
    """Do it, and fail where anything was found."""
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=random.randrange(2**31))
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    findings = Findings(FOLDER)
    print(f"seed {arguments.seed}", flush=True)
    folder = postgres.made_folder("pixsim-fuzz-")
    try:
        fuzz(arguments.minutes * 60, arguments.seed, findings, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"found: {dict(findings.kinds) or 'nothing'}")
    sys.exit(bool(findings.kinds))


if __name__ == "__main__":
    main()
