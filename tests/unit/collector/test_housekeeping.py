"""Chores beside the requests: when they are done, and what happens when one fails."""

from __future__ import annotations

import asyncio

import structlog

from collector.housekeeping import Chore, housekeeping
from storage.errors import Unavailable


class Work:
    """Something to do that counts how often it was done, and may fail the first time."""

    def __init__(self, *, failure=None):
        self.times = 0
        self.done = asyncio.Condition()
        self._failure = failure

    async def __call__(self):
        async with self.done:
            self.times += 1
            self.done.notify_all()
        if self._failure is not None and self.times == 1:
            raise self._failure
        return [f"did it {self.times}"]

    async def until(self, times):
        async with asyncio.timeout(5), self.done:
            await self.done.wait_for(lambda: self.times >= times)


async def test_first_and_again():
    """
    What requests have to wait for is done before the block, all else beside it, and both again
    after their interval, until the block ends.
    """
    before, beside = Work(), Work()
    chores = [
        Chore(name="a", interval=0.001, do=before, before=True),
        Chore(name="b", interval=0.001, do=beside),
    ]
    async with housekeeping(chores):
        at_first = before.times, beside.times
        await before.until(3)
        await beside.until(3)
    times = before.times, beside.times
    await asyncio.sleep(0.01)

    assert at_first == (1, 0)
    assert times == (before.times, beside.times)


async def test_what_was_done_is_logged():
    """
    What a chore did is in the log, by its name.
    """
    work = Work()
    with structlog.testing.capture_logs() as lines:
        async with housekeeping([Chore(name="a", interval=60, do=work, before=True)]):
            pass

    assert [("housekeeping", "a", ["did it 1"])] == [
        (line["event"], line["chore"], line["did"]) for line in lines
    ]


async def test_the_next_time_mends_it():
    """
    A chore that the database refuses is tried again after its interval, and says so.
    """
    work = Work(failure=Unavailable("away"))
    with structlog.testing.capture_logs() as lines:
        async with housekeeping([Chore(name="a", interval=0.001, do=work, before=True)]):
            await work.until(2)

    assert ("housekeeping_failed", "a", "away") == tuple(
        lines[0][key] for key in ("event", "chore", "error")
    )


async def test_a_bug_ends_nothing_else():
    """
    A chore that fails in any other way is told with its traceback, and tried again.
    """
    work = Work(failure=KeyError("x"))
    with structlog.testing.capture_logs() as lines:
        async with housekeeping([Chore(name="a", interval=0.001, do=work)]):
            await work.until(2)

    assert ("housekeeping_failed", "a", True) == tuple(
        lines[0][key] for key in ("event", "chore", "exc_info")
    )


async def test_what_the_database_did_not_do_is_tried_soon(monkeypatch):
    """
    A chore that failed because the database was away waits for no long interval.
    """
    monkeypatch.setattr("collector.housekeeping.AGAIN", 0.001)
    first, beside = Work(failure=Unavailable("away")), Work(failure=Unavailable("away"))
    chores = [
        Chore(name="a", interval=600, do=first, before=True),
        Chore(name="b", interval=600, do=beside),
    ]
    async with housekeeping(chores):
        await first.until(2)
        await beside.until(2)
        await asyncio.sleep(0.01)

    assert (2, 2) == (first.times, beside.times)
