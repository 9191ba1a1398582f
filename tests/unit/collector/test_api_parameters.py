"""How the text of a request becomes parameters, and these a filter."""

from __future__ import annotations

import datetime as dt
import math
from urllib.parse import parse_qsl

import pytest

from collector.api import parameters, searches
from collector.api.decoding import MOST_UNKNOWN, decode
from collector.errors import Unprocessable
from collector.search.mistakes import Unfit
from collector.search.times import moment
from storage.fields import IDS, NUMBERS, TEXTS
from storage.search import (
    EVERYTHING,
    All,
    AnyOf,
    Compare,
    Equals,
    Last,
    Not,
    Prefix,
    Severity,
    Text,
)

NOW = dt.datetime(2025, 11, 13, 12, tzinfo=dt.UTC)
INT64 = 2**63 - 1


def utc(*fields):
    return dt.datetime(*fields, tzinfo=dt.UTC)


TIMES = [
    pytest.param("2025-11-13T00:30:00.123456Z", utc(2025, 11, 13, 0, 30, 0, 123456), id="Z"),
    pytest.param("2025-11-13T00:30:00", utc(2025, 11, 13, 0, 30), id="naive is UTC"),
    pytest.param("2025-11-13T02:30:00+02:00", utc(2025, 11, 13, 0, 30), id="offset"),
    pytest.param("2025-11-13T02:30:00 02:00", utc(2025, 11, 13, 0, 30), id="unescaped plus"),
    pytest.param("2025-11-13 00:30", utc(2025, 11, 13, 0, 30), id="space"),
    pytest.param("2025-11-13", utc(2025, 11, 13), id="date"),
    pytest.param("20251113", utc(2025, 11, 13), id="date without dashes"),
    pytest.param("1763035200", NOW, id="Unix seconds"),
    pytest.param("-6583434", utc(1969, 10, 16, 19, 16, 6), id="Unix seconds before 1970"),
    pytest.param("1.7630352e9", NOW, id="Unix seconds with an exponent"),
    pytest.param("1763035200.5", NOW + dt.timedelta(seconds=0.5), id="Unix fraction"),
    pytest.param("1763035200000", NOW, id="Unix milliseconds"),
    pytest.param("0", utc(1970, 1, 1), id="Unix zero"),
]


@pytest.mark.parametrize(("text", "expected"), TIMES)
def test_moment(text, expected):
    """
    A time is ISO 8601 with or without a zone, a date, or a Unix number.
    """
    assert expected == moment(text)


@pytest.mark.parametrize(
    "text", ["yesterday", "2025-13-01", "9" * 40, "-" + "9" * 14, "0001-01-01T00:00+23:00", "nan"]
)
def test_moment_refused(text):
    """
    What is no time of the years 1 to 9999 is refused.
    """
    with pytest.raises(Unfit, match=r"a time|Unix seconds"):
        moment(text)


def details(shape, given):
    with pytest.raises(Unprocessable) as caught:
        decode(shape, given.items())
    return caught.value.details


REFUSED = [
    ({"limit": "0"}, "limit", "greater_than_equal", "Input should be greater than or equal to 1"),
    ({"limit": "1001"}, "limit", "less_than_equal", "Input should be less than or equal to 1000"),
    ({"limit": "ten"}, "limit", "int_parsing", "Input should be a valid integer"),
    ({"limit": "1.5"}, "limit", "int_parsing", "Input should be a valid integer"),
    ({"limit": "9" * 30}, "limit", "less_than_equal", None),
    ({"offset": "-1"}, "offset", "greater_than_equal", None),
    ({"offset": str(INT64 + 1)}, "offset", "less_than_equal", None),
    ({"minutes": "0"}, "minutes", "greater_than", None),
    ({"minutes": "nan"}, "minutes", None, None),
    ({"minutes": "inf"}, "minutes", "less_than_equal", None),
    ({"job_id": str(INT64 + 1)}, "job_id", "value_error", None),
    ({"job_id": "9" * 5000}, "job_id", "value_error", None),
    ({"minutes": "null"}, "minutes", "value_error", None),
    ({"id": "x"}, "id", "int_parsing", None),
    ({"severity_number": str(2**31)}, "severity_number", "less_than_equal", None),
    ({"total": "maybe"}, "total", "literal_error", None),
    ({"start_time": "soon"}, "start_time", "value_error", None),
    ({"search": "a\0b"}, "search", "value_error", "Input should have no NUL character"),
    ({"any": "\0"}, "any", "value_error", None),
    ({"a\0": "b"}, "a\0", "value_error", None),
]


@pytest.mark.parametrize(
    ("given", "name", "kind", "message"), REFUSED, ids=[str(case[0])[:40] for case in REFUSED]
)
def test_refused_parameter(given, name, kind, message):
    """
    A wrong parameter is named with its place, its value, and what it should be.
    """
    (detail,) = details(parameters.Query, given)

    assert (["query", name], given[name]) == (detail["loc"], detail["input"])
    assert kind in {None, detail["type"]}
    assert message in {None, detail["msg"]}


def test_everything_wrong_is_said_at_once():
    """
    Of several wrong parameters each is reported, and a missing one too.
    """
    found = details(parameters.Distinct, {"limit": "x", "job_id": "9" * 20})

    assert {"limit", "job_id", "field"} == {detail["loc"][1] for detail in found}
    assert "missing" in {detail["type"] for detail in found}


