"""
Sending a batch until it is settled: each record taken, refused for good, or given up.

What waits here is in the table too, and the position has not moved over it: whenever this ends
early, everything of the batch is sent again some time.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from typing import TYPE_CHECKING

import msgspec
import structlog

from collector.forwarding.target import Answer, Bad, Done, Refused, Retry, Split, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from collector.forwarding.settings import RetryOnFailure
    from collector.forwarding.target import Target
    from storage.stored import Stored

log = structlog.get_logger()

LONGEST_WAIT = 3600.0  # seconds, whatever Retry-After says
# As many refusals of parts in a row, and nothing taken: the records are not to blame.
MOST_DENIED = 40
# Some cut the connection where others say 413, so what fails again and again is halved.
FAILURES_A_HALVING = 5
MOST_HALVINGS = 3
TOLD_EVERY = 60.0  # seconds, of the same trouble


class Stopped(Exception):
    """The destination takes nothing until somebody mends the settings; the text says why."""


class Letter(msgspec.Struct, frozen=True):
    """A record that the destination will not have, and why."""

    record: Stored
    reason: str
    status: int | None = None


class Settled(msgspec.Struct, kw_only=True):
    """What became of a batch."""

    sent: int = 0
    rejected: int = 0  # by a destination that doesn't say which
    letters: list[Letter] = []


class Backoff:
    """When a destination may be tried again; shared by all that is sent to it."""

    def __init__(
        self, settings: RetryOnFailure, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._interval = settings.initial_interval
        self._until = 0.0

    async def wait(self) -> None:
        """Return when it is time; others may fail meanwhile, and make it later."""
        while (seconds := self._until - self._clock()) > 0:  # noqa: ASYNC110  it changes
            await asyncio.sleep(seconds)

    def failed(self, after: float | None) -> None:
        """Wait, at least for the seconds *after* that the destination asks for."""
        now = self._clock()
        if now < self._until and after is None:
            return  # another batch of the same moment has failed for the same cause
        # By chance, so that not all collectors come at the same moment.
        chosen = self._interval * random.uniform(2 / 3, 4 / 3)  # noqa: S311  no secret
        self._until = max(self._until, now + max(chosen, min(after or 0.0, LONGEST_WAIT)))
        self._interval = min(
            self._interval * self._settings.multiplier, self._settings.max_interval
        )

    def succeeded(self) -> None:
        """Begin anew with the next failure."""
        self._interval = self._settings.initial_interval


class Health(msgspec.Struct):
    """Whether a destination is well, as all that is sent to it shows."""

    taken: int = 0  # requests


class _Part(msgspec.Struct):
    """Records that are sent together."""

    records: Sequence[Stored]
    since: float | None = None  # of its first failure
    failures: int = 0
    halvings: int = 0
    taken_before: int | None = None  # requests, when this failed the last time
    blamed: int = 0  # failures of one record, others having been taken since the last one
    suspected: bool = False  # alone, and it has been told

    def halves(self) -> Iterator[_Part]:
        middle = len(self.records) // 2
        for records in (self.records[:middle], self.records[middle:]):
            yield _Part(records, self.since, self.failures, self.halvings + 1, self.taken_before)


class Settlement:
    """Settles the batches of one destination, several at a time."""

    def __init__(
        self,
        name: str,
        target: Target,
        settings: RetryOnFailure,
        *,
        retried: Callable[[int, str], None] = lambda _records, _reason: None,
        health: Health | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._target = target
        self._settings = settings
        self._retried = retried
        self._clock = clock
        self._backoff = Backoff(settings, clock)
        self._denied = 0
        self._health = health or Health()
        self._told = -TOLD_EVERY
        self._failing = False

    async def settle(
        self, records: Sequence[Stored], suspected: Callable[[], None] = lambda: None
    ) -> Settled:
        """
        Send *records* until each is settled, for as long as that takes.

        *suspected* is called when a record fails alone: whether it is to blame for that is known
        when others have been taken meanwhile, so there should be some.

        Raises:
            Stopped: none of the rest will be, until somebody mends the settings.
        """
        found = Settled()
        # First in, first out: the whole batch is tried in halves before any of these in quarters,
        # so that a destination that takes nothing at all is known after few requests.
        parts = deque([_Part(records)])
        while parts:
            part = parts.popleft()
            await self._backoff.wait()
            answer = await self._answer(part.records)
            match answer:
                case Done():
                    parts.extend(self._done(part, answer, found, suspected))
                case Retry():
                    parts.extend(self._later(part, answer, found, suspected))
                case Split(reason) | Bad(reason):
                    status = answer.status if isinstance(answer, Bad) else 413
                    parts.extend(self._denial(part, reason, status, found))
                case Stop(reason):
                    raise Stopped(reason)
        return found

    async def _answer(self, records: Sequence[Stored]) -> Answer:
        try:
            return await self._target.send(records)
        except Exception as exc:  # a target's bug must not end the others
            log.exception("forwarding_bug", destination=self._name)
            return Retry(f"a bug of the collector's: {type(exc).__name__}")

    def _done(
        self, part: _Part, done: Done, found: Settled, suspected: Callable[[], None]
    ) -> Iterator[_Part]:
        self._letters(part.records, done.refused, found)
        taken = len(part.records) - len(done.refused) - len(done.retry) - done.rejected
        found.sent += taken
        found.rejected += done.rejected
        if done.rejected or (done.note and not done.retry):
            log.warning(
                "forwarding_rejected" if done.rejected else "forwarding_warned",
                destination=self._name,
                records=done.rejected,
                reason=done.note,
            )
        if taken:
            self._denied = 0
            self._health.taken += 1
        if done.retry:
            if len(done.retry) < len(part.records):  # it moves, so this is no failure of the whole
                left = [part.records[place] for place in done.retry]
                part = _Part(left, part.since or self._clock())
            again = Retry(done.note or "some of a batch", done.after, done.status)
            yield from self._later(part, again, found, suspected)
        else:
            self._backoff.succeeded()
            if self._failing:
                self._failing = False
                log.info("forwarding_goes_on", destination=self._name)

    def _later(
        self, part: _Part, retry: Retry, found: Settled, suspected: Callable[[], None]
    ) -> Iterator[_Part]:
        now, reason = self._clock(), retry.reason
        self._retried(len(part.records), reason)
        self._backoff.failed(retry.after)
        part.failures += 1
        if part.since is None:
            part.since = now
        longest = self._settings.max_elapsed_time
        if longest and now - part.since >= longest:
            why = f"given up after {now - part.since:.0f} s: {reason}"
            found.letters += [Letter(record, why) for record in part.records]
            return
        if now - self._told >= TOLD_EVERY:
            self._told = now
            self._failing = True
            log.warning(
                "forwarding_fails",
                destination=self._name,
                reason=reason,
                records=len(part.records),
                times=part.failures,
            )
        most = self._settings.max_record_failures
        blames = retry.status is not None and most > 0
        blamed = blames and self._blamed(part)
        if len(part.records) > 1:
            again_and_again = part.failures % FAILURES_A_HALVING == 0
            halved = blamed or (again_and_again and part.halvings < MOST_HALVINGS)
            yield from part.halves() if halved else (part,)
        elif blames and part.blamed >= most:
            why = f"{reason} ({most} times, while others were taken)"
            self._letters(part.records, [Refused(0, why, retry.status)], found)
        else:
            if blamed or (blames and not part.suspected):
                part.suspected = True
                suspected()
            yield part

    def _blamed(self, part: _Part) -> bool:
        """Tell whether it is *part* that fails: others were taken since it did the last time."""
        before, part.taken_before = part.taken_before, self._health.taken
        blamed = before is not None and before < self._health.taken
        part.blamed += blamed and len(part.records) == 1
        return blamed

    def _denial(
        self, part: _Part, reason: str, status: int | None, found: Settled
    ) -> Iterator[_Part]:
        self._backoff.succeeded()  # it is there, and speaks
        self._denied += 1
        if self._denied >= MOST_DENIED:
            raise Stopped(f"{self._denied} times in a row nothing was taken, at last: {reason}")
        if len(part.records) > 1:
            yield from part.halves()
        else:
            self._letters(part.records, [Refused(0, reason, status)], found)

    def _letters(
        self, records: Sequence[Stored], refused: Sequence[Refused], found: Settled
    ) -> None:
        found.letters += [Letter(records[each.index], each.reason, each.status) for each in refused]
