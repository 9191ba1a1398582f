"""Which attributes fill the columns that people search by."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import astuple

from collector.correlation import (
    DEFAULTS,
    LONGEST_ERROR,
    LONGEST_TEXT,
    MOST_MISSED,
    MOST_OF_A_NAME,
    Columns,
    Correlation,
    filled,
)
from storage.records import PROMOTABLE
from tests.builders import record


def moved(attributes, **names):
    """Give the row that *attributes* fill, and those that are left."""
    columns = Columns(Correlation(attributes=names))
    given = [columns.attribute(name, value) for name, value in attributes.items()]
    row = filled(astuple(record(service="unset", env=None)), given)
    return row, row.extra or {}


def names_of(bits):
    return {name for bit, name in enumerate(PROMOTABLE) if (bits or 0) >> bit & 1}


@pytest.mark.parametrize(
    ("column", "name"), [(column, name) for column, names in DEFAULTS.items() for name in names]
)
def test_c102_default_names(column, name):
    """C102: each column is filled by each of its names."""
    row, _ = moved({name: 7})

    assert str(getattr(row, column)).removesuffix(".0") == "7"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        pytest.param({"job.id": 2, "job_id": 1}, 1, id="C102 the first name wins"),
        pytest.param({"job_id": 1, "job.id": 2}, 1, id="C102 whatever the order of the attributes"),
        pytest.param({"job_id": "none", "job.id": 2}, 2, id="C103 unless it doesn't fit"),
        pytest.param({"job_id": "none"}, None, id="C103 nothing fits"),
        pytest.param({"Job_Id": 1}, None, id="C93 names have case"),
    ],
)
def test_precedence(attributes, expected):
    """Within one level the order of the configured names decides."""
    row, _ = moved(attributes)

    assert expected == row.job_id


def test_c92_same_name_twice():
    """C92: of attributes with the same name the last one counts, whether it fits or not."""
    columns = Columns(Correlation())

    def last(*given):
        row = filled(astuple(record()), [columns.attribute("job_id", value) for value in given])
        return row.job_id, row.extra

    assert (2, None) == last(1, 2)
    assert (2, None) == last("x", 2)
    assert (None, {"job_id": "x"}) == last(2, "x")


def test_c102_levels():
    """C102: a record's attribute goes before its scope's, and that before its resource's."""
    columns = Columns(Correlation())
    row = record()
    columns.fill(row, {"job_id": 1, "stage": "resource", "domain": "resource", "attempt": 1})
    columns.fill(row, {"job.id": 2, "stage": "scope", "domain": "scope"})
    columns.fill(row, {"pixsim.job_id": 3, "stage": "record"})

    assert (3, "record", "scope", 1) == (row.job_id, row.stage, row.domain, row.attempt)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(42, 42, id="integer"),
        pytest.param("42", 42, id="C102 decimal text"),
        pytest.param("-042", -42, id="leading zeros"),
        pytest.param(True, 1, id="boolean"),
        pytest.param(42.0, 42, id="integral double"),
        pytest.param(2**63 - 1, 2**63 - 1, id="largest"),
        pytest.param(str(-(2**63)), -(2**63), id="smallest as text"),
        pytest.param(str(2**63), None, id="text beyond 64 bits"),
        pytest.param("9" * 10_000, None, id="C103 long text"),
        pytest.param(42.5, None, id="fraction"),
        pytest.param("4 2", None, id="no number"),
        pytest.param("", None, id="empty"),
        pytest.param("٤", None, id="foreign digits"),
        pytest.param({"$double": "NaN"}, None, id="NaN"),
        pytest.param({"a": 1}, None, id="C103 map"),
        pytest.param([1], None, id="list"),
        pytest.param(None, None, id="null"),
    ],
)
def test_whole_numbers(value, expected):
    """An id is taken from whatever says a whole number within 64 bits."""
    row, left = moved({"job_id": value})

    assert expected == row.job_id
    assert ({} if type(value) is int else {"job_id": value}) == left


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("abc", "abc", id="text"),
        pytest.param(42, "42", id="integer"),
        pytest.param(1.0, "1.0", id="double"),
        pytest.param(True, "true", id="boolean"),
        pytest.param("", None, id="empty"),
        pytest.param("x" * LONGEST_TEXT, "x" * LONGEST_TEXT, id="longest"),
        pytest.param("x" * (LONGEST_TEXT + 1), None, id="C103 too long"),
        pytest.param({"$bytes": "aGk="}, None, id="bytes"),
        pytest.param({"a": 1}, None, id="C103 map"),
        pytest.param(None, None, id="null"),
    ],
)
def test_texts(value, expected):
    """A text column takes what has a short text."""
    row, left = moved({"request_id": value})

    assert expected == row.request_id
    assert ({} if value and value == expected else {"request_id": value}) == left


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(1.5, 1.5, id="double"),
        pytest.param(15, 15.0, id="integer"),
        pytest.param("1.5", 1.5, id="text"),
        pytest.param({"$double": "1e+22"}, 1e22, id="large"),
        pytest.param({"$double": "Infinity"}, None, id="infinity"),
        pytest.param("fast", None, id="no number"),
        pytest.param({"$bytes": "MTU="}, None, id="bytes"),
        pytest.param([1], None, id="list"),
    ],
)
def test_durations(value, expected):
    """A duration is taken from whatever says a finite number."""
    row, left = moved({"duration_ms": value})

    assert expected == row.duration_ms
    assert ({} if type(value) is float else {"duration_ms": value}) == left


