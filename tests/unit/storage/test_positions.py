"""Positions: sets of transactions, and their text."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.moments import FROM_1970, INFINITY, literal, moment, time, time_within
from storage.positions import BEGINNING, Place, Position, Snapshot

UPTO = 12  # transactions in these tests


@st.composite
def snapshots(draw):
    xmax = draw(st.integers(0, UPTO))
    return Snapshot(xmax, tuple(sorted(draw(st.sets(st.integers(0, max(xmax - 1, 0)))) - {xmax})))


def seen(snapshot):
    """Give the transactions that *snapshot* sees."""
    return {xid for xid in range(UPTO + 3) if snapshot.sees(xid)}


@given(snapshots(), snapshots(), st.integers(0, UPTO + 1))
def test_snapshots_are_sets(one, other, xid):
    """
    What a position has read grows like a set, and one snapshot stands for each set.
    """
    assert seen(one | other) == seen(one) | seen(other)
    assert seen(one.until(xid)) == {each for each in seen(one) if each <= xid}
    for each in (*one.running, one.xmax):
        assert seen(one.plus(each)) == seen(one) | {each}


@given(snapshots(), st.data())
def test_text(snapshot, data):
    """
    A position's text gives the same position back, and is safe in URLs and headers.
    """
    place = Place(
        data.draw(st.sampled_from([snapshot.xmax, *snapshot.running])),
        data.draw(st.integers(-INFINITY - 1, INFINITY)),
        data.draw(st.integers(-INFINITY - 1, INFINITY)),
        data.draw(st.integers(0, INFINITY)),
    )
    for position in (Position(snapshot), Position(snapshot, place)):
        assert position == Position.parse(str(position))
        assert not set(str(position)) - set("0123456789._-")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "-1",
        "5.",
        "5.5",
        "5.6",
        "5.3.2",
        "5.2.2",
        "5 ",
        "\N{ARABIC-INDIC DIGIT FIVE}",
        "5_",
        "5_5.0.0",
        "5_6.0.0.0",
        "5_4.0.0.0",
        "5_5.99999999999999999999.0.0",
        "5_5.9223372036854775808.0.0",
        "5_5.0.0.-1",
        "9223372036854775808",
        "99999999999999999999999",
    ],
)
def test_other_texts_are_refused(text):
    """
    What is no position is refused, whatever it looks like.
    """
    with pytest.raises(ValueError, match="is no position"):
        Position.parse(text)


def test_records_before_a_position():
    """
    A position tells of each record that was read, by the position after it, whether it is
    before that.
    """
    here = Position(Snapshot(9, (4, 7)), Place(7, 100, 5, 2))
    after = {
        (7, 100, 5): True,
        (7, 100, 6): False,
        (7, 99, 6): True,
        (7, 101, 1): False,
        (4, 0, 0): False,
        (3, 999, 9): True,
        (9, 0, 0): False,
    }

    for (xid, at, number), expected in after.items():
        record = Position(BEGINNING.seen, Place(xid, at, number, 1))
        assert here.includes(record) == expected
    with pytest.raises(ValueError, match="not beside a record"):
        here.includes(BEGINNING)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (0, "J2451545 00:00:00.000000+00"),
        (-1, "J2451544 23:59:59.999999+00"),
        (INFINITY, "infinity"),
        (-INFINITY - 1, "-infinity"),
    ],
)
def test_literal(moment, expected):
    """
    Postgres reads every time that it has, also those before and after Python's.
    """
    assert expected == literal(moment)


@given(st.datetimes(timezones=st.just(dt.UTC)))
def test_time(sent):
    """
    A moment is a time of Python's where that has one, and the other way round.
    """
    assert sent == time(moment(sent))
    assert moment(dt.datetime(2000, 1, 2, microsecond=1, tzinfo=dt.UTC)) == 86_400_000_001
    assert moment(dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) == -FROM_1970
    assert [None, None] == [time_within(INFINITY), time_within(-INFINITY - 1)]
