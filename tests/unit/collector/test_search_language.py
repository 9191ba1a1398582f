"""What the texts of searches mean, and what is said of those that are none."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

from collector.search import Mistake, parse, values, written
from collector.search.times import PATTERN, span
from storage.fields import COLUMNS
from storage.search import (
    All,
    AnyOf,
    Compare,
    Contains,
    Equals,
    Last,
    Not,
    Prefix,
    Present,
    Severity,
    Text,
)

NOON = dt.datetime(2025, 11, 13, 12, tzinfo=dt.UTC)
DOCS = Path(__file__).parents[3].joinpath("docs/search.md").read_text()
a, b, c = Text("a"), Text("b"), Text("c")

MEANINGS = [
    ("service:worker", Equals("service", ("worker",))),
    ("stage:provider:submit", Equals("stage", ("provider:submit",))),
    ('service:"my worker"', Equals("service", ("my worker",))),
    (r'msg:"a \"b\" \\ c\d"', Equals("msg", ('a "b" \\ c\\d',))),
    ('service:""', Equals("service", ("",))),
    ("service:(api OR worker)", Equals("service", ("api", "worker"))),
    ("service:( api OR w* )", AnyOf((Equals("service", ("api",)), Prefix("service", "w")))),
    ("service:(api)", Equals("service", ("api",))),
    ("job_id:123", Equals("job_id", (123,))),
    ("job_id:ingestion-55", Equals("job_id", ("ingestion-55",))),
    ("job_id:-5", Equals("job_id", (-5,))),
    ("duration_ms:1.5", Equals("duration_ms", (1.5,))),
    ("severity_number:9", Equals("severity_number", (9,))),
    ("level:WARN", Severity(13, 16)),
    ("level:(error OR critical)", AnyOf((Severity(17, 20), Severity(21, 24)))),
    ("level:loud", Equals("level", ("loud",))),
    ("level>=warning", Severity(13, None)),
    ("level>warning", Severity(17, None)),
    ("level<=warning", Severity(None, 16)),
    ("level<warning", Severity(None, 12)),
    ("level>critical", Severity(25, None)),
    ("level<trace", Severity(None, 0)),
    ("duration_ms>=500", Compare("duration_ms", ">=", 500)),
    ("attempt>1", Compare("attempt", ">", 1)),
    ("timestamp<2025-11-13T12:00:00Z", Compare("timestamp", "<", NOON)),
    ('timestamp>="2025-11-13 12:00"', Compare("timestamp", ">=", NOON)),
    ("last:1h", Last(dt.timedelta(hours=1))),
    ("last:1.5h", Last(dt.timedelta(minutes=90))),
    ("queue:7", Equals("extra.queue", ("7",))),
    ("extra.service:7", Equals("extra.service", ("7",))),
    ("host.name:atlas", Equals("host.name", ("atlas",))),
    ("resource.host.name:atlas", Equals("resource.host.name", ("atlas",))),
    ("scope.name:lib", Equals("scope.name", ("lib",))),
    ('"a key":x', Equals("extra.a key", ("x",))),
    ("latency>0.5", Compare("extra.latency", ">", 0.5)),
    ("job_id:*", Present("job_id")),
    ("-job_id:*", Not(Present("job_id"))),
    ("stage:provider:*", Prefix("stage", "provider:")),
    ('msg:"a b"*', Prefix("msg", "a b")),
    ("msg:*time*", Contains("msg", "time")),
    ('msg:*"a b"*', Contains("msg", "a b")),
    ('msg:"*"', Equals("msg", ("*",))),
    ("reset", Text("reset")),
    ('"connection reset"', Text("connection reset")),
    ("12:30", Text("12:30")),
    ("a=b", Text("a=b")),
    ("or", Text("or")),
    ('"OR"', Text("OR")),
    ("ORDER", Text("ORDER")),
    ("a b", All((a, b))),
    ("a AND b", All((a, b))),
    ("a OR b", AnyOf((a, b))),
    ("a b OR c", AnyOf((All((a, b)), c))),
    ("a (b OR c)", All((a, AnyOf((b, c))))),
    ("(a b) c", All((a, b, c))),
    ("(a OR b) OR c", AnyOf((a, b, c))),
    ("-a b", All((Not(a), b))),
    ("NOT a OR b", AnyOf((Not(a), b))),
    ("-(a b)", Not(All((a, b)))),
    ("--a", Not(Not(a))),
]


@pytest.mark.parametrize(("text", "expected"), MEANINGS, ids=[case[0] for case in MEANINGS])
def test_meaning(text, expected):
    """
    A text means this search, which is written as a text that means the same.
    """
    assert expected == parse(text)
    assert expected == parse(written(expected))


SHORT = [
    'service:worker level>=warning job_id:123 -stage:provider:* "connection reset"',
    "level:loud OR level:error",
    'queue:7 extra.state:x extra.last:y "a b":z host.name:*',
    "(a b) OR (c -d)",
    "duration_ms>=500 timestamp>=2025-11-13T12:00:00Z last:90s last:1w",
    'msg:*"a b"* msg:"x*" service:(a OR "OR")',
]


@pytest.mark.parametrize("text", SHORT)
def test_written(text):
    """
    A search is written as people write it, and no longer than needed.
    """
    assert text == written(parse(text))


MISTAKES = [
    ("a OR", 3, 2, "a condition behind this", "the end", ""),
    ("a OR OR b", 6, 2, "a condition", "`OR`", ""),
    ("(a b", 1, 1, "`)` for this parenthesis", "the end", ""),
    ("a) b", 2, 1, "the end, for no parenthesis is open", "`)`", ""),
    ("()", 2, 1, "a condition", "`)`", ""),
    ('a "b c', 3, 4, 'a closing `"`', "the end", ""),
    ('a""', 2, 2, "a space, or quotes around the whole text", '`""`', ""),
    ('""', 1, 2, "some text in the quotes", '`""`', ""),
    ("foo(bar)", 4, 1, "a space, or quotes around the whole text", "`(`", ""),
    ("- a", 1, 1, "a condition right after `-`, or `-` in quotes", "`-`", ""),
    ("service:", 1, 8, None, "the end", ""),
    ("service: api", 9, 1, None, "a space", ""),
    ("service:*api", 9, 4, "a value, or one with `*` at its end or at both ends", "`*api`", ""),
    ("service:a*i", 11, 1, None, "`i`", ""),
    ("service:(a b)", 12, 1, "`OR` or `)`", "`b`", ""),
    ("service:(a OR", 12, 2, None, "the end", ""),
    ("time*", 1, 5, "a field before `*`, or the text in quotes", "`time*`", ""),
    ("http://x/y", 1, 10, "a condition, or the address in quotes", "`http://x/y`", ""),
    ("a servcie:api", 3, 7, None, "`servcie`", "service"),
    ("Level:error", 1, 5, None, "`Level`", "level"),
    ("duration>5", 1, 8, None, "`duration`", "duration_ms"),
    ("min_level:error", 1, 9, None, "`min_level`", "level>="),
    ("level=error", 1, 11, None, "`level=error`", "level:error"),
    ("level!=error", 1, 12, None, "`level!=error`", "-level:error"),
    ("severity_number:high", 17, 4, "a whole number of at most 64 bits", "`high`", ""),
    ("job_id:9223372036854775808", 8, 19, "a whole number of at most 64 bits", None, ""),
    ("job_id>x", 8, 1, "a whole number of at most 64 bits", "`x`", ""),
    ("duration_ms>nan", 13, 3, "a number", "`nan`", ""),
    ("latency>1e999", 9, 5, "a number", "`1e999`", ""),
    ("service>5", 9, 1, "`:`, for text has no order", "`5`", ""),
    ("level>loud", 7, 4, None, "`loud`", ""),
    ("timestamp:2025-11-13", 11, 10, None, "`2025-11-13`", ""),
    ("timestamp>soon", 11, 4, "an ISO 8601 time, a date or Unix seconds", "`soon`", ""),
    ("severity_number:1*", 17, 2, None, "`1*`", ""),
    ("last:soon", 6, 4, "a number and one of s, m, h, d and w, such as 15m", "`soon`", ""),
    ("last>1h", 1, 7, "`last:` and how long, such as last:15m", "`last>1h`", ""),
    ("a \0", 3, 1, "text", "a character that no log has", ""),
    ("(" * 21 + "a" + ")" * 21, 21, 1, None, "`(`", ""),
    ("a " * 101, 201, 1, "at most 100 conditions", "`a`", ""),
]


@pytest.mark.parametrize(
    ("text", "column", "length", "expected", "found", "suggestion"),
    MISTAKES,
    ids=[case[0][:30] for case in MISTAKES],
)
def test_mistake(text, column, length, expected, found, suggestion):
    """
    A mistake has its place, what should be there, what is, and what may have been meant.
    """
    with pytest.raises(Mistake) as caught:
        parse(text)

    mistake = caught.value
    assert (column, length) == (mistake.column, mistake.length)
    assert expected in {None, mistake.expected}
    assert found in {None, mistake.found}
    assert suggestion == mistake.suggestion


@pytest.mark.parametrize("name", COLUMNS)
def test_every_column_is_a_field(name):
    """
    Every column can be asked for.
    """
    assert Present(name) == parse(f"{name}:*")


def test_names_that_are_near_a_columns():
    """
    A key whose name is nearly a column's is asked for, and written, with its place.
    """
    assert Equals("extra.servcie", ("x",)) == parse("extra.servcie:x")
    assert "extra.servcie:x" == written(Equals("extra.servcie", ("x",)))
    assert "extra.servcie:x" == written(Equals("servcie", ("x",)))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("0.5s", 0.5), ("7d", 604_800), ("2w", 1_209_600)],
)
def test_spans(text, seconds):
    """
    How long is a number and a unit.
    """
    assert dt.timedelta(seconds=seconds) == span(text)
    assert re.search(PATTERN, text)


def test_documented_examples():
    """
    Every search in the documentation is one.
    """
    table = DOCS.partition("## Grammar")[0]
    examples = re.findall(r"^\| `([^|]+)` \| ", table, re.MULTILINE)
    searches = [parse(text) for text in examples]

    assert len(searches) > 20
    assert all(search == parse(written(search)) for search in searches)


@pytest.mark.parametrize("text", ["0\x1c", " 0 ", "0\n"])
def test_a_number_within_blanks(text):
    """A duration is read whatever blanks are around it, those that float() doesn't know too."""
    assert values.milliseconds(text) == 0
