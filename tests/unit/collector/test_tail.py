"""Readers of the tail have each record once, whatever happens at the same time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random

import msgspec
import pytest

from collector.tail import feed, following, hub, sse
from collector.tail.events import Behind, CaughtUp, Gone, Line, Lines
from collector.tail.feed import Feed
from collector.tail.following import Following
from collector.tail.hub import Hub
from collector.tail.until import until
from collector.terminal.tail import events as read_events
from storage.errors import Rejected, Unavailable
from storage.follower import Followed, FollowedPiece, Lag
from storage.positions import BEGINNING, Place, Position, Snapshot
from storage.search import EVERYTHING, Equals
from tests.builders import NOON

BAD = Equals("msg", ("bad",))
SEEDS = 12


class Table:
    """
    Transactions in memory, followed as `storage.follower` does, with others at work meanwhile.

    A search is for the residue of a record's number, or for everything.
    """

    def __init__(self, chance):
        self.chance = chance
        self.started = 0
        self.running = set()
        self.committed = {}
        self.done = False
        self.trouble = 0.0  # of readings find the database away

    def begin(self):
        self.started += 1
        self.running.add(self.started)
        return self.started

    def commit(self, xid, records):
        self.running.discard(xid)
        self.committed[xid] = records

    def snapshot(self):
        return Snapshot(self.started + 1, tuple(sorted(self.running)))

    async def pause(self):
        for _ in range(self.chance.choice([0, 0, 1, 1, 3, 8, 20])):
            await asyncio.sleep(0)
        if self.chance.random() < self.trouble:
            raise Unavailable("the database is away")

    async def now(self):
        await self.pause()
        return Position(self.snapshot())

    async def lag(self, position):
        await self.pause()
        return Lag(sum(map(len, self.committed.values())), 1, 1.0)

    async def entries(self, position, searches, *, records, bytes, now):  # noqa: A002
        await self.pause()
        if BAD in searches:
            raise Rejected("bad")
        piece = self.piece(position, searches, records)
        await self.pause()
        return piece

    def piece(self, position, searches, records):
        current, seen, within = self.snapshot(), position.seen, position.within
        new = sorted(x for x in self.committed if current.sees(x) and not seen.sees(x))
        if within:  # first the rest of this one, whatever has been committed since
            new = [within.xid]
        rows, passed, end = [], 0, position
        for xid in new:
            before = seen if within else seen | current.until(xid - 1)
            read = within.read if within else 0
            for n, record in enumerate(self.committed[xid][read:], read + 1):
                if passed == records:
                    return FollowedPiece(rows=rows, position=end, passed=passed, gone=0, more=True)
                end = Position(before, Place(xid, n, n, n))
                wanted = tuple(p for p, each in enumerate(searches) if wants(each, record))
                if wanted:
                    rows.append(Followed(record, wanted, end, xid))
                passed += 1
            position = end = Position(seen.plus(xid) if within else seen | current.until(xid))
        more = within is not None
        return FollowedPiece(rows=rows, position=position, passed=passed, gone=0, more=more)


def wants(search, record):
    return search == EVERYTHING or record % len(search.values) == int(search.field)


class Told:
    async def changed(self, _timeout):
        await asyncio.sleep(0)


async def read(table, here, search, start, expected):
    """Follow, cut off again and again, until all that is *expected* was there; give all."""
    position, found = start, []
    spins = 0
    while spins < 3:
        left = table.chance.randint(1, 40)
        with contextlib.suppress(Unavailable):  # before the first event it is an answer
            events = Following(here, search, position).events()
            async for event in events:
                for _ in range(table.chance.choice([0, 0, 1, 5])):
                    await asyncio.sleep(0)
                left -= 1
                if isinstance(event, Lines):
                    for line in event._lines:
                        found.append(int(line.json))
                        position = line.position
                        left -= 1
                        if left <= 0:
                            break
                elif not isinstance(event, Behind):
                    position = event.position
                if left <= 0:
                    break
        await events.aclose()
        spins += len(found) >= len(expected()) and table.done
    return found


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_each_record_once(seed, monkeypatch):
    """
    Wherever a reader begins, whenever it joins others, is cut off or too slow, and in whatever
    order transactions commit, it has what its search finds, each record once.
    """
    monkeypatch.setattr(hub, "APART", 0.0)
    monkeypatch.setattr(hub, "RETRIED", 0.0)
    monkeypatch.setattr(following, "RETRIED", 0.0)
    monkeypatch.setattr(following, "ALIVE", 0.001)
    monkeypatch.setattr(hub, "RECORDS", 4)
    monkeypatch.setattr(feed, "MOST_RECORDS", 12)
    chance = random.Random(seed)
    table = Table(chance)
    table.trouble = 0.02
    here = Hub(table, Told(), now=lambda: NOON)
    numbers = itertools.count()

    async def write():
        for _ in range(15):
            xid = table.begin()
            for _ in range(chance.choice([0, 1, 3, 30, 60])):
                await asyncio.sleep(0)
            if chance.random() < 0.9:
                table.commit(xid, [next(numbers) for _ in range(chance.choice([1, 1, 2, 9]))])
            else:
                table.running.discard(xid)

    async def reader(search):
        for _ in range(chance.randint(0, 150)):
            await asyncio.sleep(0)
        start = chance.choice([BEGINNING, Position(table.snapshot())])

        def expected():
            return [
                record
                for xid, records in table.committed.items()
                for record in records
                if not start.seen.sees(xid) and wants(search, record)
            ]

        found = await read(table, here, search, start, expected)
        assert sorted(expected()) == sorted(found)

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        writers = [tasks.create_task(write()) for _ in range(3)]
        for n in range(6):
            search = EVERYTHING if n % 2 else Equals(str(n % 3), ("", "", ""))
            tasks.create_task(reader(search))
        await asyncio.wait(writers)
        table.done = True

    assert here._task is None


def lines(*positions):
    return Lines([Line(each, b"%d" % n) for n, each in enumerate(positions)])


def test_positions_of_who_has_read_ahead():
    """
    A reader that has read further than all others goes on from the hub's records with positions
    in which its own reading is too.
    """
    hub_s = Snapshot(3)  # has not come to 3 and 5, which the reader has read
    had = Position(Snapshot(6, (4,)))
    third, fourth = Position(hub_s, Place(3, 0, 1, 1)), Position(hub_s.plus(3), Place(4, 0, 2, 1))
    left = lines(third, fourth).beyond(had)

    assert [b"1"] == [line.json for line in left._lines]
    assert all(left.position.includes(Position(hub_s, Place(xid, 0, 1, 1))) for xid in (1, 2, 3, 5))
    assert fourth.within == left.position.within
    assert lines(third).beyond(had) is None


async def test_a_feed_has_an_end(monkeypatch):
    """
    Of what nobody takes only so much waits; then all is dropped, and nothing more is added.
    """
    monkeypatch.setattr(feed, "MOST_RECORDS", 3)
    monkeypatch.setattr(feed, "MOST_BYTES", 5)
    for size in (1, 5):
        waiting = Feed(EVERYTHING)
        for number in range(4):
            waiting.put(Lines([Line(BEGINNING, b"x" * size)]))
            assert waiting.lost == (number == 3 or (size == 5 and number > 0))
        assert await waiting.take(0) is None
    alone = Feed(EVERYTHING)
    alone.put(Lines([Line(BEGINNING, b"x" * 99)]))

    assert 1 == len(await alone.take(0))


async def first(events, *kinds):
    """Give the first event of one of *kinds*."""
    while not isinstance(event := await anext(events), kinds):
        pass
    return event


async def test_a_search_that_cannot_be_asked_ends_its_own_reader_alone(monkeypatch):
    """
    Where Postgres refuses a search, its reader hears of it, and others go on.
    """
    monkeypatch.setattr(hub, "APART", 0.0)
    table = Table(random.Random(1))
    here = Hub(table, Told(), now=lambda: NOON)
    good, bad = (Following(here, each, None).events() for each in (EVERYTHING, BAD))
    async with asyncio.timeout(10):
        await first(good, CaughtUp)
        with pytest.raises(Rejected):
            await first(bad, Lines)
        table.commit(table.begin(), [7])
        found = await first(good, Lines)
    await good.aclose()

    assert 1 == len(found)


async def test_who_follows_hears_of_what_it_cannot_have(monkeypatch):
    """
    Records that were deleted before they could be read are told, to who reads alone and with
    others.
    """
    monkeypatch.setattr(hub, "APART", 0.0)
    table = Table(random.Random(1))
    table.commit(table.begin(), [7])
    here = Hub(table, Told(), now=lambda: NOON)
    whole = table.piece
    table.piece = lambda *args: msgspec.structs.replace(whole(*args), gone=3)
    async with (
        asyncio.timeout(10),
        contextlib.aclosing(Following(here, EVERYTHING, BEGINNING).events()) as events,
    ):
        alone = await first(events, Gone)
        await first(events, CaughtUp)
        joined = await first(events, Gone)

    assert 3 == alone.records
    assert joined.records % 3 == 0


async def test_who_follows_hears_that_the_database_is_away(monkeypatch):
    """
    While nothing can be read its readers are behind, and they have caught up when it can.
    """
    monkeypatch.setattr(hub, "APART", 0.0)
    monkeypatch.setattr(hub, "RETRIED", 0.0)
    table = Table(random.Random(1))
    here = Hub(table, Told(), now=lambda: NOON)
    async with (
        asyncio.timeout(10),
        contextlib.aclosing(Following(here, EVERYTHING, BEGINNING).events()) as events,
    ):
        await first(events, CaughtUp)
        table.trouble = 1.0
        behind = await first(events, Behind)
        table.trouble = 0.0
        await first(events, CaughtUp)

    assert "the database is away" == behind.reason


async def test_a_block_ends_when_something_else_happens():
    """
    What waits in the block is given up when the event is set; what raises there raises.
    """
    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)
    async with asyncio.timeout(5):
        async with until(event):
            await asyncio.Event().wait()
        with pytest.raises(TimeoutError):
            async with until(asyncio.Event()):
                raise TimeoutError
        async with until(asyncio.Event()):
            pass


def test_events_that_are_cut_off_are_none():
    """
    At a terminal an event counts when its blank line has come.
    """
    body = (
        sse.RETRY + sse.written(lines(Position(Snapshot(3)))) + sse.written(Behind("slow", 2, 1.5))
    )
    whole = list(read_events(body.splitlines(keepends=True)))
    cut = list(read_events(body[:-1].splitlines(keepends=True)))

    assert [("", "3", b"0"), ("behind", "", b'{"reason":"slow","records":2,"seconds":1.5}')] == [
        msgspec.structs.astuple(each) for each in whole
    ]
    assert whole[:1] == cut
