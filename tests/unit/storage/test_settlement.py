"""Which transactions a Citus cluster has settled: what a snapshot is without the others."""

from __future__ import annotations

import pytest

from storage.errors import Unavailable
from storage.settlement import settle, settled


class Coordinator:
    """Knows the numbers of transactions that are still prepared, as its rows have them."""

    def __init__(self, *numbers, answers=True):
        self.row = (answers, "worker-2 is away", list(numbers))

    async def fetchrow(self, _statement):
        return self.row


@pytest.mark.parametrize(
    ("snapshot", "numbers", "expected"),
    [
        pytest.param("10:20:10,12", [], "10:20:10,12", id="all are settled"),
        pytest.param("20:20:", [15, 15], "15:20:15", id="one is not, on two workers"),
        pytest.param("12:20:12", [10, 18], "10:20:10,12,18", id="beside what runs"),
        pytest.param("20:20:", [20, 25], "20:20:", id="begun later"),
        pytest.param(
            f"{2**32 + 5}:{2**32 + 5}:",
            [2**32 - 1],
            f"{2**32 - 1}:{2**32 + 5}:{2**32 - 1}",
            id="before a cycle ended",
        ),
        pytest.param(
            f"{2**32 + 5}:{2**32 + 5}:",
            [4],
            f"{2**32 + 4}:{2**32 + 5}:{2**32 + 4}",
            id="of the second cycle",
        ),
    ],
)
async def test_settled(snapshot, numbers, expected):
    """
    What is still prepared counts as running, however long ago it was committed here.
    """
    assert expected == await settled(Coordinator(*numbers), snapshot)


async def test_a_worker_that_does_not_answer():
    """
    Where a worker is away it can't be known what is settled, and nothing is concluded.
    """
    with pytest.raises(Unavailable, match="worker-2 is away"):
        await settled(Coordinator(answers=False), "20:20:")
    with pytest.raises(Unavailable, match="worker-2 is away"):
        await settle(Coordinator(answers=False))
    with pytest.raises(Unavailable, match="1 commits"):
        await settle(Coordinator(15))
    assert await settle(Coordinator()) is None
