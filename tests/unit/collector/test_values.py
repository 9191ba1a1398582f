"""The encoding of OTLP values."""

from __future__ import annotations

import math

import msgspec
import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from collector import values
from collector.exporters.otlphttp import protobuf as outgoing
from collector.receivers.otlp import protobuf
from tests.unit.collector.otlp_messages import any_value, nested

INF = float("inf")

# a value of OTLP, its encoding, its text
VALUES = [
    pytest.param("hi", "hi", "hi", id="text"),
    pytest.param("", "", "", id="empty text"),
    pytest.param(None, None, "", id="empty value"),
    pytest.param(True, True, "true", id="boolean"),
    pytest.param(0, 0, "0", id="zero"),
    pytest.param(2**63 - 1, 2**63 - 1, "9223372036854775807", id="largest integer"),
    pytest.param(-(2**63), -(2**63), "-9223372036854775808", id="smallest integer"),
    pytest.param(1.5, 1.5, "1.5", id="double"),
    pytest.param(1.0, 1.0, "1.0", id="integral double"),
    pytest.param(0.0, 0.0, "0.0", id="zero double"),
    pytest.param(-0.0, {"$double": "-0.0"}, "-0.0", id="negative zero"),
    pytest.param(1e22, {"$double": "1e+22"}, "1e22", id="large double"),
    pytest.param(1e-7, {"$double": "1e-07"}, "1e-7", id="small double"),
    pytest.param(math.nan, {"$double": "NaN"}, "NaN", id="NaN"),
    pytest.param(INF, {"$double": "Infinity"}, "Infinity", id="infinity"),
    pytest.param(-INF, {"$double": "-Infinity"}, "-Infinity", id="negative infinity"),
    pytest.param(b"hi", {"$bytes": "aGk="}, "aGk=", id="bytes"),
    pytest.param(b"", {"$bytes": ""}, "", id="no bytes"),
    pytest.param([], [], "[]", id="empty list"),
    pytest.param([1, "1", None], [1, "1", None], '[1,"1",null]', id="mixed list"),
    pytest.param({}, {}, "{}", id="empty map"),
    pytest.param(
        {"a": [b"hi", math.nan], "b": None},
        {"a": [{"$bytes": "aGk="}, {"$double": "NaN"}], "b": None},
        '{"a":["aGk=","NaN"],"b":null}',
        id="nested",
    ),
    pytest.param({"$a": 1}, {"$map": {"$a": 1}}, '{"$a":1}', id="a map like one of ours"),
    pytest.param({"$a": 1, "b": 2}, {"$a": 1, "b": 2}, '{"$a":1,"b":2}', id="a map of two"),
    pytest.param(
        {"$map": {"$bytes": "x"}},
        {"$map": {"$map": {"$map": {"$bytes": "x"}}}},
        '{"$map":{"$bytes":"x"}}',
        id="our keys as a sender's",
    ),
]


def decoded(value):
    """What an encoding goes out as: the value of a KeyValue."""
    return KeyValue.FromString(b"\x12" + outgoing.any_value(value)).value


def encoded(message, changes=None):
    lenient = protobuf.message_class("common.v1.AnyValue", protobuf._POOL).FromString(
        message.SerializeToString()
    )
    return values.from_any_value(lenient, set() if changes is None else changes)


@pytest.mark.parametrize(("value", "expected", "_text"), VALUES)
def test_c91_encoding(value, expected, _text):
    """C91: what jsonb keeps stands as it is, all else under a reserved key."""
    found = encoded(any_value(value))

    assert repr(expected) == repr(found)


@pytest.mark.parametrize(("value", "stored", "_text"), VALUES)
def test_c91_decoding(value, stored, _text):
    """C91: the encoding, as JSON, gives the same message back."""
    through_json = msgspec.json.decode(msgspec.json.encode(stored))
    message = decoded(through_json)

    assert any_value(value).SerializeToString() == message.SerializeToString()


@pytest.mark.parametrize(("_value", "stored", "text"), VALUES)
def test_c90_text(_value, stored, text):
    """C90: a text is shown as it is, the empty value as nothing, all else as its JSON."""
    assert text == values.as_text(stored)


@pytest.mark.parametrize(
    "stored",
    [
        {"$double": "loud"},
        {"$double": 1},
        {"$bytes": "?"},
        {"$bytes": "abc"},
        {"$map": 1},
        {"$other": 1},
    ],
)
def test_what_only_looks_like_ours(stored):
    """A row that somebody else wrote is read as the map that it is."""
    ((key, value),) = stored.items()
    message = decoded(stored)

    assert any_value({key: value}) == message
    assert stored == values.plain(stored)


def test_integers_beyond_64_bits():
    """An integer that OTLP has no place for, in a row somebody else wrote, goes out as text."""
    assert AnyValue(string_value=str(2**64)) == decoded(2**64)


def test_c61_nul():
    """C61: Postgres has no NUL, so U+FFFD stands for it, in keys too."""
    changes = set()
    found = encoded(any_value({"a\0": "b\0"}), changes)

    assert {"a\ufffd": "b\ufffd"} == found
    assert {values.NUL} == changes


def test_c77_index_into_a_string_table():
    """C77: an index, which only profiles have, is as if it were absent."""
    changes = set()
    found = encoded(AnyValue(string_value_strindex=3), changes)

    assert found is None
    assert {values.INDEX} == changes


@pytest.mark.parametrize("shape", ["list", "map"])
def test_c27_depth(shape):
    """C27: values are nested up to a limit, and never so deep that they can't be sent on."""
    deepest = encoded(any_value(nested(shape, values.MAX_DEPTH)))

    assert any_value(nested(shape, values.MAX_DEPTH)) == decoded(deepest)
    with pytest.raises(values.TooDeep):
        encoded(any_value(nested(shape, values.MAX_DEPTH + 1)))
