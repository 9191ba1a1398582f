"""
What was lost on the way, counted by reason, and said: on stderr, and as a log record itself.

There is no lock here. A reason is counted in one place only, either under the queue's lock
or by its worker, so the totals are exact, and telling of them can't wait for anybody.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from typing import TYPE_CHECKING

from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from .record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.resources import Resource

# By log calls
QUEUE_FULL = "queue_full"
SHUT_DOWN = "shut_down"  # logged after the shutdown
BROKEN = "broken"  # making a record plain failed
CUT_VALUES = "cut_values"  # not records but values, of which something is left
# By the worker
REFUSED = "refused"  # the receiver will never take the batch
REJECTED = "rejected"  # the receiver took the batch without these
TOO_LARGE = "too_large"  # a single record
FAILED = "failed"  # an exporter that gives no reason failed for too long
# At the end
UNSENT = "unsent"  # there was no time left

REASONS = (QUEUE_FULL, SHUT_DOWN, BROKEN, CUT_VALUES, REFUSED, REJECTED, TOO_LARGE, FAILED, UNSENT)
INTERVAL = 60.0  # seconds between two times that the same reader is told
SCOPE = InstrumentationScope("pixsim_otel")


def say(text: str) -> None:
    """Write a line about our own work on stderr, if there is one that takes it."""
    with contextlib.suppress(Exception):  # closed, replaced, full: nobody is left to be told
        print(f"pixsim_otel: {text}", file=sys.stderr, flush=True)  # noqa: T201


class Drops:
    """Counts what is lost, and tells of it at most once a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.clear()

    def clear(self) -> None:
        """Forget all, as a process does that was forked from one that counted."""
        self.totals = dict.fromkeys(REASONS, 0)
        self._details: dict[str, str] = {}
        self._on_stderr, self._in_records = _Reader(), _Reader()

    def count(self, reason: str, number: int = 1, detail: str = "") -> None:
        """Count *number* more lost for *reason*; *detail* is shown, the latest one of a reason."""
        self.totals[reason] += number
        if detail:
            self._details[reason] = detail

    def say(self, *, at_once: bool = False) -> None:
        """Write on stderr what is new, unless that was done within the last minute."""
        if news := self._on_stderr.news(self.totals, self._clock(), at_once=at_once):
            say(_sentence(news, self._details))

    def record(self, resource: Resource) -> Record | None:
        """Give a log record of what is new, unless one was given within the last minute."""
        news = self._in_records.news(self.totals, self._clock(), at_once=False)
        if not news:
            return None
        dropped = sum(news.values()) - news.get(CUT_VALUES, 0)
        reasons = {
            f"{reason}_reason": self._details[reason] for reason in news if reason in self._details
        }
        return Record(
            time=time.time_ns(),
            severity_number=13,
            severity_text="WARNING",
            body="logs_dropped" if dropped else "values_cut",
            attributes={"dropped": dropped, **news, **reasons},
            resource=resource,
            scope=SCOPE,
        )


class _Reader:
    """Somebody who is told, and what they know."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._told_at = -math.inf

    def news(self, totals: Mapping[str, int], now: float, *, at_once: bool) -> dict[str, int]:
        """Give what they don't know yet by reason, and take it as known then."""
        if now - self._told_at < INTERVAL and not at_once:
            return {}
        totals = dict(totals)
        news = {reason: total - self._known.get(reason, 0) for reason, total in totals.items()}
        news = {reason: number for reason, number in news.items() if number}
        if news:
            self._known, self._told_at = totals, now
        return news


def _sentence(news: Mapping[str, int], details: Mapping[str, str]) -> str:
    lost = {reason: number for reason, number in news.items() if reason != CUT_VALUES}
    parts = [
        f"{number} {reason}" + (f" ({details[reason]})" if reason in details else "")
        for reason, number in lost.items()
    ]
    said = [f"{sum(lost.values())} log records dropped: {', '.join(parts)}"] if lost else []
    if CUT_VALUES in news:
        said.append(f"{news[CUT_VALUES]} values cut")
    return "; ".join(said)
