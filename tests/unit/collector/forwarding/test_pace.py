"""How fast records are sent."""

from __future__ import annotations

import asyncio

import pytest

from collector.forwarding.pace import MOST_PAUSE, Courtesy, Pace


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


async def test_requests_go_first(slept):
    """
    While the processor is busy pauses get longer, up to a limit, by how many records are sent;
    when it is not they get shorter, until there are none.
    """
    now = worked = 0.0
    courtesy = Courtesy(lambda: now, lambda: worked)

    async def passed(seconds, share):
        nonlocal now, worked
        now += seconds
        worked += seconds * share
        before = len(slept)
        await courtesy.pause(500)
        return slept[before] if len(slept) > before else 0

    assert 0 == await passed(1, 0.7)
    growing = [await passed(0.1, 0.95) for _ in range(8)]
    assert growing == sorted(growing)
    assert (0.0025, MOST_PAUSE / 2) == (growing[0], growing[-1])
    assert MOST_PAUSE / 2 == await passed(0.01, 0)  # too early to tell
    shrinking = [await passed(0.1, 0.3) for _ in range(8)]
    assert shrinking == sorted(shrinking, reverse=True)
    assert 0 == shrinking[-1]
