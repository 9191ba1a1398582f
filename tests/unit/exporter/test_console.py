"""What is seen of an event where the service runs."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pixsim_otel.console import CleanConsoleRenderer, JSONRenderer

EVENT = {
    "timestamp": "2025-11-13T12:00:05.123456Z",
    "level": "warning",
    "service": "api",
    "env": "dev",
    "event": "job_started",
    "job_id": 5,
    "ok": True,
    "error": None,
    "params": {"a": [1, "ä"]},
}


def render(event, **options):
    return CleanConsoleRenderer(**{"colors": False, **options})(None, "info", event)


def test_line_for_people():
    """The line begins with local time, level, service and event, aligned; the rest follows."""
    clock = dt.datetime.fromisoformat(EVENT["timestamp"]).astimezone().strftime("%H:%M:%S")

    assert (
        f"[{clock}] WARN  api        job_started                    "
        'job_id=5 ok=true error=null params={"a":[1,"ä"]}'
    ) == render(EVENT)


def test_colors():
    """Colours surround the parts, and are all undone."""
    line = render(EVENT, colors=True)

    assert "\x1b[33mWARN \x1b[0m" in line
    assert line.count("\x1b[") == 2 * line.count("\x1b[0m")


def test_tracebacks_follow():
    """Tracebacks and stacks are on lines of their own."""
    lines = render({**EVENT, "exception": "Traceback\nValueError", "stack": "Stack"}).split("\n")

    assert ["Stack", "Traceback", "ValueError"] == lines[1:]


def test_event_is_not_changed():
    """A renderer leaves the event to whoever else has it."""
    event = dict(EVENT)
    render(event)

    assert EVENT == event


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"event": 5, "service": None, "level": None, "timestamp": 5},
        {"event": {"a": 1}, "timestamp": "yesterday"},
        {"event": "x", "value": {1: object()}},
    ],
)
def test_odd_events(event):
    """Whatever an event is made of, a line comes of it."""
    assert render(event).startswith("[")


def test_json():
    """JSON is one line with all fields in their order, its text as it is."""
    line = JSONRenderer()(None, "info", EVENT)

    assert "\n" not in line
    assert "ä" in line
    assert list(EVENT.items()) == list(json.loads(line).items())


def cyclic():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [object(), "\ud800", cyclic(), {(1, 2): 3}, {"x": {1, 2}}, 1j, float("nan"), ValueError("x")],
)
def test_what_is_no_json(value):
    """A value that JSON has no form for costs neither the line nor the log call."""
    line = JSONRenderer()(None, "info", {"event": "kept", "value": value})

    assert json.loads(line)["event"] == "kept"


@given(st.dictionaries(st.text(), st.none() | st.floats() | st.integers() | st.text()))
def test_any_event(event):
    """Of any event both formats make text that can be written."""
    JSONRenderer()(None, "info", event).encode()
    render(event)
