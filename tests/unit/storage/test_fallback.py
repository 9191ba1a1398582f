"""Which requests try the table while the database is away, and which don't."""

from __future__ import annotations

import pytest

from storage.errors import Faulty, SpoolFull, Unavailable, Uncertain
from storage.fallback import STALE, TRY, Fallback
from storage.records import Outcome
from tests.builders import batch, record


class Place:
    """The table and the spool, and a clock that the test moves."""

    def __init__(self):
        self.now = 0.0
        self.failure, self.full = None, None
        self.tried, self.spooled = 0, []
        self.fallback = Fallback(self.write, self, lambda: self.now)

    async def write(self, given):
        self.tried += 1
        if self.failure is not None:
            raise self.failure
        return Outcome(stored=len(given.records))

    async def put(self, _given, failure):
        if self.full:
            raise self.full
        self.spooled.append(failure)

    async def submit(self):
        return await self.fallback.submit(batch(record()))


async def test_one_tries_for_all():
    """
    After a failure requests go into the spool at once, but for one each half second, until that
    one is stored; with it all others are again.
    """
    place = Place()
    place.failure = Unavailable("away")
    for _ in range(5):
        assert (await place.submit()).spooled
    assert (1, True) == (place.tried, place.fallback.away)
    place.now = TRY
    for _ in range(5):
        assert (await place.submit()).spooled
    assert (2, True) == (place.tried, place.fallback.away)
    place.failure, place.now = None, 2 * TRY
    for _ in range(5):
        assert not (await place.submit()).spooled
    assert (7, False) == (place.tried, place.fallback.away)


async def test_only_what_may_be_stored_is_looked_for():
    """
    The spool is told of a commit that was cut off with the request whose commit it was.
    """
    place = Place()
    place.failure = Uncertain("cut off", 7)
    for _ in range(3):
        await place.submit()

    assert [place.failure, None, None] == place.spooled


async def test_what_nobody_takes_is_told_with_both_reasons():
    """
    Where the spool takes nothing either, the sender hears why, and of Postgres.
    """
    place = Place()
    place.failure, place.full = Unavailable("is away"), SpoolFull("is full")
    for _ in range(2):
        with pytest.raises(SpoolFull, match=r"is full.*is away"):
            await place.submit()


async def test_a_fault_of_ours_opens_no_spool():
    """
    What we can't write is the sender's to know, and no sign that the database is away.
    """
    place = Place()
    place.failure = Faulty("a bug")
    with pytest.raises(Faulty):
        await place.submit()

    assert not place.fallback.away
    assert not place.spooled


async def test_an_old_failure_says_nothing():
    """
    Where no request has come since an outage, the database is not taken to be away for ever.
    """
    place = Place()
    place.failure = Unavailable("away")
    await place.submit()
    assert place.fallback.away
    place.now = STALE
    assert not place.fallback.away


async def test_nothing_is_stored_at_once():
    """
    A request without records is answered, whatever is away, and no sign that it is back.
    """
    place = Place()
    place.failure = Unavailable("away")
    await place.submit()
    outcome = await place.fallback.submit(batch())

    assert (0, False) == (outcome.stored, outcome.spooled)
    assert place.fallback.away
