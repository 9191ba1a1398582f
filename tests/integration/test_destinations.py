"""Destinations: one holder each, and a position that only the holder moves."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from msgspec.structs import replace

from storage import destinations, notices
from storage.claims import Letter, Lost, Progress, claim
from storage.destinations import Unknown
from storage.follower import Follower
from storage.positions import BEGINNING, Position, Snapshot
from tests.builders import NOON, record
from tests.stored import store

AWAY = Position(Snapshot(700, (650,)))


async def the(pool, name="archive"):
    """Give the destination *name* as the table has it."""
    return next(each for each in await destinations.status(pool) if each.name == name)


async def everything(pool, position=BEGINNING):
    """Give all that follows *position*."""
    return await Follower(pool).stored(position, None, records=1_000, bytes=10**6, now=NOON)


@pytest.fixture(name="archive", autouse=True)
async def _archive(pool):
    """A destination that begins at the beginning."""
    await destinations.register(pool, "archive", BEGINNING)


async def test_first_start_counts(pool):
    """
    Registering a destination again leaves it where it is.
    """
    await destinations.register(pool, "archive", AWAY)

    assert (await the(pool)).position == BEGINNING


async def test_one_holder(pool):
    """
    Of all who claim a destination one holds it, and the next one when that has left.
    """
    async with claim(pool, "archive", "a:1") as first, claim(pool, "archive", "b:2") as second:
        assert first is not None
        assert second is None
        assert (await the(pool)).holder == "a:1"
    assert (await the(pool)).holder is None
    async with claim(pool, "archive", "b:2") as third:
        assert third is not None

    with pytest.raises(Unknown, match="there is no destination 'other'"):
        async with claim(pool, "other", "a:1"):
            pass


async def test_progress_is_one_transaction(pool):
    """
    Position, counters and dead letters are committed together, or not at all.
    """
    await store(pool, record(msg="a"), record(msg="b"))
    piece = await everything(pool)
    letters = [Letter(piece.rows[1].position, "too large", 413)]
    async with claim(pool, "archive", "a:1") as held:
        await held.record(
            Progress(
                position=piece.position, sent=1, rejected=2, skipped=3, gone=4, letters=letters
            )
        )
        now = await the(pool)

        assert replace(now, letters=0) == await held.destination()
        assert (1, 2, 3, 4, 1, 1) == (
            now.sent,
            now.rejected,
            now.skipped,
            now.gone,
            now.dead,
            now.letters,
        )
        assert now.position == piece.position
        assert now.last_sent_at is not None
        with pytest.raises(destinations.Rejected):
            await held.record(
                Progress(position=AWAY, sent=1, letters=[Letter(piece.rows[0].position, "\0")])
            )
        assert now == await the(pool)


async def test_lost_holder_records_nothing(pool, database):
    """
    Who has lost the lock records nothing, and the next holder has it within five seconds.
    """
    killer = await asyncpg.connect(database)
    async with claim(pool, "archive", "a:1") as held:
        await killer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        async with asyncio.timeout(5):
            while True:
                async with claim(pool, "archive", "b:2") as other:
                    if other is not None:
                        break
        with pytest.raises(Lost):
            await held.record(Progress(position=AWAY, sent=1))
    await killer.close()

    assert (0, BEGINNING) == ((await the(pool)).sent, (await the(pool)).position)


async def test_older_holder_is_fenced_off(pool):
    """
    A holder that still has its connection, but not the destination, records nothing.
    """
    async with claim(pool, "archive", "a:1") as held:
        await destinations.skip(pool, "archive", AWAY)
        for late in (
            held.record(Progress(position=BEGINNING, sent=1)),
            held.record_replay(1, Progress(position=BEGINNING, sent=1), done=True),
            held.failed("no"),
            held.stop("no"),
            held.destination(),
        ):
            with pytest.raises(Lost):
                await late

    found = await the(pool)
    assert (AWAY, 0, "running", None) == (found.position, found.sent, found.state, found.last_error)


async def test_states(pool):
    """
    The holder and the operator each change the state, and both see it; progress goes on.
    """
    async with claim(pool, "archive", "a:1") as held:
        await held.failed("401")
        await held.stop("401 Unauthorized")
        stopped = await the(pool)
        await held.run()
        await destinations.pause(pool, "archive", "at night")
        paused = await held.destination()
        await held.record(Progress(position=AWAY, sent=1))
        await destinations.resume(pool, "archive")
        resumed = await held.destination()

    assert ("stopped", "401 Unauthorized", "401") == (
        stopped.state,
        stopped.reason,
        stopped.last_error,
    )
    assert ("paused", "at night") == (paused.state, paused.reason)
    assert ("running", None, 1) == (resumed.state, resumed.reason, resumed.sent)
    for change in (destinations.pause, destinations.resume, destinations.unregister):
        with pytest.raises(Unknown):
            await change(pool, "other")


async def test_replays(pool):
    """
    A replay has a position of its own; that of the destination stays where it is.
    """
    with pytest.raises(Unknown):
        await destinations.replay(pool, "other", BEGINNING, AWAY.seen)
    number = await destinations.replay(pool, "archive", BEGINNING, AWAY.seen)
    other = await destinations.replay(pool, "archive", BEGINNING, AWAY.seen)
    await destinations.cancel(pool, other)
    async with claim(pool, "archive", "a:1") as held:
        (replay,) = await held.replays()
        await held.record_replay(number, Progress(position=AWAY, sent=2), done=False)
        (went_on,) = await held.replays()
        await held.record_replay(number, Progress(position=AWAY, sent=1), done=True)

        assert [] == await held.replays()
    assert (number, BEGINNING, AWAY.seen) == (replay.id, replay.position, replay.upto)
    assert (AWAY, 2) == (went_on.position, went_on.sent)
    assert ["done", "cancelled"] == [each.state for each in await destinations.replays(pool)]
    assert (BEGINNING, 3) == ((await the(pool)).position, (await the(pool)).sent)


async def test_commits_wake_other_processes(pool, database):
    """
    Who waits hears of a commit of this process at once, and of another's in a moment.
    """
    async with notices.running(pool) as ours, notices.running(pool) as theirs:
        follower, other = ours.notices(), theirs.notices()
        async with asyncio.timeout(10):
            while not await other.changed(0.05):  # until both listen
                ours.committed()
        while await other.changed(2 * notices.APART):
            pass
        while await follower.changed(0):
            pass
        ours.committed()

        assert await follower.changed(0)
        assert await other.changed()
        assert not await follower.changed(0)


async def test_notices_survive_a_lost_connection(pool, database, monkeypatch):
    """
    Who waits looks by itself in the end, and hears again once the connection is made anew.
    """
    monkeypatch.setattr(notices, "AGAIN", 0.05)
    monkeypatch.setattr(notices, "POLL", 0.3)
    killer = await asyncpg.connect(database)
    async with notices.running(pool) as ours, notices.running(pool) as theirs:
        other = theirs.notices()
        for killed in (False, True):
            if killed:
                await killer.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            async with asyncio.timeout(20):
                while not await other.changed(0.1):
                    ours.committed()
        await asyncio.sleep(2 * notices.APART)
        await other.changed(0)

        assert not await other.changed(1_000)
    await killer.close()
