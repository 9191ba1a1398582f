"""How much each key may send."""

from __future__ import annotations

import pytest

from collector.access.rates import Rates
from collector.errors import TooMany
from collector.sections import RateLimits


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def may(rates, key=1):
    """Tell after how many seconds *key* may send, by what it is told; 0 is now."""
    try:
        rates.admit(key, "some")
    except TooMany as exc:
        return int(exc.headers["Retry-After"])
    return 0


def test_requests():
    """
    A key may send what it may in two seconds at once, then so many a second; others are free.
    """
    clock = Clock()
    rates = Rates(RateLimits(requests=5), clock)
    first = [may(rates) for _ in range(11)]
    other = may(rates, key=2)
    clock.now = 1.0
    later = [may(rates) for _ in range(6)]

    assert [0] * 10 + [1] == first
    assert other == 0
    assert [0] * 5 + [1] == later


def test_bytes():
    """
    A request that is larger than what a key may send is taken, and paid for afterwards.
    """
    clock = Clock()
    rates = Rates(RateLimits(bytes=1_000), clock)
    assert may(rates) == 0
    rates.sent(1, 7_000)

    assert may(rates) == 6
    clock.now = 5.1
    assert may(rates) == 0


@pytest.mark.parametrize(("rate", "wait"), [(0.0, 0), (0.1, 10)])
def test_few_or_none(rate, wait):
    """
    0 is no limit, and less than one a second is one at a time.
    """
    rates = Rates(RateLimits(requests=rate), Clock())

    assert [0, wait] == [may(rates), may(rates)]
