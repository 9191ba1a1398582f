"""A level's name as a number."""

from __future__ import annotations

import logging

import pytest
from pixsim_otel import levels
from pixsim_otel.levels import Level


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("debug", Level(10, 5, "DEBUG")),
        ("INFO", Level(20, 9, "INFO")),
        ("warn", Level(30, 13, "WARNING")),
        ("warning", Level(30, 13, "WARNING")),
        ("exception", Level(40, 17, "ERROR")),
        ("Critical", Level(50, 21, "CRITICAL")),
        ("fatal", Level(50, 21, "CRITICAL")),
        ("loud", Level(20, 0, "LOUD")),
        (None, Level(20, 0, "NONE")),
    ],
)
def test_names(name, expected):
    """Names are known in any case and told as Python's; one that isn't has no number."""
    assert expected == levels.named(name)


def test_levels_of_the_application():
    """A level that was added to `logging` has the number of the band below it."""
    logging.addLevelName(25, "NOTICE")
    try:
        assert Level(25, 9, "NOTICE") == levels.named("notice")
    finally:
        logging._levelToName.pop(25)
        logging._nameToLevel.pop("NOTICE")
