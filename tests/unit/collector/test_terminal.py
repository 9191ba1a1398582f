"""Records as lines of a terminal, and the story of a job."""

from __future__ import annotations

import datetime as dt

import pytest

from collector.terminal.lines import duration, line, shown
from collector.terminal.timeline import timeline

NOON = dt.datetime(2025, 11, 13, 12, tzinfo=dt.UTC)


def entry(seconds=0.0, **fields):
    """A record as the query API gives it."""
    time = (NOON + dt.timedelta(seconds=seconds)).isoformat(timespec="microseconds")
    return {
        "timestamp": time.replace("+00:00", "Z"),
        "level": "INFO",
        "severity_number": 9,
        "service": "api",
        "msg": "hello",
        **fields,
    }


def story(*entries):
    return [told.plain for told in timeline("job 1", entries)]


def test_a_line_says_what_matters():
    """
    A line has time, level, service, stage, message, ids, attempt, duration and error.
    """
    found = line(
        entry(
            0.1234,
            level="error",
            stage="provider:submit",
            job_id=7,
            attempt=2,
            duration_ms=1500,
            error="429",
            error_type="RateLimited",
        )
    )

    assert found.plain == (
        "2025-11-13 12:00:00.123 ERROR    api provider:submit hello job_id=7 attempt=2 [1.5 s]"
        " RateLimited: 429"
    )


@pytest.mark.parametrize("hostile", ["\x1b[2J", "a\nb", "\x9b31m", "\u202egnp.exe", "\r", "\x07"])
def test_nothing_in_a_record_steers_the_terminal(hostile):
    """
    Control and direction characters of a record are shown, not obeyed.
    """
    found = line(entry(msg=hostile, service=hostile, level=hostile, error=hostile)).plain

    assert not any(character in found for character in hostile if not character.isascii())
    assert not any(ord(character) < 32 for character in found)


def test_other_text_is_shown_as_it_is():
    """
    Letters of any script and emoji stay.
    """
    assert shown("naïve 日本語 🙂 שלום") == "naïve 日本語 🙂 שלום"


def test_a_story_has_offsets_and_gaps():
    """
    Each record shows the seconds since the first, and a long pause before it has a line.
    """
    head, first, second, gap, third = story(entry(0), entry(0.25), entry(60, service="worker"))

    assert head == "job 1 · 3 records · api, worker · 2025-11-13 12:00:00 UTC, 1 min 0 s"
    assert first.split() == ["+0.000", "INFO", "api", "hello"]
    assert second.split() == ["+0.250", "INFO", "api", "hello"]
    assert gap.split() == ["┄┄", "59.8", "s", "┄┄"]
    assert third.split() == ["+60.000", "INFO", "worker", "hello"]


def test_a_story_tells_an_id_once():
    """
    An id is told where it first appears and where it changes.
    """
    told = story(entry(job_id=1, user_id=2), entry(job_id=1), entry(job_id=3, user_id=2))

    assert [text.split("hello")[1].split() for text in told[1:]] == [
        ["job_id=1", "user_id=2"],
        [],
        ["job_id=3"],
    ]


def test_a_story_counts_its_errors():
    """
    The head says how many errors there were.
    """
    assert story(entry(), entry(severity_number=17))[0].endswith(" · 1 error")


def test_a_time_beyond_python_is_shown():
    """
    A record of a year that Python doesn't know is shown like any other.
    """
    late = entry() | {"timestamp": "294276-01-01T00:00:00.000000Z"}

    assert line(late).plain.startswith("294276-01-01 00:00:00.000 INFO")
    assert len(story(entry(), late)) == 4


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 ms"),
        (0.82, "820 ms"),
        (4.21, "4.2 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (3 * 86_400 + 3_600, "3 d 1 h"),
    ],
)
def test_duration(seconds, expected):
    """
    A time span is said in the units that suit it.
    """
    assert expected == duration(seconds)
