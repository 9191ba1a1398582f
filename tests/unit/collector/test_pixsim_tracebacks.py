"""What formatted tracebacks say of their exception; most are made by Python itself."""

from __future__ import annotations

import sys
import traceback

import pytest

from collector.receivers.pixsim.tracebacks import raised


def formatted(exc):
    try:
        raise exc
    except BaseException as caught:  # noqa: BLE001
        return "".join(traceback.format_exception(caught)).rstrip("\n")


def chained(*, explicit):
    try:
        try:
            raise KeyError("first")
        except KeyError as exc:
            raise LookupError("second") from (exc if explicit else None)
    except LookupError as exc:
        if not explicit:
            exc.__suppress_context__ = False
        return "".join(traceback.format_exception(exc))


def group():
    return formatted(ExceptionGroup("two failed", [ValueError("one"), TypeError("two")]))


def noted():
    exc = ValueError("boom")
    exc.add_note("seen twice")
    return formatted(exc)


def local_class():
    class Odd(Exception):
        pass

    return formatted(Odd("local"))


def syntax():
    try:
        compile("a b", "<made up>", "exec")
    except SyntaxError as exc:
        return "".join(traceback.format_exception(exc))


def remote():
    inner = formatted(ValueError("inner"))
    try:
        raise RuntimeError("outer") from Exception(f'\n"""\n{inner}"""')
    except RuntimeError as exc:
        return "".join(traceback.format_exception(exc))


def deep():
    def again():
        again()

    limit = sys.getrecursionlimit()
    try:
        again()
    except RecursionError as exc:
        return "".join(traceback.format_exception(exc))
    finally:
        sys.setrecursionlimit(limit)


PREFIX = f"{__name__}."
DATABASE = (
    "duplicate key\nDETAIL:  Key (id)=(1) exists.\n\n[SQL: INSERT\n  INTO jobs]\n(see: https://x)"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(formatted(ValueError("boom")), ("ValueError", "boom"), id="plain"),
        pytest.param(formatted(AssertionError()), ("AssertionError", None), id="no message"),
        pytest.param(formatted(KeyboardInterrupt()), ("KeyboardInterrupt", None), id="interrupt"),
        pytest.param(formatted(ValueError(DATABASE)), ("ValueError", DATABASE), id="many lines"),
        pytest.param(formatted(ValueError("a: b: c")), ("ValueError", "a: b: c"), id="colons"),
        pytest.param(chained(explicit=True), ("LookupError", "second"), id="cause"),
        pytest.param(chained(explicit=False), ("LookupError", "second"), id="context"),
        pytest.param(
            group(), ("ExceptionGroup", "two failed (2 sub-exceptions)"), id="the group itself"
        ),
        pytest.param(noted(), ("ValueError", "boom\nseen twice"), id="notes"),
        pytest.param(
            local_class(), (f"{PREFIX}local_class.<locals>.Odd", "local"), id="local class"
        ),
        pytest.param(syntax(), ("SyntaxError", "invalid syntax"), id="syntax error"),
        pytest.param(remote(), ("RuntimeError", "outer"), id="traceback in a message"),
        pytest.param(
            deep(), ("RecursionError", "maximum recursion depth exceeded"), id="repeated frames"
        ),
        pytest.param(
            'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\n'
            "sqlalchemy.exc.IntegrityError: (psycopg2) no",
            ("sqlalchemy.exc.IntegrityError", "(psycopg2) no"),
            id="module",
        ),
        pytest.param("ValueError: boom", ("ValueError", "boom"), id="one line"),
        pytest.param(
            "TypeError: x is not a function\n    at f (app.js:1:2)\n    at g (app.js:3:4)",
            ("TypeError", "x is not a function"),
            id="JavaScript",
        ),
        pytest.param("NoneType: None", None, id="logged outside of an except"),
        pytest.param("failed: disk full", None, id="a sentence"),
        pytest.param("MISSING", None, id="a word"),
        pytest.param("", None, id="empty"),
        pytest.param("Traceback (most recent call last):", None, id="cut off"),
        pytest.param("Traceback (most recent call last):\n  File", None, id="cut in a frame"),
    ],
)
def test_raised(text, expected):
    """
    The type and message are those of what was raised in the end.
    """
    assert expected == raised(text)


@pytest.mark.timeout(5)
@pytest.mark.parametrize(
    "text",
    ["\n" * 10**6, " " * 10**6, "a." * 500_000, "Traceback (most recent call last):\n" * 30_000],
    ids=["lines", "blanks", "dots", "headers"],
)
def test_no_text_takes_long(text):
    """
    A megabyte made to be slow is not.
    """
    assert raised(text) is None
