"""Turns."""

from __future__ import annotations

import asyncio

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
    Between two slices the event loop serves whoever is ready.
    """
    served = []

    def slices():
        for n in range(3):
            served.append(n)
            yield

    async def other():
        for _ in range(2):
            served.append("other")
            await asyncio.sleep(0)

    await asyncio.gather(Turns().run(slices()), other())

    assert [0, "other", 1, "other", 2] == served
