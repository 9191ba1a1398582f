"""Any value of Python's as a plain one."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import ipaddress
import math
import pathlib
import types
import uuid
from unittest import mock

import attrs
import msgspec
import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pixsim_otel import values
from pixsim_otel.limits import ValueLimits
from pixsim_otel.values import plain

from tests.unit.exporter.records import record


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Name(str):
    __slots__ = ()


class Masked(str):
    __slots__ = ()

    def __str__(self):
        return "***"


@dataclasses.dataclass
class Login:
    user: str
    password: str = dataclasses.field(repr=False)


@attrs.define
class Job:
    id: int
    token: str = attrs.field(repr=False)


class Artifact(msgspec.Struct):
    id: int
    at: dt.date


class Provider(pydantic.BaseModel):
    name: str
    key: pydantic.SecretStr
    hidden: str = pydantic.Field(repr=False)


class Hostile:
    def __str__(self):
        raise RuntimeError("no")

    __repr__ = __str__


@pytest.mark.parametrize("value", ["", "é", 0, 2**63 - 1, -(2**63), 1.5, True, None, b"\xff"])
def test_plain_stays(value):
    """
    What is plain stays as it is, its type included.
    """
    found = plain(value)

    assert (value, type(value)) == (found, type(found))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.UTC), "2026-01-02T03:04:05.000006+00:00"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.time(3, 4), "03:04:00"),
        (dt.timedelta(minutes=1, milliseconds=500), 60.5),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (decimal.Decimal("1.10"), "1.10"),
        (ipaddress.ip_address("::1"), "::1"),
        (1 + 2j, "(1+2j)"),
        (Colour.RED, "red"),
        (Level.LOW, 1),
        (Name("x"), "x"),
        (Masked("secret"), "***"),
        (set("hgfedcba"), list("abcdefgh")),
        (frozenset({2, 1}), [1, 2]),
        ((1, (2,)), [1, [2]]),
        (collections.deque([1]), [1]),
        (range(3), [0, 1, 2]),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        ({1: "a", None: "b", (1, 2): "c", 1.5: "d", Colour.RED: "e"}, {"1": "a", "None": "b", "[1, 2]": "c", "1.5": "d", "red": "e"}),
        (bytearray(b"\xff"), b"\xff"),
        (memoryview(b"\xff"), b"\xff"),
        (Login("ann", "hunter2"), {"user": "ann"}),
        (Job(1, "hunter2"), {"id": 1}),
        (Artifact(1, dt.date(2026, 1, 2)), {"id": 1, "at": "2026-01-02"}),
        (Provider(name="p", key="hunter2", hidden="h"), {"name": "p", "key": "**********"}),
        (np.float32(0.5), 0.5),
        (np.float64(0.5), 0.5),
        (np.int8(3), 3),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.datetime64("2026-01-02"), "2026-01-02"),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array(5), 5),
        (np.longdouble(1), "1.0"),
        (ValueError("bad"), "ValueError: bad"),
        (ValueError(), "ValueError"),
        (ExceptionGroup("two", [ValueError("a"), KeyError("b")]), "ExceptionGroup: two (2 sub-exceptions) [ValueError: a; KeyError: 'b']"),
        (2**63, "9223372036854775808"),
        (-(2**63) - 1, "-9223372036854775809"),
        ("a\ud800b", "a\ufffdb"),
        ("\ud83d\ude00", "😀"),
        ({"\ud800": "\udfff"}, {"\ufffd": "\ufffd"}),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_conversions(value, expected):
    """
    Each kind of value has one plain form, without the fields that its class hides.
    """
    found = plain(value)

    assert (expected, type(expected)) == (found, type(found))


def test_not_a_number_stays_a_float():
    """
    NaN and the infinities are floats in OTLP too.
    """
    found = plain([math.nan, math.inf])

    assert [True, True] == [math.isnan(found[0]), math.isinf(found[1])]


@pytest.mark.parametrize("value", [Hostile(), [Hostile()], {"a": Hostile()}, {Hostile(): 1}])
def test_hostile_methods(value):
    """
    A value whose methods raise costs only itself: its place says what it was.
    """
    assert "<Hostile that raises RuntimeError>" in repr(plain(value))


def test_a_hostile_class():
    """
    Nothing that a value says of itself is needed, not even its class.
    """

    class Liar:
        @property
        def __class__(self):
            raise RuntimeError("no")

        def __getattr__(self, name):
            raise RuntimeError(name)

    assert "<Liar that raises RuntimeError>" == plain(Liar())


def test_mocks():
    """
    What pretends to be of another class is shown as what it is.
    """
    assert plain(mock.MagicMock(spec=dict, name="m")).startswith("<MagicMock name='m' spec='dict'")


def test_an_iterator_is_not_consumed():
    """
    What can be read only once is left to the program.
    """
    numbers = iter([1, 2])

    shown = plain(numbers)

    assert ("<list_iterator", [1, 2]) == (shown[:14], list(numbers))


def test_cycles():
    """
    A value that holds itself is said to at that place, one that is there twice is not.
    """
    inner = {"a": 1}
    cycle = [inner, inner]
    cycle.append(cycle)

    assert [{"a": 1}, {"a": 1}, "<list within itself>"] == plain(cycle)


def test_depth():
    """
    What is nested deeper than the limit is left out, also where Python's stack would end.
    """
    deep = []
    for _ in range(100_000):
        deep = [deep]

    assert [["<list, nested too deep>"]] == plain(deep, ValueLimits(depth=2))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("x" * 10_000_000, "x" * 10 + "… (cut from 10000000)", id="text"),
        pytest.param(["x" * 100], ["x" * 15 + "… (cut from 100)"], id="nested"),
        pytest.param({"x" * 100: 1}, {"x" * 15 + "… (cut from 100)": 1}, id="key"),
        pytest.param(b"x" * 100, b"x" * 31, id="bytes"),
        pytest.param(10**100, "1" + "0" * 14 + "… (cut from 101)", id="integer"),
        pytest.param(list(range(5)), [0, 1, 2, "… (2 more)"], id="list"),
        pytest.param({n: n for n in range(5)}, {"0": 0, "1": 1, "2": 2, "…": "2 more"}, id="dict"),
        pytest.param([[1, 2], [3]], [[1, "… (1 more)"], ["… (1 more)"]], id="items of all levels"),
        pytest.param(np.arange(5), "[0 1 2 3 4]", id="array"),
    ],
)  # fmt: skip
def test_limits(value, expected):
    """
    What is longer than the limits is cut, which the value says.
    """
    assert expected == plain(value, ValueLimits(text=31, items=3))


def test_text_of_one_value():
    """
    The strings of one list have a limit together.
    """
    found = plain(["a" * 30, "b" * 30, "c" * 30], ValueLimits(text=30, nested_text=70))

    assert ["a" * 30, "b" * 30, "c" * 10] == found


def test_a_limit_shorter_than_the_note():
    """
    The specification's limit holds also where it leaves no room to say so.
    """
    assert "xxxxx" == plain("x" * 100, ValueLimits(text=5))


def test_huge_integers_have_no_decimal_digits():
    """
    An integer that Python refuses to write in decimal is hexadecimal.
    """
    assert plain(1 << 20_000).startswith("0x1000")


def test_settle_counts():
    """
    A record knows how many of its values were cut, how many were too many, and its size.
    """
    found = record(attributes={"a": "x" * 50, "b": ["x" * 50, 1], "c": 1, "d": 2})

    values.settle(found, ValueLimits(text=20, attributes=3))

    assert (2, 1) == (found.cut, found.dropped_attributes)
    assert ["a", "b", "c"] == list(found.attributes)
    assert 40 <= found.size - values.RECORD_BYTES - 5 * values.VALUE_BYTES <= 50


def test_settle_body_and_keys():
    """
    A body may be of any type, and keys become text.
    """
    found = record(body={"at": dt.date(2026, 1, 2)}, attributes={1: Colour.RED, "\ud800": 2})

    values.settle(found)

    assert {"at": "2026-01-02"} == found.body
    assert {"1": "red", "\ufffd": 2} == found.attributes


def test_settled_shares_nothing():
    """
    What the program does to a value after the log call doesn't change the record.
    """
    tags = ["a"]
    found = record(attributes={"tags": tags})

    values.settle(found)
    tags.append("b")

    assert {"tags": ["a"]} == found.attributes


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.datetimes()
    | st.uuids()
    | st.decimals()
    | st.fractions()
    | st.builds(Hostile)
    | st.just(Colour.RED)
    | st.builds(ValueError, st.text())
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(st.characters()) | st.integers() | st.none(), inner)
        | st.builds(Login, inner, inner)
        | st.lists(inner).map(collections.deque)
    ),
    max_leaves=20,
)


def is_plain(value):
    if type(value) is str:
        return bool(value.encode()) or value == ""
    if type(value) is int:
        return values.LOWEST <= value <= values.HIGHEST
    if type(value) is list:
        return all(map(is_plain, value))
    if type(value) is dict:
        return all(
            type(key) is str and is_plain(key) and is_plain(each) for key, each in value.items()
        )
    return type(value) in (bool, float, bytes, type(None))


@settings(max_examples=40, deadline=None)
@given(ANYTHING, st.dictionaries(st.text(st.characters()), ANYTHING))
def test_anything(body, attributes):
    """
    Whatever a program logs, the record is plain, has a size and can be made plain again.
    """
    found = record(body=body, attributes=attributes)

    values.settle(found)

    assert is_plain(found.body)
    assert is_plain(found.attributes)
    assert found.size >= values.RECORD_BYTES
    assert repr(found.attributes) == repr(plain(found.attributes))