def test_empty_is_no_filter():
    """
    An empty value is as if it were not given, but a required one is.
    """
    given, extra = decode(
        parameters.Distinct, {"field": "", "service": "", "queue": "", "x": "1"}.items()
    )

    assert parameters.Distinct(field="") == given
    assert {"x": ("1",)} == extra


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", 12),
        (" 12", 12),
        ("+12", 12),
        ("-12", -12),
        ("12.0", 12),
        ("007", 7),
        (str(INT64), INT64),
        ("ingestion-55", "ingestion-55"),
        ("1.5", "1.5"),
        ("١٢", "١٢"),
    ],
)
def test_identifiers(text, expected):
    """
    An id is a whole number where its text is one.
    """
    given, _ = decode(parameters.Query, {"job_id": text}.items())

    assert (expected,) == given.job_id


def test_every_column_is_a_parameter():
    """
    The query API filters by every column that storage can filter by.
    """
    assert {*TEXTS, *IDS, *NUMBERS} <= {*parameters.Conditions.__struct_fields__}


def wanted(query):
    decoded, others = decode(parameters.Query, parse_qsl(query))
    return searches.wanted(decoded, others)


WANTED = [
    ("", EVERYTHING),
    ("service=api&job_id=7", All((Equals("service", ("api",)), Equals("job_id", (7,))))),
    ("job_id=7&job_id=x", Equals("job_id", (7, "x"))),
    ("duration_ms=1.5", Equals("duration_ms", (1.5,))),
    ("duration_ms=nan", Equals("duration_ms", ("nan",))),
    ("queue=q&limit=5", Equals("queue", ("q",))),
    ("queue=q&queue=r", Equals("queue", ("q", "r"))),
    ("extra.queue=q", Equals("extra.queue", ("q",))),
    ("level=WARN", Severity(13, 16)),
    ("level=fatal", Severity(21, 24)),
    ("level=Loud", Equals("level", ("Loud",))),
    ("level=error&level=critical", AnyOf((Severity(17, 20), Severity(21, 24)))),
    ("min_level=warning", Severity(13, None)),
    ("min_level=error&level=critical", All((Severity(21, 24), Severity(17, None)))),
    ("stage_prefix=a&stage=b", Equals("stage", ("b",))),
    ("stage_prefix=a", AnyOf((Equals("stage", ("a",)), Prefix("stage", "a:")))),
    ("minutes=60", Last(dt.timedelta(hours=1))),
    ("last=90s", Last(dt.timedelta(seconds=90))),
    ("start_time=2025-11-13", Compare("timestamp", ">=", utc(2025, 11, 13))),
    ("end_time=2025-11-13", Compare("timestamp", "<=", utc(2025, 11, 13))),
    ("not.stage=a&not.stage=b", Not(Equals("stage", ("a", "b")))),
    ("not.level=info", Not(Severity(9, 12))),
    ("not.queue=q", Not(Equals("queue", ("q",)))),
    ("duration_ms.gte=500", Compare("duration_ms", ">=", 500)),
    ("attempt.gt=1&attempt.lt=5",
     All((Compare("attempt", ">", 1), Compare("attempt", "<", 5)))),
    ("http.status.lte=499", Compare("http.status", "<=", 499)),
    ("not.timestamp.gte=2025-11-13", Not(Compare("timestamp", ">=", utc(2025, 11, 13)))),
    ("level.gte=error", Severity(17, None)),
    ("q=boom&service=api", All((Equals("service", ("api",)), Text("boom")))),
    ("search=boom", Text("boom")),
]  # fmt: skip


@pytest.mark.parametrize(("query", "expected"), WANTED, ids=[case[0] for case in WANTED])
def test_wanted(query, expected):
    """
    Parameters become the search they say; of one name's several values any will do.
    """
    assert expected == wanted(query)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("min_level=loud", "min_level"),
        ("last=soon", "last"),
        ("last=-1h", "last"),
        ("attempt.gte=x", "attempt.gte"),
        ("service.gte=5", "service.gte"),
        ("timestamp=2025-11-13", "timestamp"),
        ("not.severity_number=x", "not.severity_number"),
        ("level.lt=loud", "level.lt"),
        ("queue.gt=long", "queue.gt"),
    ],
)
def test_value_that_no_field_has(query, name):
    """
    A value that its field can never have is refused by the parameter's name.
    """
    with pytest.raises(Unprocessable) as caught:
        wanted(query)

    (detail,) = caught.value.details
    assert (["query", name], "value_error") == (detail["loc"], detail["type"])
    assert detail["msg"].startswith("Input should be ")


def test_text_that_is_no_search():
    """
    A mistake in the text of a search is told with its place, and what may have been meant.
    """
    with pytest.raises(Unprocessable) as caught:
        wanted("q=boom servcie:api")

    (detail,) = caught.value.details
    place = {"column": 6, "length": 7, "suggestion": "service", "found": "`servcie`"}
    assert ["query", "q"] == detail["loc"]
    assert "boom servcie:api" == detail["input"]
    assert place.items() <= detail["ctx"].items()


def test_minutes_never_overflow():
    """
    The longest window still begins at a time.
    """
    found = wanted(f"minutes={parameters.TEN_YEARS}")

    assert math.isclose(10, found.span.days / 365, rel_tol=0.01)


def test_unknown_names_are_few():
    """
    So many names may be filters on ``extra``, and no more: Postgres plans each of them.
    """
    allowed = [(f"k{n}", "v") for n in range(MOST_UNKNOWN)]

    assert {name: ("v",) for name, _ in allowed} == decode(parameters.Query, allowed)[1]
    with pytest.raises(Unprocessable, match="at most 50 names"):
        decode(parameters.Query, [*allowed, ("one", "more")])
