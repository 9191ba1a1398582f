"""A tail at a terminal goes on after whatever breaks its connection."""

from __future__ import annotations

import contextlib

import pytest

from collector.terminal import tail
from collector.terminal.client import Failed, Refused
from collector.terminal.tail import Tail


class Collector:
    """Answers with what was prepared: lines, and an error at their end."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    @contextlib.contextmanager
    def stream(self, *_path, parameters):
        self.asked.append(dict(parameters)["from"])
        lines, error = self.answers.pop(0)
        yield self.lines(lines, error)

    def lines(self, lines, error):
        yield from lines
        if error is not None:
            raise error


def caught_up(position):
    return [b"id: %d\n" % position, b"event: caught_up\n", b"data: {}\n", b"\n"]


def record(position):
    return [b"id: %d\n" % position, b"data: r%d\n" % position, b"\n"]


def test_it_goes_on_after_the_last_record(monkeypatch, capsys):
    """
    After each break it waits longer, asks for what comes after the last record that was whole,
    and says so; a refusal ends it.
    """
    waits = []
    monkeypatch.setattr(tail.time, "sleep", waits.append)
    collector = Collector(
        (caught_up(1) + record(2) + record(3)[:2], Failed("it broke off")),
        ([], Failed("it is away")),
        ([], Failed("it is away")),
        ([*record(3), b"event: bye\n", b"data: {}\n", b"\n"], None),
        (record(4), None),
        ([], Refused("the position is another server's")),
    )
    found = []
    with pytest.raises(Refused):
        found.extend(Tail(collector, None, None).records())
    told = capsys.readouterr().err

    assert [b"r2", b"r3", b"r4"] == found
    assert [None, "2", "2", "2", "3", "4"] == collector.asked
    assert [1, 2, 4, 1, 1] == waits
    assert "it broke off; trying again in 1.0 s" in told
    assert 2 == told.count("connected again")


def test_a_collector_that_was_never_there_is_not_waited_for():
    """
    Whoever misspells the address hears it at once.
    """
    with pytest.raises(Failed):
        next(Tail(Collector(([], Failed("it is away"))), None, None).records())
