"""The collector's own log: what it says again and again is said a few times."""

from __future__ import annotations

import pytest
import structlog

from collector.own_log import MOST, PERIOD, Repeats
from collector.telemetry import log_lines_suppressed


def said(repeats, lines, method="warning"):
    """Give those of *lines* that are not left out."""
    found = []
    for line in lines:
        try:
            found.append(repeats(None, method, line))
        except structlog.DropEvent:
            continue
    return found


def test_repeats_are_left_out_and_counted():
    """
    Of a warning a few are written a minute, for each of its causes, whatever else they say; how
    many were left out is in the next line, and in the counter.
    """
    clock = [0.0]
    repeats = Repeats(lambda: clock[0])
    counter = log_lines_suppressed.labels("told")
    before = counter._value.get()
    lines = [{"event": "told", "rule": "a", "error": n} for n in range(MOST + 7)]

    assert lines[:MOST] == said(repeats, lines)
    assert 7 == counter._value.get() - before
    assert 1 == len(said(repeats, [{"event": "told", "rule": "b"}]))
    clock[0] = PERIOD
    assert [{**lines[0], "left_out": 7}] == said(repeats, lines[:1])
    assert lines[:1] == said(repeats, lines[:1])


@pytest.mark.parametrize("method", ["info", "debug"])
def test_what_is_no_trouble_is_all_written(method):
    """
    Lines that tell of no trouble are changes of state, and all of them are written.
    """
    lines = [{"event": "told"}] * (2 * MOST)

    assert lines == said(Repeats(lambda: 0.0), lines, method)
