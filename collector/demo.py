"""The command ``demo``: sends a made-up pixsim's events to a collector, at a steady rate."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import random
import time
from typing import TYPE_CHECKING

import aiohttp

from collector.demo_delivery import ANSWER_TIMEOUT, Delivery, tell
from collector.demo_events import Story
from collector.demo_senders import posts
from collector.terminal.client import add_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collector.demo_events import Event, Job

TICK = 0.1  # seconds between two rounds of requests
USER_AGENT = "pixsim-collector-demo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command, and what runs it."""
    parser.add_argument(
        "--rate",
        type=_at_least(1),
        default=50,
        metavar="N",
        help="records a second (default: %(default)s)",
    )
    parser.add_argument(
        "--count",
        type=_at_least(0),
        default=500,
        metavar="N",
        help="records in all, 0 to go on until Ctrl-C (default: %(default)s)",
    )
    parser.add_argument(
        "--url",
        default="http://127.0.0.1:8001",
        help="the collector's native receiver and query API (default: %(default)s)",
    )
    parser.add_argument(
        "--otlp-url",
        metavar="URL",
        default="http://127.0.0.1:4318",
        help="the collector's OTLP receiver (default: %(default)s)",
    )
    add_key(parser)
    parser.add_argument(
        "--seed", type=int, metavar="N", help="tell the same story again (default: a new story)"
    )
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> None:
    """
    Send, tell of it on stderr once a second, and say at the end where to look.

    Raises:
        Failed: the collector refuses what is sent, isn't there, or is away for too long.
    """
    story = Story(random.Random(arguments.seed), rate=arguments.rate)  # noqa: S311  a story, not a secret
    urls = (arguments.url.rstrip("/"), arguments.otlp_url.rstrip("/"))
    delivery = Delivery(urls)
    events = itertools.islice(story.events(), arguments.count or None)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_send(events, delivery, arguments.rate, arguments.key))
    tell(delivery.told())
    for line in where_to_look(story.jobs, urls[0]):
        print(line)  # noqa: T201


def where_to_look(jobs: list[Job], url: str) -> Iterator[str]:
    """Give lines with commands that show what was sent, of the job with most to see."""
    if done := [job for job in jobs if job.done]:
        job = max(done, key=lambda job: job.attempts)
        end = "failed" if job.failed else "succeeded"
        yield f"job {job.job_id} {end} at attempt {job.attempts}; its way through all services:"
        yield f"  {url}/?view=job&id={job.job_id}&expand=trace"
        yield f"  curl '{url}/api/v1/logs/trace/job/{job.job_id}?expand=trace'"
    yield "the newest errors:"
    yield f"  curl '{url}/api/v1/logs/query?level=error&limit=5'"


async def _send(events: Iterator[Event], delivery: Delivery, rate: int, key: str) -> None:
    start = told = time.monotonic()
    since_ns, taken = time.time_ns(), 0
    headers = {"User-Agent": USER_AGENT} | ({"Authorization": f"Bearer {key}"} if key else {})
    async with aiohttp.ClientSession(timeout=ANSWER_TIMEOUT, headers=headers) as session:
        while True:
            # Nothing happens while the collector is away, or all of it would come at once.
            due = int((time.monotonic() - start - delivery.waited) * rate) + 1 - taken
            batch = list(itertools.islice(events, due))
            now_ns = time.time_ns()
            for post in posts(batch, since_ns, now_ns):
                await delivery.deliver(session, post)
            since_ns = now_ns
            taken += len(batch)
            if len(batch) < due:
                return
            if time.monotonic() - told >= 1:
                told = time.monotonic()
                tell(delivery.told())
            await asyncio.sleep(TICK)


def _at_least(lowest: int) -> Callable[[str], int]:
    """Give the type of an argument that is a whole number from *lowest*."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < lowest:
            raise argparse.ArgumentTypeError(f"expected a whole number from {lowest}, got {text!r}")
        return int(text)

    return parse
