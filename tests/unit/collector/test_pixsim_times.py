"""The times of native records."""

from __future__ import annotations

import datetime as dt

import pytest

from collector.receivers.pixsim.times import moment
from storage import moments


def utc(*fields):
    return dt.datetime(*fields, tzinfo=dt.UTC)


TIME = utc(2025, 11, 13, 0, 30, 0, 123456)
SECOND = utc(2025, 11, 13, 0, 30)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param("2025-11-13T00:30:00.123456Z", (TIME, None), id="Z"),
        pytest.param("2025-11-13T02:30:00.123456+02:00", (TIME, None), id="offset east"),
        pytest.param("2025-11-12T19:00:00.123456-05:30", (TIME, None), id="offset west"),
        pytest.param("2025-11-13T00:30:00.123456", (TIME, None), id="naive is UTC"),
        pytest.param("2025-11-13 00:30:00.123456", (TIME, None), id="space"),
        pytest.param("2025-11-13t00:30:00z", (SECOND, None), id="small letters"),
        pytest.param(" 2025-11-13T00:30:00Z\n", (SECOND, None), id="blanks around"),
        pytest.param("2025-11-13T00:30Z", (SECOND, None), id="without seconds"),
        pytest.param("2025-11-13", (utc(2025, 11, 13), None), id="date only"),
        pytest.param("20251113T003000Z", (SECOND, None), id="basic format"),
        pytest.param("2025-11-13T00:30:00.123456789Z", (TIME, 789), id="nanoseconds"),
        pytest.param("2025-11-13T00:30:00.1234567Z", (TIME, 700), id="seven digits"),
        pytest.param("2025-11-13T02:30:00.123456789+02:00", (TIME, 789), id="ns and offset"),
        pytest.param("2025-11-13T00:30:00.123456000Z", (TIME, None), id="zero ns"),
        pytest.param("2025-11-13T00:30:00.123456789123Z", (TIME, 789), id="picoseconds cut"),
        pytest.param(1_762_993_800, (SECOND, None), id="seconds"),
        pytest.param(1_762_993_800.123456, (TIME, None), id="fractions of seconds"),
        pytest.param(1_762_993_800_123, (utc(2025, 11, 13, 0, 30, 0, 123000), None), id="ms"),
        pytest.param(1_762_993_800_123_456, (TIME, None), id="us"),
        pytest.param(1_762_993_800_123_456_789, (TIME, 789), id="ns"),
        pytest.param(0, (utc(1970, 1, 1), None), id="zero"),
        pytest.param(-1, (utc(1969, 12, 31, 23, 59, 59), None), id="before 1970"),
    ],
)
def test_moment(sent, expected):
    """
    A time is ISO 8601 with Z, an offset or neither (UTC), a date, or a Unix number.
    """
    time, nanoseconds = expected

    assert (moments.moment(time), nanoseconds) == moment(sent)


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "yesterday",
        "2025-13-01T00:00:00Z",
        "0001-01-01T00:00:00+02:00",
        "9999-12-31T23:59:59-02:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
        "10000-01-01T00:00:00Z",
        "\u0662\u0660\u0662\u0665-11-13",
        10**400,
        -(10**30),
        float("inf"),
        float("nan"),
        1e300,
        True,
        [],
        {},
    ],
    ids=repr,
)
def test_no_time(sent):
    """
    Anything else, and a time that Python or the database can't say, is no time.
    """
    with pytest.raises(ValueError, match=r"."):
        moment(sent)
