"""How fast records are sent."""

from __future__ import annotations

import asyncio

import pytest

from collector.forwarding.pace import BUSY, FIRST, SHARE, Courtesy, Pace


@pytest.fixture(name="slept")
def _slept(monkeypatch):
    """How long was slept, each time."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return slept


async def test_the_rate_is_kept(slept):
    """
    With a rate_limit records are spread over time; without, nothing is waited for.
    """
    now = 0.0
    pace = Pace(100, lambda: now)
    await pace.spend(50)
    await pace.spend(50)
    now = 10.0
    await pace.spend(50)
    await Pace(0).spend(50)

    assert [0, 0.5, 0] == slept


async def test_requests_go_first(monkeypatch):
    """
    While records are taken in and the event loop is late, pauses get longer, until what is sent is
    a small share of what is taken in, or as little as nobody waits for; else they get shorter,
    until there are none. Where nobody sends us anything there are none at once.
    """
    now, late = 0.0, True
    slept = []
    courtesy = Courtesy(lambda: now)

    async def sleep(seconds):
        nonlocal now
        if seconds:
            slept.append(seconds)
        else:
            now += 0.001 if late else 0.00001

    async def passed(taken):
        nonlocal now
        now += 1
        courtesy.took(taken)
        slept.append(0)
        await courtesy.pause(500)
        now += 1000  # the pause is over
        courtesy._looked = now
        return round(slept[-1], 6)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    assert 0 == await passed(100)
    many = int(2 * BUSY / SHARE)
    growing = [await passed(many) for _ in range(4)]
    assert [each * 500 / (2 * BUSY) for each in (FIRST, 4 * FIRST, 1, 1)] == pytest.approx(
        growing, rel=0.02
    )
    assert 500 / BUSY == await passed(2 * BUSY)
    assert 0 == await passed(BUSY)
    for _ in range(3):
        longest = await passed(many)
    late = False
    shrinking = [await passed(many) for _ in range(9)]
    assert longest / 2 == pytest.approx(shrinking[0])
    assert shrinking == sorted(shrinking, reverse=True)
    assert 0 == shrinking[-1]


async def test_all_destinations_share_the_pauses(slept):
    """
    However many destinations there are, all together send no more than one would.
    """
    courtesy = Courtesy(lambda: 0.0)
    courtesy._length, courtesy._rate = 1.0, 10_000
    for _ in range(3):
        await courtesy.pause(120)

    assert [0.1, 0.2, 0.3] == [round(seconds, 6) for seconds in slept]
