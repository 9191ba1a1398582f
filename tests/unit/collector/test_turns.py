"""Turns."""

from __future__ import annotations

import asyncio
import time

from collector.turns import SLICES_A_TURN, Turns


async def test_requests_are_decoded_in_the_order_they_ask_in():
    """
    A short request is done before the next one starts; a long one lets others in between.
    """
    turns = Turns()
    done = []

    def slices(name, number):
        for _ in range(number):
            done.append(name)
            yield

    await asyncio.gather(
        turns.run(slices("long", SLICES_A_TURN + 2)),
        turns.run(slices("short", 3)),
        turns.run(slices("other", 2)),
    )

    assert ["long"] * SLICES_A_TURN + ["short"] * 3 + ["other"] * 2 + ["long"] * 2 == done


async def test_others_run_between_slices():
    """
    Between two slices the event loop serves whoever is ready, for as long as a slice took.
    """
    served = []

    def slices():
        for n in range(3):
            served.append(n)
            time.sleep(0.001)
            yield

    async def other():
        for _ in range(2):
            served.append("other")
            await asyncio.sleep(0)

    await asyncio.gather(Turns().run(slices()), other())

    assert [0, "other", 1, "other", 2] == served


async def test_decoding_takes_as_long_as_others_take():
    """
    Where the loop is busy for long with others, more than one request is decoded in between.
    """
    turns = Turns()
    rounds = [0]
    decoded = []

    def slices():
        decoded.append(rounds[0])
        yield

    async def others():
        while len(decoded) < 50:
            rounds[0] += 1
            time.sleep(0.02)  # noqa: ASYNC251  it is the loop that is busy
            await asyncio.sleep(0)

    await asyncio.gather(others(), *(turns.run(slices()) for _ in range(50)))

    assert len(set(decoded)) < 10


async def test_what_fails_is_told_and_others_go_on():
    """
    A request that cannot be decoded fails alone, whoever's turn it was.
    """
    turns = Turns()

    def good():
        yield

    def bad():
        yield
        raise ValueError("bad")

    found = await asyncio.gather(
        *(turns.run(each()) for each in (bad, good, bad, good)), return_exceptions=True
    )

    assert ["bad", "None", "bad", "None"] == [str(each) for each in found]
