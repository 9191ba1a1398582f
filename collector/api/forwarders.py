"""
What is sent on to other systems: how far that has come, and what an operator says to it.

Whichever collector is asked, the word goes to the destination's row, where the one that sends
reads it within a second.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec
import structlog
from aiohttp import web

from collector import deletions, server
from collector.api import forwarders_shapes as s
from collector.api.decoding import decode, invalid
from collector.api.responses import FORWARDERS, answered
from collector.search.mistakes import Unfit
from storage import dead_letters, destinations
from storage.destinations import Unknown
from storage.errors import Rejected
from storage.positions import Position

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection, Iterator, Sequence

    from storage.database import Pool
    from storage.destinations import Destination, Replay
    from storage.follower import Follower

log = structlog.get_logger()

RATE_OVER = 60.0  # seconds that a rate is the mean of
MOST_REPLAYS = 10  # that are shown of a destination


class Rates:
    """How many records a second are sent, by the numbers that were shown of late."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[float, int]]] = {}

    def rate(self, name: str, sent: int, now: float) -> float | None:
        """Give the mean since the first of the last looks; None for the very first."""
        seen = self._seen.setdefault(name, deque())
        while len(seen) > 1 and now - seen[0][0] > RATE_OVER:
            seen.popleft()
        seen.append((now, sent))
        then, before = seen[0]
        return round((sent - before) / (now - then), 1) if now > then else None