def test_errors_may_be_long():
    """An error's text has more room than an id."""
    longest, longer = "x" * LONGEST_ERROR, "x" * (LONGEST_ERROR + 1)

    assert longest == moved({"error": longest})[0].error
    assert moved({"error": longer})[0].error is None


def test_promotion():
    """An attribute leaves for its column only under the column's name, and as it was typed."""
    row, left = moved(
        {"job_id": 1, "user_id": "2", "request.id": "r", "stage": "s", "duration_ms": 3, "x": 4}
    )

    assert {"job_id", "stage"} == names_of(row.promoted)
    assert {"user_id": "2", "request.id": "r", "duration_ms": 3, "x": 4} == left
    assert (1, 2, "r", "s", 3.0) == (
        *(row.job_id, row.user_id, row.request_id, row.stage, row.duration_ms),
    )


def test_no_promotion_where_another_name_won():
    """An attribute whose column another one filled stays among the attributes."""
    row, left = moved({"job_id": 1, "job": 2}, job_id=("job", "job_id"))

    assert (2, None, {"job_id": 1, "job": 2}) == (row.job_id, row.promoted, left)


def test_configured_names():
    """A column that is named has only those names, every other keeps its own."""
    row, _ = moved({"job_id": 1, "task": 2, "stage": "s"}, job_id=("task",), domain=())

    assert (2, "s", None) == (row.job_id, row.stage, row.domain)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        pytest.param({"jobid": ["x"]}, "no column `jobid`", id="unknown column"),
        pytest.param(
            {"trace_id": ["x"]}, "no column `trace_id`", id="a column with rules of its own"
        ),
        pytest.param(
            {"stage": ["env"]}, "`env` is named for both `env` and `stage`", id="two columns"
        ),
    ],
)
def test_wrong_configuration(names, message):
    """A column must exist, and a name fill one column; else the program doesn't start."""
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert({"attributes": names}, Correlation)


def test_every_column_has_a_default():
    """All columns that can be filled have their names."""
    assert set(PROMOTABLE) == set(DEFAULTS)


def test_memory_of_attributes_is_bounded():
    """What comes again stays remembered, and what comes once goes by."""
    columns = Columns(Correlation())
    usual, often = columns.name("usual"), columns.attribute("usual", 1)
    for n in range(3 * MOST_MISSED):
        columns.forget()
        if columns.seen.get(b"usual") is None:
            assert n == 0 or columns.seen_before.get(b"usual") is often
            columns.remember(b"usual", usual, often)
        columns.remember(b"%d" % n, columns.name(f"id {n}"), columns.attribute("id", n))

    a_request = 2  # attributes
    assert len(columns.seen) + len(columns.seen_before) <= 2 * (MOST_MISSED + a_request)
    assert columns.seen_before.get(b"1") is None


def test_ever_new_values_are_not_all_remembered():
    """A name whose values are ever new doesn't fill the memory, and has its turn again later."""
    columns = Columns(Correlation())
    name = columns.name("request_id")
    for n in range(2 * MOST_OF_A_NAME):
        columns.remember(b"%d" % n, name, columns.attribute("request_id", str(n)))

    assert MOST_OF_A_NAME == len(columns.seen)

    for n in range(MOST_MISSED):
        columns.forget()
        columns.remember(b"new %d" % n, name, columns.attribute("request_id", str(n)))

    assert any(key.startswith(b"new") for key in columns.seen)
