"""Where a text may be, as conditions."""

from __future__ import annotations

import datetime as dt

import pytest

from storage.trigrams import MOST, PART, may_contain, parts
from storage.where import Where
from tests.builders import NOON


@pytest.mark.parametrize(
    ("now", "days", "number"),
    [
        pytest.param("2025-11-13T02:59Z", 12, 9, id="yesterday too, until it has its index"),
        pytest.param("2025-11-13T03:00Z", 13, 2, id="today"),
        pytest.param("2025-11-13T23:59Z", 13, 8, id="all of today"),
        pytest.param("2025-11-13T23:30+09:00", 13, 5, id="another zone"),
        pytest.param("0001-01-01T00:00+14:00", 1, 9, id="no clock's time, early"),
        pytest.param("9999-12-31T23:59-12:00", 31, 9, id="no clock's time, late"),
    ],
)  # fmt: skip
def test_recent_parts(now, days, number):
    """
    The parts are of whole hours of UTC, one after another up to now.
    """
    found = parts(dt.datetime.fromisoformat(now))

    assert number == len(found)
    assert days == found[0][0].day
    assert all(end - start == PART for start, end in found)


def test_conditions():
    """
    A text too short for the index has no conditions; one of very many isn't asked part by part.
    """
    crowded = Where()
    crowded.arguments = [None] * (MOST + 1)

    assert may_contain(Where(), "ab", "$1", NOON) == []
    assert len(may_contain(Where(), "abc", "$1", NOON)) == 2
    assert len(may_contain(crowded, "abc", "$1", NOON)) == 1
