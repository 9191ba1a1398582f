"""What holds for every text, and for every search."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector.search import Mistake, parse, written
from storage import filters
from storage.search import EVERYTHING
from tests.builders import NOON
from tests.searching import searches

PIECES = [
    *("service", "job_id", "level", "timestamp", "last", "duration_ms", "extra.a", "host.name"),
    *(":", ":", ">=", "<", "(", ")", '"', "*", "-", " ", " ", "OR", "AND", "NOT", " OR ", "\\"),
    *(
        "a",
        "ab",
        "error",
        "12",
        "1.5",
        "1h",
        "2025-11-13",
        "\n",
        "ä",
        "\0",
        "\ud800",
        "=",
        "!=",
        "//",
    ),
]
soup = st.lists(st.sampled_from(PIECES) | st.characters(), max_size=25).map("".join)


@settings(max_examples=400, deadline=None)
@given(text=soup | st.text())
@example(text="(" * 5_000)
@example(text="-" * 5_000 + "a")
@example(text="NOT " * 5_000)
@example(text="a " * 5_000)
@example(text="f:(" + "a OR " * 5_000)
@example(text='"' + "\\" * 5_001)
@example(text="x>" + "9" * 10_000)
@example(text="last:" + "9" * 10_000 + "s")
def test_any_text(text):
    """
    Any text is a search that compiles, and is written as text that reads the same; or it has
    a mistake that is within it.
    """
    try:
        found = parse(text)
    except Mistake as exc:
        mistake = exc
    else:
        assert str(filters.where(found, NOON))
        assert found == parse(written(found))
        return

    assert 1 <= mistake.column
    assert 1 <= mistake.length
    assert mistake.column + mistake.length - 1 <= len(text)
    assert mistake.expected
    assert mistake.found


@settings(max_examples=200, deadline=None)
@given(search=searches)
def test_round_trip(search):
    """
    A search that is written as text reads as the same search.
    """
    assert search == parse(written(search))


@settings(max_examples=100, deadline=None)
@given(search=searches)
def test_searches_compile(search):
    """
    Every search has a condition in SQL, whose arguments are all in it.
    """
    where = filters.where(search, NOON)

    assert all(f"${n}" in str(where) for n in range(1, len(where.arguments) + 1))


def test_everything():
    """
    Nothing but space asks for everything, and is how that is written.
    """
    assert EVERYTHING == parse(" \n ") == parse(written(EVERYTHING))
    assert written(EVERYTHING) == ""
