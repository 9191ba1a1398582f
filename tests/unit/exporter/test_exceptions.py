"""What an exception was."""

from __future__ import annotations

import json
import sys
import traceback

import pytest
from pixsim_otel import exceptions


class Refused(Exception):
    """An exception of a module's."""


class Broken(Exception):
    def __str__(self):
        raise RuntimeError


def caught(raising):
    try:
        raising()
    except BaseException as error:  # noqa: BLE001  whatever it is
        return error
    raise AssertionError


def plain():
    raise Refused("no\n    more: lines")


def builtin():
    raise ValueError


def chained():
    try:
        builtin()
    except ValueError as error:
        raise Refused("in the end") from error


def group():
    raise ExceptionGroup("both", [ValueError("one"), Refused("two")])


def deep():
    return deep()


NAME = f"{__name__}.Refused"


@pytest.mark.parametrize(
    ("raising", "kind", "message"),
    [
        (plain, NAME, "no\n    more: lines"),
        (builtin, "ValueError", ""),
        (chained, NAME, "in the end"),
        (group, "ExceptionGroup", "both (2 sub-exceptions)"),
        (deep, "RecursionError", "maximum recursion depth exceeded"),
    ],
)
def test_type_and_message(raising, kind, message):
    """Type and message are told, and are found again in a traceback that is only text."""
    error = caught(raising)

    made = exceptions.formatted(error)
    read = exceptions.read("".join(traceback.format_exception(error)).rstrip())

    assert (kind, message) == (made.type, made.message)
    assert (kind, message) == (read.type, read.message)
    assert made == read


def test_groups_are_whole():
    """The members of a group are in its traceback."""
    text = exceptions.formatted(caught(group))

    assert "ValueError: one" in text
    assert "Refused: two" in text


@pytest.mark.parametrize("text", ["", "failed", "failed: no header", "Traceback: no", "  + x"])
def test_other_text(text):
    """Text that is no traceback has no type and is kept."""
    read = exceptions.read(text)

    assert (text, "", "") == (str(read), read.type, read.message)


def test_exception_that_raises():
    """An exception whose own methods raise is told all the same."""
    made = exceptions.formatted(caught(lambda: (_ for _ in ()).throw(Broken())))

    assert made.type == f"{__name__}.Broken"
    assert made.message == "<no message: RuntimeError>"


@pytest.mark.parametrize(
    "form",
    [lambda error: error, lambda error: (type(error), error, None), lambda _: True, lambda _: 1],
)
def test_forms_of_exc_info(form):
    """`exc_info` is an exception, a tuple of `sys.exc_info`, or a word for the current one."""
    try:
        plain()
    except Refused as error:
        event = exceptions.render_exception(None, "error", {"exc_info": form(error)})

    assert ["exception"] == list(event)
    assert event["exception"].type == NAME


@pytest.mark.parametrize("exc_info", [False, None, True, (None, None, None)])
def test_no_exception(exc_info):
    """Where there is no exception nothing is told of one."""
    assert sys.exc_info() == (None, None, None)
    assert {} == exceptions.render_exception(None, "error", {"exc_info": exc_info})


def test_is_text():
    """To a renderer a traceback is text."""
    made = exceptions.formatted(caught(builtin))

    assert str(made) == json.loads(json.dumps(made))
