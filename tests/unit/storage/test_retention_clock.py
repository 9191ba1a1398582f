"""Which time retention counts from when a clock jumps."""

from __future__ import annotations

import datetime as dt

import pytest

from storage.retention_clock import Clock
from tests.builders import NOON

HOUR = dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("shown", "counted"),
    [
        pytest.param([0.2, 20, 44], [0.2, 20, 44], id="on and on"),
        pytest.param([24, 25], [24, 25], id="a day without the collector"),
        pytest.param([-9_000, -8_999], [-9_000, -8_999], id="back is believed"),
        pytest.param([2_000, 2_012, 2_023.9], [0, 0, 0], id="ahead waits for a day"),
        pytest.param([2_000, 2_012, 2_024, 2_025], [0, 0, 2_024, 2_025], id="and then counts"),
        pytest.param([2_000, 0.5, 1], [0, 0.5, 1], id="ahead and mended"),
        pytest.param([2_000, 2_012, 4_000, 4_012], [0] * 4, id="each jump waits anew"),
        pytest.param([2_000, 2_020, 1_990, 2_012], [0] * 4, id="back within a jump as well"),
        pytest.param([-9_000, 0, 12], [-9_000] * 3, id="back, and mended after a look"),
    ],
)
def test_jumps(shown, counted):
    """
    Time counts as clocks show it, but not what comes after a jump ahead by more than a day,
    before that has stood for a day.
    """
    clock, found = Clock(NOON, NOON), []
    for hours in shown:
        clock = clock.moved(NOON + hours * HOUR)
        found.append((clock.counted - NOON) / HOUR)

    assert counted == pytest.approx(found)
    assert (clock.until is None) is (clock.counted == clock.seen)
