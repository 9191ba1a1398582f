"""What was lost, counted and said."""

from __future__ import annotations

import io
import sys

import pytest
from pixsim_otel import drops
from pixsim_otel.drops import Drops

from tests.unit.exporter.records import WORKER


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture(name="clock")
def _clock():
    return Clock()


@pytest.fixture(name="dropped")
def _dropped(clock):
    return Drops(clock)


def test_said_at_once_then_once_a_minute(dropped, clock, capsys):
    """
    The first loss is said at once, what follows within a minute is said together after it.
    """
    said = []
    for now in (0, 1, 59, 60, 61, 200):
        clock.now = now
        if now < 61:
            dropped.count(drops.QUEUE_FULL, 10)
        dropped.say()
        said.append(capsys.readouterr().err)

    assert [
        "pixsim_otel: 10 log records dropped: 10 queue_full\n",
        "",
        "",
        "pixsim_otel: 30 log records dropped: 30 queue_full\n",
        "",
        "",
    ] == said


def test_said_at_the_end(dropped, capsys):
    """
    At the end nothing waits for the minute to be over.
    """
    dropped.count(drops.REFUSED, 2, "HTTP 400")
    dropped.say()
    dropped.count(drops.REFUSED, 3, "HTTP 401")
    dropped.count(drops.UNSENT, 4)
    dropped.say(at_once=True)
    dropped.say(at_once=True)

    assert [
        "pixsim_otel: 2 log records dropped: 2 refused (HTTP 400)",
        "pixsim_otel: 7 log records dropped: 3 refused (HTTP 401), 4 unsent",
    ] == capsys.readouterr().err.splitlines()


def test_record(dropped, clock):
    """
    Losses are a log record too, once a minute, whatever was said on stderr.
    """
    dropped.count(drops.QUEUE_FULL, 2)
    dropped.count(drops.REJECTED, 1, "too old")
    dropped.say()
    first = dropped.record(WORKER)
    dropped.count(drops.QUEUE_FULL, 5)
    second = dropped.record(WORKER)
    clock.now = 60
    third = dropped.record(WORKER)

    assert ("logs_dropped", 13, "WARNING", WORKER) == (
        first.body,
        first.severity_number,
        first.severity_text,
        first.resource,
    )
    assert {
        "dropped": 3,
        "queue_full": 2,
        "rejected": 1,
        "rejected_reason": "too old",
    } == first.attributes
    assert second is None
    assert {"dropped": 5, "queue_full": 5} == third.attributes


def test_cut_values_are_no_lost_records(dropped, capsys):
    """
    Values that were cut are told apart from records that are lost.
    """
    dropped.count(drops.CUT_VALUES, 3)
    dropped.say()

    assert "pixsim_otel: 3 values cut\n" == capsys.readouterr().err
    assert ("values_cut", {"dropped": 0, "cut_values": 3}) == (
        (found := dropped.record(WORKER)).body,
        found.attributes,
    )


def test_without_losses(dropped, capsys):
    """
    Nothing is said of nothing.
    """
    dropped.say(at_once=True)

    assert ("", None) == (capsys.readouterr().err, dropped.record(WORKER))


def test_without_stderr(dropped, monkeypatch):
    """
    A process whose stderr is closed loses nothing but the words.
    """
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    dropped.count(drops.QUEUE_FULL)

    dropped.say()

    assert 1 == dropped.totals[drops.QUEUE_FULL]
