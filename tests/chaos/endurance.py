"""
A long time under load with a fault every half minute, or very many senders that try once.

``python -m tests.chaos.endurance --hours 1`` sends half of what can be stored, and counts at the
end; ``--posts 100000`` sends so many single records, each once and on a connection of its own.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import time
from collections import Counter
from contextlib import contextmanager

import psutil

from tests import postgres
from tests.chaos import test_faults as faults
from tests.chaos.conftest import Stage
from tests.chaos.proxy import proxy
from tests.chaos.traffic import OneTry, Retrying, Traffic, WithKeys
from tests.stoppable import stoppable
from tests.waiting import until

EVERY = 30.0  # seconds from one fault to the next
MEASURED = 10.0  # seconds, of what can be stored
SIZE = 100  # records a request of the load
POSTERS = 16
FAULTS = [fault for fault, _ in faults.FAULTS]


class Load(Retrying):
    """As an SDK that sends much: `SIZE` records a request, at a *rate* of requests a second."""

    rate = 1.0

    def run(self):
        number, start = 0, time.monotonic()
        while not self._stop_now.is_set():
            number += 1
            self.send(number, records=SIZE)
            early = start + number / self.rate - time.monotonic()
            if early < 0:
                start -= early  # what was late is not made up for, or a fault would be a flood
            self._stop_now.wait(max(0.0, early))


class Flood(Load):
    """The same, as fast as it goes."""

    rate = float("inf")


class Poster(OneTry):
    """As pixsim's old handlers, as fast as it goes, until it has sent its *posts*."""

    posts = 0

    def run(self):
        for number in range(self.posts):
            self.send(number)


@contextmanager
def staged():
    """All that a fault may hit."""
    folder = postgres.made_folder("pixsim-endurance-")
    try:
        with stoppable() as server, proxy(server.dsn, folder) as (between, dsn):
            stage = Stage(server, between, dsn, folder)
            try:
                yield stage
            finally:
                stage.stop()
    finally:
        shutil.rmtree(folder)


def memory(stage):
    """The memory of the largest process of the collector, in MB."""
    process = psutil.Process(stage.collector.process.pid)
    return max(one.memory_info().rss for one in (process, *process.children())) / 1e6


def told(traffic, stage):
    """Print what became of what *traffic* has sent; give the exit code."""
    until(lambda: stage.collector.counters()["pixsim_spool_records", frozenset()] == 0)
    twice = traffic.settled(stage.dsn)
    stored = traffic.stored(stage.dsn)
    acknowledged = traffic.acknowledged
    missing = acknowledged - stored.keys()
    refused = sum((sender.refused for sender in traffic.senders), start=Counter())
    print(f"acknowledged {len(acknowledged):,}, missing {len(missing)}, double {len(twice)}")
    print(f"answers that were not 200 (0: none came): {dict(refused)}")
    print(f"largest process: {memory(stage):.0f} MB")
    return 1 if missing or twice else 0


def endure(seconds, seed):
    """Send half of what can be stored for so many seconds, with a fault every `EVERY`."""
    chance = random.Random(seed)
    with staged() as stage:
        with Traffic(stage.collector, (Flood,) * 4) as most:
            time.sleep(MEASURED)
        rate = len(most.acknowledged) / MEASURED
        Load.rate = rate / SIZE / 2 / 3
        print(
            f"stored at most: {rate:,.0f} records/s, of which half is sent; seed {seed}", flush=True
        )
        with Traffic(stage.collector, (Load, Load, Load, OneTry, WithKeys)) as traffic:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                fault = chance.choice(FAULTS)
                begun, before = time.monotonic(), len(traffic.acknowledged)
                fault(stage)
                traffic.go_on(1)
                back = time.monotonic() - begun
                time.sleep(max(0.0, EVERY - back))
                print(
                    f"{fault.__name__}: all served again after {back:.1f} s,"
                    f" {len(traffic.acknowledged) - before:,} acknowledged, {memory(stage):.0f} MB",
                    flush=True,
                )
        return told(traffic, stage)


def post(number):
    """Send so many records, each once and on a connection of its own."""
    Poster.posts = number // POSTERS
    with staged() as stage:
        begun = time.monotonic()
        with Traffic(stage.collector, (Poster,) * POSTERS) as traffic:
            for sender in traffic.senders:
                sender.join()
        seconds = time.monotonic() - begun
        print(f"sent {Poster.posts * POSTERS:,} in {seconds:.0f} s, {POSTERS} at a time")
        return told(traffic, stage)


def main():
    """Do what is asked for; fail if anything that was acknowledged is missing or double."""
    parser = argparse.ArgumentParser("python -m tests.chaos.endurance", description=__doc__)
    parser.add_argument("--hours", type=float, default=0.0)
    parser.add_argument("--posts", type=int, default=0)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    arguments = parser.parse_args()
    code = post(arguments.posts) if arguments.posts else 0
    if arguments.hours:
        code |= endure(arguments.hours * 3600, arguments.seed)
    sys.exit(code)


if __name__ == "__main__":
    main()
