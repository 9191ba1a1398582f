"""What is typed in an unfinished search, and what is suggested for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.search import completion, parse
from tests.unit.collector.test_search_properties import soup

# "|" is the cursor, and what a suggestion takes the place of is in brackets.
TYPED = [
    ("[]|", None, "", True),
    ("[ser|]", None, "ser", True),
    ("[ser|vice:]api", None, "ser", True),
    ("a [ser|vice]", None, "ser", False),
    ("-[st|]", None, "st", True),
    ("([st|])", None, "st", True),
    ("a OR [st|]", None, "st", True),
    ("service:[]|", "service", "", None),
    ("service:[ap|i] x", "service", "ap", None),
    ("duration_ms>=[5|]", "duration_ms", "5", None),
    ("service:api [|]", None, "", False),
    ("stage:[provider:su|bmit]", "stage", "provider:su", None),
    ("stage:(a OR [b|])", "stage", "b", None),
    ("stage:(a OR [|])", "stage", "", None),
    ("stage:(a OR b) [s|]", None, "s", False),
    ('service:["my w|orker"]', "service", '"my w', None),
    ('"a key":[x|]', "a key", "x", None),
    ("last:[1|]", "last", "1", None),
    ('["a b|]', None, '"a b', True),
]


@pytest.mark.parametrize(
    ("shown", "field", "beginning", "first"), TYPED, ids=[case[0] for case in TYPED]
)
def test_typed(shown, field, beginning, first):
    """
    A cursor stands in a term, or in a value of a field; what it is in is replaced whole.
    """
    text = shown.replace("[", "").replace("]", "").replace("|", "")
    at = shown.replace("[", "").replace("]", "").index("|") + 1
    found = completion.typed(text, at)
    column = shown.replace("|", "").index("[") + 1
    length = shown.replace("|", "").index("]") - column

    assert (field, beginning, column, length) == (
        found.field,
        found.beginning,
        found.column,
        found.length,
    )
    assert first in {None, found.first}


@given(text=soup, at=st.integers(1, 40))
def test_any_text_can_be_completed(text, at):
    """
    Wherever the cursor is in any text, what is replaced is within the text.
    """
    found = completion.typed(text, at)
    suggestions = completion.terms(found, []) if found.field is None else []

    assert 1 <= found.column <= found.column + found.length <= len(text) + 1
    assert found.column + len(found.beginning) - 1 == min(at - 1, len(text))
    assert len(suggestions) <= completion.MOST


def terms(text, *keys):
    return [each.text for each in completion.terms(completion.typed(text, len(text) + 1), keys)]


def test_fields():
    """
    Fields that begin with what is typed come first, then those that have it; keys among them.
    """
    assert ["stage:", "last_stage:"] == terms("stag", "extra.last_stage")
    assert ["extra.state:"] == terms("stat", "extra.state")
    assert ['"a key":'] == terms("key", "extra.a key")


def test_operators():
    """
    Behind a field's whole name stand its operators: those of order where it has one.
    """
    order = [f"duration_ms{each}" for each in (":", "<", "<=", ">", ">=", ":*")]

    assert order == terms("duration_ms")[:6]
    assert ["service:", "service:*"] == terms("service")[:2]
    assert "timestamp:" not in terms("timestamp")[:5]


def test_keywords():
    """
    Behind a term, and not before the first one, terms may be joined.
    """
    assert {"OR", "AND", "NOT"} <= set(terms("a "))
    assert {"OR", "AND"}.isdisjoint(terms(""))
    assert ["OR"] == [each for each in terms("a O") if each.isupper()]


@pytest.mark.parametrize(
    ("text", "recent", "expected"),
    [
        ("level:", [], ["trace", "debug", "info", "warning", "error", "critical"]),
        ("level:W", [], ["warning"]),
        ("last:1", [], ["15m", "1h"]),
        ("service:", [("api", 5), ("my api", 2)], ["api", '"my api"']),
    ],
)
def test_values(text, recent, expected):
    """
    Values are those that a field may have, written so that they stand in a search.
    """
    found = completion.typed(text, len(text) + 1)
    suggested = [each.text for each in completion.values(found, recent)]

    assert expected == suggested
    assert all(parse(f"{text.partition(':')[0]}:{each}") for each in suggested)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("level:e", None),
        ("last:", None),
        ("timestamp>", None),
        ('msg:"a b', "a b"),
        ("msg:*a", "a"),
    ],
)
def test_asked(text, expected):
    """
    Recent records are asked for values only of fields that can have any.
    """
    assert expected == completion.asked(completion.typed(text, len(text) + 1))
