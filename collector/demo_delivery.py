"""The demo's requests on their way: each is sent until it is taken, or refused for good."""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from typing import TYPE_CHECKING

import aiohttp

from collector.demo_senders import NATIVE_PATH, OTLP_PATH

if TYPE_CHECKING:
    from collector.demo_senders import Post

ANSWER_TIMEOUT = aiohttp.ClientTimeout(total=10)
PATIENCE = 300.0  # seconds in which a request is tried again
PAUSE, LONGEST_PAUSE = 1.0, 10.0  # seconds before the second try, and before later ones
PASSING = {408, 429, 502, 503, 504}  # after these the same may be taken later


class Failed(Exception):
    """The demo cannot go on, for a reason that its user can mend."""


class _Away(Exception):
    """A request was not taken, but may be in *seconds*, where somebody said so."""

    def __init__(self, reason: str, seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.seconds = seconds


class Delivery:
    """Sends to a collector's native and OTLP *urls*, and counts what is taken."""

    def __init__(self, urls: tuple[str, str]) -> None:
        self.records = 0
        self.waited = 0.0  # seconds in which nothing was taken
        self._urls = urls[0] + NATIVE_PATH, urls[1] + OTLP_PATH
        self._reached: set[str] = set()
        self._answers = 0
        self._seconds = 0.0  # that answers took, together

    def told(self) -> str:
        """Give the line on progress."""
        answer = 1_000 * self._seconds / self._answers if self._answers else 0
        return f"sent {self.records} records in {self._answers} requests, {answer:.1f} ms an answer"

    async def deliver(self, session: aiohttp.ClientSession, post: Post) -> None:
        """
        Send *post*, again with pauses while it may be taken later; of this tell the user once.

        Raises:
            Failed: it is refused for good, or was tried for too long, or nobody is there at first.
        """
        url = self._urls[post.otlp]
        # By the key it is stored once, though an answer may be lost.
        headers = {"Content-Type": post.content_type, "Idempotency-Key": uuid.uuid4().hex}
        start, pause, tries = time.monotonic(), PAUSE, 0
        while True:
            tried = time.monotonic()
            try:
                await self._send(session, url, post.body, headers)
                break
            except _Away as exc:
                pause = max(pause, exc.seconds)
                if tried + pause > start + PATIENCE:
                    raise Failed(str(exc)) from exc
                tries += 1
                if tries == 1:
                    tell(f"{exc} (trying again)")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        self.records += post.records
        if tries:
            self.waited += tried - start
            tell(f"{url}: takes records again")

    async def _send(
        self, session: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]
    ) -> None:
        start = time.monotonic()
        try:
            async with session.post(url, data=body, headers=headers) as answer:
                text = await answer.text(errors="replace")
        except aiohttp.InvalidURL as exc:
            raise Failed(f"{url}: not a URL, expected http://host:port") from exc
        except (aiohttp.ClientError, TimeoutError) as exc:
            reason = f"{url}: {_reason(exc)}"
            raise (_Away(reason) if url in self._reached else Failed(reason)) from exc
        self._reached.add(url)
        self._answers += 1
        self._seconds += time.monotonic() - start
        if answer.status == 200:
            return
        reason = f"{url}: answers {answer.status}: {text[:200].strip()}"
        if answer.status not in PASSING:
            raise Failed(reason)
        after = answer.headers.get("Retry-After", "")
        raise _Away(reason, float(after) if after.isdecimal() else 0.0)


def tell(line: str) -> None:
    """Say it to who watches; stdout is for where to look."""
    print(line, file=sys.stderr)  # noqa: T201


def _reason(exc: Exception) -> str:
    match exc:
        case TimeoutError():
            return f"no answer within {ANSWER_TIMEOUT.total} seconds"
        case aiohttp.ClientConnectorError():
            return "cannot connect; is the collector running?"
        case _:
            return str(exc) or type(exc).__name__
