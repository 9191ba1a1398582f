"""
One destination, sent to by whoever of all collectors holds it.

The holder looks at the destination's row every second, so that an operator's word reaches it in
whatever process it is, and stops at once when it isn't the holder any more.
"""

from __future__ import annotations

import asyncio
import functools
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
import structlog

from collector import telemetry
from collector.forwarding.feed import Feed, Outcome, sole
from collector.forwarding.settlement import Settlement, Stopped
from storage import destinations, follower
from storage.destinations import Letter, Progress
from storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.forwarding.settings import Forwarder
    from collector.forwarding.target import Target
    from storage.database import Pool
    from storage.destinations import Claim, Destination, Replay, State
    from storage.follower import Follower
    from storage.notices import Board
    from storage.positions import Position

log = structlog.get_logger()

WATCH = 1.0  # seconds between two looks at the destination's row
CLAIM = 2.0  # seconds between two tries to become the holder
PROBE = 300.0  # seconds until a destination that was stopped is tried again
GRACE = 3.0  # seconds that sends under way have when this is to end
LAG = 10.0  # seconds between two measurements of what waits
TOLD_EVERY = 60.0  # seconds, of the same trouble


class Source(msgspec.Struct, frozen=True):
    """What is read, and what is written to."""

    pool: Pool  # has a connection for each destination, and one more
    readers: Pool
    follower: Follower
    board: Board
    holder: str  # who we are


class Delivery:
    """Sends to the destination *name* while this process is the one that holds it."""

    def __init__(self, name: str, settings: Forwarder, target: Target, source: Source) -> None:
        self.name = name
        self._settings = settings
        self._target = target
        self._source = source

    async def run(self, stop: asyncio.Event) -> None:
        """Send until *stop* is set, whenever nobody else does."""
        told_at = -TOLD_EVERY
        while not stop.is_set():
            try:
                async with destinations.claim(
                    self._source.pool, self.name, self._source.holder
                ) as claim:
                    if claim is not None:
                        await self._hold(claim, stop)
            except StorageError as exc:
                if time.monotonic() - told_at >= TOLD_EVERY:
                    told_at = time.monotonic()
                    log.warning("forwarding_waits", destination=self.name, error=str(exc))
            except Exception:  # a bug of one destination must not end the others
                log.exception("forwarding_bug", destination=self.name)
            await passed(stop, CLAIM)

    async def _hold(self, claim: Claim, stop: asyncio.Event) -> None:
        log.info("forwarding_begins", destination=self.name)
        try:
            async with asyncio.TaskGroup() as tasks:
                tenure = Tenure(claim, self._settings, self._target, self._source, tasks)
                await tenure.last(stop)
        except BaseExceptionGroup as group:
            raise sole(group) from None
        finally:
            log.info("forwarding_ends", destination=self.name)


class _Running(msgspec.Struct):
    feed: Feed
    task: asyncio.Task[bool]


