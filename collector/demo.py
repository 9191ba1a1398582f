"""The command ``demo``: sends a made-up pixsim's events to a collector, at a steady rate."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import random
import sys
import time
from typing import TYPE_CHECKING

import aiohttp
import msgspec

from collector.demo_events import Story
from collector.demo_senders import NATIVE_PATH, OTLP_PATH, Post, posts
from collector.terminal.client import add_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collector.demo_events import Event, Job

TICK = 0.1  # seconds between two rounds of requests
ANSWER_TIMEOUT = aiohttp.ClientTimeout(total=10)
TRIES = 10  # for a collector that says 503
BUSY_WAIT = 1.0  # seconds between them
USER_AGENT = "pixsim-collector-demo"


class Failed(Exception):
    """The demo cannot go on, for a reason that its user can mend."""


class Sent(msgspec.Struct):
    """What was sent so far, and how it went."""

    records: int = 0
    requests: int = 0
    seconds: float = 0.0  # that answers took, together

    def told(self) -> str:
        """Give the line on progress."""
        answer = 1_000 * self.seconds / self.requests if self.requests else 0
        return f"sent {self.records} records in {self.requests} requests, {answer:.1f} ms an answer"


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
        Failed: the collector is away, or refuses what is sent.
    """
    story = Story(random.Random(arguments.seed), rate=arguments.rate)  # noqa: S311  a story, not a secret
    sent = Sent()
    urls = (arguments.url.rstrip("/"), arguments.otlp_url.rstrip("/"))
    events = itertools.islice(story.events(), arguments.count or None)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_send(events, sent, urls, arguments.rate, arguments.key))
    _tell(sent.told())
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


async def _send(
    events: Iterator[Event], sent: Sent, urls: tuple[str, str], rate: int, key: str
) -> None:
    start = told = time.monotonic()
    since_ns, taken = time.time_ns(), 0
    headers = {"User-Agent": USER_AGENT} | ({"Authorization": f"Bearer {key}"} if key else {})
    async with aiohttp.ClientSession(timeout=ANSWER_TIMEOUT, headers=headers) as session:
        while True:
            due = int((time.monotonic() - start) * rate) + 1 - taken
            batch = list(itertools.islice(events, due))
            now_ns = time.time_ns()
            for post in posts(batch, since_ns, now_ns):
                await _post(session, post, urls, sent)
            since_ns = now_ns
            taken += len(batch)
            if len(batch) < due:
                return
            if time.monotonic() - told >= 1:
                told += 1
                _tell(sent.told())
            await asyncio.sleep(TICK)


async def _post(
    session: aiohttp.ClientSession, post: Post, urls: tuple[str, str], sent: Sent
) -> None:
    """Send *post*, again while the collector says that it may succeed later."""
    url = urls[1] + OTLP_PATH if post.otlp else urls[0] + NATIVE_PATH
    for _ in range(TRIES):
        start = time.monotonic()
        try:
            async with session.post(
                url, data=post.body, headers={"Content-Type": post.content_type}
            ) as answer:
                text = await answer.text(errors="replace")
        except aiohttp.InvalidURL as exc:
            raise Failed(f"{url}: not a URL, expected http://host:port") from exc
        except TimeoutError as exc:
            seconds = ANSWER_TIMEOUT.total
            raise Failed(f"{url}: no answer within {seconds} seconds") from exc
        except aiohttp.ClientConnectorError as exc:
            raise Failed(f"{url}: cannot connect; is the collector running?") from exc
        except aiohttp.ClientError as exc:
            raise Failed(f"{url}: {exc}") from exc
        sent.requests += 1
        sent.seconds += time.monotonic() - start
        if answer.status == 200:
            sent.records += post.records
            return
        if answer.status != 503:
            break
        await asyncio.sleep(BUSY_WAIT)
    raise Failed(f"{url}: answers {answer.status}: {text[:200].strip()}")


def _tell(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201


def _at_least(lowest: int) -> Callable[[str], int]:
    """Give the type of an argument that is a whole number from *lowest*."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < lowest:
            raise argparse.ArgumentTypeError(f"expected a whole number from {lowest}, got {text!r}")
        return int(text)

    return parse
