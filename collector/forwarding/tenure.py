"""
The time that a destination is held: what is sent, and how an operator's word is followed.

The holder looks at the destination's row every second, so that what is said to any collector
reaches it, and stops at once when it isn't the holder any more.
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
from collector.forwarding.attributes import changing
from collector.forwarding.feed import Feed
from collector.forwarding.outcomes import Outcome
from collector.forwarding.settlement import Health, Settlement, Stopped
from storage import dead_letters
from storage.stored import Interned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.forwarding.pace import Courtesy
    from collector.forwarding.settings import Forwarder
    from collector.forwarding.target import Target
    from storage.claims import Claim
    from storage.database import Pool
    from storage.destinations import Destination, Replay, State
    from storage.follower import Follower
    from storage.notices import Board
    from storage.positions import Position
    from storage.stored import Stored

log = structlog.get_logger()

WATCH = 1.0  # seconds between two looks at the destination's row
PROBE = 300.0  # seconds until a destination that was stopped is tried again
GRACE = 3.0  # seconds that sends under way have when this is to end
LETTERS = 200  # dead letters that are sent again at once
LAG = 10.0  # seconds between two measurements of what waits


class Source(msgspec.Struct, frozen=True):
    """What is read, and what is written to."""

    pool: Pool  # has a connection for each destination, and one more
    readers: Pool
    follower: Follower
    board: Board
    courtesy: Courtesy
    holder: str  # who we are


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
        self._retrying: asyncio.Task[None] | None = None  # of dead letters
        self._interned = Interned()
        self._health = Health()
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
                await self._follow_letters(there)
                if self._error:
                    error, self._error = self._error, ""
                    await self._claim.failed(error)
                await self._measure(there.position)
                await passed(stop, WATCH)
            if self._retrying is not None:
                self._retrying.cancel()
            await _end([*self._replays.values(), *([self._live] if self._live else [])])
        finally:  # who isn't the holder any more sends nothing more: the tasks are cancelled
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

    async def _follow_letters(self, there: Destination) -> None:
        """Send dead letters again that somebody wants to be sent."""
        if there.state != "running" or (self._retrying and not self._retrying.done()):
            return
        due = await dead_letters.due(
            self._source.readers, self._interned, self._claim.name, limit=LETTERS
        )
        if due:
            self._retrying = self._tasks.create_task(self._send_letters(due))

    async def _send_letters(self, due: Sequence[tuple[int, Stored]]) -> None:
        change = changing(self._settings.attributes.drop, self._settings.attributes.rename)
        numbers = [number for number, _ in due]
        records = [change(stored) if change else stored for _, stored in due]
        by_record = {id(record): n for n, record in zip(numbers, records, strict=True)}
        try:
            settled = await self._settlement().settle(records)
        except Stopped as exc:
            await self._claim.stop(str(exc))
            return
        failed = [
            (by_record[id(each.record)], each.reason, each.status) for each in settled.letters
        ]
        sent = sorted(set(numbers) - {number for number, _, _ in failed})
        await self._claim.retried(sent, failed)
        telemetry.forwarded.labels(self._claim.name, "sent").inc(settled.sent)
        log.info(
            "forwarding_retried_dead_letters",
            destination=self._claim.name,
            sent=len(sent),
            failed=len(failed),
        )

    def _feed(self, position: Position) -> Feed:
        return Feed(
            self._settings,
            self._source.follower,
            self._settlement(),
            self._record,
            self._notices.changed,
            self._source.courtesy,
            position=position,
        )

    def _settlement(self) -> Settlement:
        return Settlement(
            self._claim.name,
            self._target,
            self._settings.retry_on_failure,
            retried=self._retried,
            health=self._health,
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
            self._notices.changed,
            self._source.courtesy,
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
        await self._claim.record(outcome.progress)
        outcome.count(self._claim.name)

    async def _record_replay(self, replay: int, outcome: Outcome, *, done: bool = False) -> None:
        await self._claim.record_replay(replay, outcome.progress, done=done)
        outcome.count(self._claim.name)

    def _retried(self, records: int, reason: str) -> None:
        telemetry.forwarded.labels(self._claim.name, "retried").inc(records)
        self._error = reason

    async def _measure(self, position: Position) -> None:
        """Tell how much waits, now and then."""
        if time.monotonic() - self._measured_at < LAG:
            return
        self._measured_at = time.monotonic()
        lag = await self._source.follower.lag(position)
        telemetry.forwarding_lag_records.labels(self._claim.name).set(lag.records)
        telemetry.forwarding_lag_bytes.labels(self._claim.name).set(lag.bytes)
        telemetry.forwarding_lag_seconds.labels(self._claim.name).set(lag.seconds)


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