class Answers(msgspec.Struct, frozen=True):
    """The handlers; *pool* may write, and *configured* are the names that we send to."""

    pool: Pool
    follower: Follower
    configured: Collection[str]
    rates: Rates

    async def all(self, _: web.Request) -> web.Response:
        """Answer with all destinations."""
        replays = await destinations.replays(self.pool)
        found = await destinations.status(self.pool)
        return answered(s.Forwarders(forwarders=[await self._shown(d, replays) for d in found]))

    async def one(self, request: web.Request) -> web.Response:
        """Answer with one destination."""
        return await self._answer(_name(request))

    async def pause(self, request: web.Request) -> web.Response:
        """Have nothing more sent until it is resumed."""
        given, _ = decode(s.Pause, request.query.items())
        return await self._said(
            request, destinations.pause(self.pool, _name(request), given.reason)
        )

    async def resume(self, request: web.Request) -> web.Response:
        """Have it sent to again, whether it was paused or has stopped."""
        return await self._said(request, destinations.resume(self.pool, _name(request)))

    async def skip(self, request: web.Request) -> web.Response:
        """Go on from now, a time, or a position."""
        given, _ = decode(s.Skip, request.query.items())
        if given.position is not None:
            to = _position(given.position)
        elif given.to is not None:
            to = await self.follower.since(given.to)
        else:
            to = await self.follower.now()
        there = await self._destination(_name(request))
        waiting, left = [await self._waiting(each) for each in (there.position, to)]
        skipped = max(waiting.records - left.records, 0) if waiting and left else 0
        return await self._said(
            request, destinations.skip(self.pool, there.name, to, records=skipped)
        )

    async def replay(self, request: web.Request) -> web.Response:
        """Send once more what was received in a range of time."""
        given, _ = decode(s.Range, request.query.items())
        assert given.start_time is not None  # noqa: S101  it is required
        start = await self.follower.since(given.start_time)
        end = (
            await self.follower.now()
            if given.end_time is None
            else await self.follower.since(given.end_time)
        )
        with _told():
            number = await destinations.replay(self.pool, _name(request), start, end.seen)
        return answered(s.Begun(replay=number))

    async def cancel(self, request: web.Request) -> web.Response:
        """Send no more of a replay."""
        path, _ = decode(s.ReplayOf, request.match_info.items(), "path")
        if path.replay not in {r.id for r in await destinations.replays(self.pool, path.name)}:
            raise web.HTTPNotFound(text=f"{path.name} has no replay {path.replay}")
        return await self._said(request, destinations.cancel(self.pool, path.replay))

    async def letters(self, request: web.Request) -> web.Response:
        """Answer with dead letters, the newest first."""
        given, _ = decode(s.Page, request.query.items())
        name = (await self._destination(_name(request))).name
        found = await dead_letters.page(self.pool, name, limit=given.limit, before=given.before)
        following = found[-1].id if len(found) == given.limit else None
        return answered(s.DeadLetters(dead_letters=found, next_before=following))

    async def retry(self, request: web.Request) -> web.Response:
        """Have dead letters sent again."""
        given, _ = decode(s.Letters, request.query.items())
        name = (await self._destination(_name(request))).name
        return answered(
            s.Number(dead_letters=await dead_letters.retry(self.pool, name, given.id or None))
        )

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a dead letter; the record stays."""
        path, _ = decode(s.LetterOf, request.match_info.items(), "path")
        actor = deletions.actor(f"{request.method} {request.path}")
        number = await dead_letters.delete(self.pool, path.name, actor, [path.id])
        if not number:
            raise web.HTTPNotFound(text=f"{path.name} has no dead letter {path.id}")
        return answered(s.Number(dead_letters=number))

    async def _said(self, request: web.Request, saying: Awaitable[None]) -> web.Response:
        """Say it, and answer with what the destination is then."""
        name = _name(request)
        with _told():
            await saying
        log.info("forwarding_told", destination=name, request=request.path_qs)
        return await self._answer(name)

    async def _answer(self, name: str) -> web.Response:
        replays = await destinations.replays(self.pool, name)
        return answered(await self._shown(await self._destination(name), replays))

    async def _destination(self, name: str) -> Destination:
        for each in await destinations.status(self.pool):
            if each.name == name:
                return each
        raise web.HTTPNotFound(text=f"there is no destination {name!r}")

    async def _waiting(self, position: Position) -> s.Waiting | None:
        with suppress(Rejected):  # it is a position of another server
            lag = await self.follower.lag(position)
            return s.Waiting(records=lag.records, bytes=lag.bytes, seconds=lag.seconds)
        return None

    async def _shown(self, there: Destination, replays: Sequence[Replay]) -> s.Status:
        return s.Status(
            name=there.name,
            configured=there.name in self.configured,
            state=there.state,
            reason=there.reason,
            holder=there.holder,
            position=str(there.position),
            waiting=await self._waiting(there.position),
            rate=self.rates.rate(there.name, there.sent, time.monotonic()),
            sent=there.sent,
            rejected=there.rejected,
            skipped=there.skipped,
            gone=there.gone,
            dead=there.dead,
            dead_letters=there.letters,
            last_error=there.last_error,
            last_error_at=there.last_error_at,
            last_sent_at=there.last_sent_at,
            replays=[
                s.Replaying(
                    id=each.id,
                    state=each.state,
                    sent=each.sent,
                    created_at=each.created_at,
                    changed_at=each.changed_at,
                )
                for each in replays
                if each.destination == there.name
            ][: -MOST_REPLAYS - 1 : -1],
        )


def routes(pool: Pool, follower: Follower, configured: Collection[str]) -> list[web.RouteDef]:
    """Give the routes that tell of destinations and change them, with *pool*, which may write."""
    answers = Answers(pool, follower, configured, Rates())
    one = f"{FORWARDERS}/{{name:[^/]+}}"
    return [
        web.get(FORWARDERS, answers.all),
        web.get(one, answers.one),
        web.post(f"{one}/pause", _ours(answers.pause)),
        web.post(f"{one}/resume", _ours(answers.resume)),
        web.post(f"{one}/skip", _ours(answers.skip)),
        web.post(f"{one}/replay", _ours(answers.replay)),
        web.delete(f"{one}/replays/{{replay:-?[0-9]+}}", _ours(answers.cancel)),
        web.get(f"{one}/dead-letters", answers.letters),
        web.post(f"{one}/dead-letters/retry", _ours(answers.retry)),
        web.delete(f"{one}/dead-letters/{{id:-?[0-9]+}}", _ours(answers.delete)),
    ]


def _ours(handler: server.Handler) -> server.Handler:
    """Refuse pages of other sites, which browsers let send requests to anybody."""

    async def answer(request: web.Request) -> web.StreamResponse:
        server.refuse_strangers(request)
        return await handler(request)

    return answer


def _name(request: web.Request) -> str:
    path, _ = decode(s.Forwarder, request.match_info.items(), "path")
    return path.name


def _position(text: str) -> Position:
    try:
        return Position.parse(text)
    except ValueError:
        raise invalid("position", Unfit("a position as /forwarders has it"), text) from None


@contextmanager
def _told() -> Iterator[None]:
    """Answer 404 where there is no such destination."""
    try:
        yield
    except Unknown as exc:
        raise web.HTTPNotFound(text=str(exc)) from exc
