"""Severity as a number and as a word."""

from __future__ import annotations

import importlib
import re

import pytest

from collector import levels

FUNCTIONS = importlib.import_module("migrations.versions.0001_log_entries").FUNCTIONS
IN_SQL = {word: int(found) for word, found in re.findall(r"WHEN '(\w+)' THEN (\d+)", FUNCTIONS)}


def test_numbers_are_those_of_the_database():
    """A service that inserts for itself gets the number a receiver would have given."""
    assert levels._NUMBERS == IN_SQL


@pytest.mark.parametrize("text", ["warning", "WARNING", "Warning"])
def test_c86_case_does_not_matter(text):
    """A level's name is known in any case."""
    assert levels.number(text) == 13


@pytest.mark.parametrize("text", ["", "loud", "13", " info"])
def test_unknown_words_have_no_number(text):
    """What is no level's name is unspecified."""
    assert levels.number(text) == 0
    assert levels.span(text) is None


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (-1, "INFO"),
        (0, "INFO"),
        (1, "TRACE"),
        (4, "TRACE4"),
        (5, "DEBUG"),
        (9, "INFO"),
        (10, "INFO2"),
        (16, "WARN4"),
        (17, "ERROR"),
        (24, "FATAL4"),
        (25, "INFO"),
    ],
)
def test_c87_short_names(number, expected):
    """Without a text the number's short name is shown, and INFO without both."""
    assert expected == levels.short_name(number)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trace", (1, 4)),
        ("DEBUG", (5, 8)),
        ("info", (9, 12)),
        ("Notice", (9, 12)),
        ("warning", (13, 16)),
        ("error", (17, 20)),
        ("critical", (21, 24)),
        ("emergency", (21, 24)),
    ],
)
def test_c84_spans(text, expected):
    """A filter by a level's name takes all four numbers of its band."""
    assert expected == levels.span(text)