class Tenure:
    """One time of holding a destination: its live feed, its replays, and looking after them."""

    def __init__(
        self,
        claim: Claim,
        settings: Forwarder,
        target: Target,
        source: Source,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._claim = claim
        self._settings = settings
        self._target = target
        self._source = source
        self._tasks = tasks
        self._notices = source.board.notices()
        self._live: _Running | None = None
        self._replays: dict[int, _Running] = {}
        self._state: State = "running"
        self._probe_at = 0.0  # who begins may have other settings, so it tries at once
        self._error = ""
        self._measured_at = -LAG

    async def last(self, stop: asyncio.Event) -> None:
        """Look after everything until *stop* is set; raise where it is the holder no more."""
        try:
            while not stop.is_set():
                there = await self._claim.destination()
                await self._follow_state(there)
                await self._follow_replays(there)
                if self._error:
                    error, self._error = self._error, ""
                    await self._claim.failed(error)
                await self._measure(there.position)
                await passed(stop, WATCH)
        finally:
            await _end([*self._replays.values(), *([self._live] if self._live else [])])
            for gauge in (
                telemetry.forwarding_running,
                telemetry.forwarding_lag_records,
                telemetry.forwarding_lag_bytes,
                telemetry.forwarding_lag_seconds,
            ):
                gauge.labels(self._claim.name).set(0)

    async def _follow_state(self, there: Destination) -> None:
        if there.state != self._state:
            log.info(
                "forwarding_state",
                destination=self._claim.name,
                state=there.state,
                reason=there.reason,
            )
        resumed = there.state == "running" != self._state
        self._state = there.state
        telemetry.forwarding_running.labels(self._claim.name).set(there.state == "running")
        if self._live is not None and (
            self._live.task.done() or resumed or there.state == "paused"
        ):
            live, self._live = self._live, None
            await _end([live])
            if resumed or there.state == "paused":  # it may have moved the position meanwhile
                there = await self._claim.destination()
        if self._live is None and there.state == "running":
            self._live = self._begin(self._feed(there.position))
        elif self._live is None and there.state == "stopped" and time.monotonic() > self._probe_at:
            self._probe_at = time.monotonic() + PROBE
            self._live = self._begin(self._feed(there.position), batches=1)

    async def _follow_replays(self, there: Destination) -> None:
        wanted = {}
        if there.state == "running":
            wanted = {each.id: each for each in await self._claim.replays()}
        for number in [n for n, each in self._replays.items() if n not in wanted]:
            await _end([self._replays.pop(number)])
        for number, each in wanted.items():
            if number not in self._replays or self._replays[number].task.done():
                self._replays[number] = self._begin_replay(each)

    def _feed(self, position: Position) -> Feed:
        return Feed(
            self._settings,
            self._source.follower,
            self._settlement(),
            self._record,
            self._notices.changed,
            position=position,
        )

    def _settlement(self) -> Settlement:
        return Settlement(
            self._claim.name,
            self._target,
            self._settings.retry_on_failure,
            retried=self._retried,
        )

    def _begin(self, feed: Feed, *, batches: int = -1) -> _Running:
        task = self._tasks.create_task(self._until_stopped(feed, batches))
        return _Running(feed, task)

    def _begin_replay(self, replay: Replay) -> _Running:
        feed = Feed(
            self._settings,
            self._source.follower,
            self._settlement(),
            functools.partial(self._record_replay, replay.id),
            asyncio.sleep,
            position=replay.position,
            upto=replay.upto,
        )

        async def to_the_end() -> bool:
            ended = await self._until_stopped(feed, -1)
            if ended and not feed.ending:
                outcome = Outcome(position=feed.position)
                await self._record_replay(replay.id, outcome, done=True)
                log.info("forwarding_replayed", destination=self._claim.name, replay=replay.id)
            return ended

        return _Running(feed, self._tasks.create_task(to_the_end()))

    async def _until_stopped(self, feed: Feed, batches: int) -> bool:
        """Run *feed*; tell whether it came to its end."""
        try:
            await feed.run(batches=batches)
        except Stopped as exc:
            self._probe_at = time.monotonic() + PROBE
            await self._claim.stop(str(exc))
            return False
        if batches > 0 and not feed.ending:  # what was stopped takes records again
            await self._claim.run()
        return True

    async def _record(self, outcome: Outcome) -> None:
        await self._claim.record(_progress(outcome))
        self._count(outcome)

    async def _record_replay(self, replay: int, outcome: Outcome, *, done: bool = False) -> None:
        await self._claim.record_replay(replay, _progress(outcome), done=done)
        self._count(outcome)

    def _count(self, outcome: Outcome) -> None:
        counts = {
            "sent": outcome.sent,
            "rejected": outcome.rejected,
            "skipped": outcome.skipped,
            "gone": outcome.gone,
            "dead": len(outcome.letters),
        }
        for name, records in counts.items():
            if records:
                telemetry.forwarded.labels(self._claim.name, name).inc(records)
        lost = {name: counts[name] for name in ("skipped", "gone", "dead") if counts[name]}
        if lost:
            reasons = list(dict.fromkeys(letter.reason for letter in outcome.letters))
            log.warning(
                "forwarding_left_out", destination=self._claim.name, **lost, reasons=reasons[:3]
            )

    def _retried(self, records: int, reason: str) -> None:
        telemetry.forwarded.labels(self._claim.name, "retried").inc(records)
        self._error = reason

    async def _measure(self, position: Position) -> None:
        """Tell how much waits, now and then."""
        if time.monotonic() - self._measured_at < LAG:
            return
        self._measured_at = time.monotonic()
        lag = await follower.lag(self._source.readers, position)
        telemetry.forwarding_lag_records.labels(self._claim.name).set(lag.records)
        telemetry.forwarding_lag_bytes.labels(self._claim.name).set(lag.bytes)
        telemetry.forwarding_lag_seconds.labels(self._claim.name).set(lag.seconds)


def _progress(outcome: Outcome) -> Progress:
    return Progress(
        position=outcome.position,
        sent=outcome.sent,
        rejected=outcome.rejected,
        skipped=outcome.skipped,
        gone=outcome.gone,
        letters=[
            Letter(letter.record.position, letter.reason, letter.status)
            for letter in outcome.letters
        ],
    )


async def _end(all_running: Sequence[_Running]) -> None:
    """Let sends that are under way come to their end for a moment; then cut them off."""
    for each in all_running:
        each.feed.end()
    tasks = [each.task for each in all_running]
    if tasks:
        await asyncio.wait(tasks, timeout=GRACE)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def passed(stop: asyncio.Event, seconds: float) -> None:
    """Return when *stop* is set or *seconds* have passed."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
