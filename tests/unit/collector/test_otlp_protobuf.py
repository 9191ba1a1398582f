"""OTLP in protobuf: what is peculiar to it; `test_otlp_mapping` has what both encodings share."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from collector.correlation import Columns, Correlation
from collector.errors import BadRequest
from collector.receivers.otlp import protobuf
from tests.unit.collector import otlp_messages
from tests.unit.collector.otlp_messages import any_value, log_record, mapper, request

P_MIN = bytes.fromhex("0a0a120812062a040a026869")
P_TID3 = bytes.fromhex("0a0f120d120b2a040a0268694a03616263")
P_UTF8 = bytes.fromhex("0a0e120c120a1a02fffe2a040a026869")
UNKNOWN_FIELD = bytes.fromhex("ba3e03616263")


def read(body):
    return otlp_messages.read(mapper(), protobuf, body)


@pytest.mark.parametrize(
    ("body", "expected", "changes"),
    [
        pytest.param(P_MIN, ("hi", "INFO", None), {}, id="C1 minimal"),
        pytest.param(P_MIN + UNKNOWN_FIELD, ("hi", "INFO", None), {}, id="C70 unknown field"),
        pytest.param(P_TID3, ("hi", "INFO", None), {"trace_id": 1}, id="C73 short trace id"),
        pytest.param(P_UTF8, ("hi", "\ufffd\ufffd", None), {"unicode": 1}, id="C72 no UTF-8"),
    ],
)
def test_bodies(body, expected, changes):
    """A small body is read, whatever may be odd about it."""
    found = read(body)

    assert [expected] == [(each.msg, each.level, each.trace_id) for each in found.records]
    assert changes == found.changed


def test_c32_empty():
    """C32: nothing to store is no failure."""
    assert [] == read(b"").records


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(bytes.fromhex("0aff"), id="C71 truncated"),
        pytest.param(b'{"resourceLogs":[]}', id="C71 JSON"),
        pytest.param(b"\xff" * 20, id="garbage"),
        pytest.param(P_MIN[:-1], id="cut off"),
    ],
)
def test_c71_undecodable(body):
    """C71: a body that is no export request is refused whole, with a violation."""
    with pytest.raises(BadRequest, match="not an ExportLogsServiceRequest") as caught:
        read(body)

    assert len(caught.value.violations) == 1


@given(st.data())
def test_records_are_the_same_however_they_are_read(data):
    """
    Records that are read with their request, and one by one from a request that is too large for
    that, are the same, and so are their resources and scopes each time that these come again.
    """
    attributes = st.dictionaries(
        st.sampled_from(["a", "job_id", "service.name", "env", "$x"]),
        st.one_of(st.text(max_size=3), st.integers(-5, 5), st.none(), st.binary(max_size=3)),
        max_size=4,
    )
    records = [log_record(data.draw(attributes)) for _ in range(data.draw(st.integers(0, 3)))]
    body = request(
        *records, resource=data.draw(attributes), scope=data.draw(attributes), schema_url="s"
    ).SerializeToString()
    made = mapper()
    at_once = [otlp_messages.read(made, protobuf, body) for _ in range(2)]
    one_by_one = otlp_messages.read(mapper(max_record_size=len(body) - 1), protobuf, body)

    assert at_once[0] == at_once[1]
    if one_by_one.refused.keys() != {"too_large"}:
        assert at_once[0] == one_by_one


def test_a_resource_that_cannot_be_read_costs_its_records_only():
    """
    A broken resource is refused with what it has, each time, and with its place.
    """
    message = request(log_record(), resource={"a": "b"}).SerializeToString()
    body = P_MIN + message.replace(b"\x0a\x01a", b"\x0a\x7fa", 1)
    for _ in range(2):
        found = read(body)
        assert 1 == len(found.records)
        assert {"undecodable": 1} == found.refused
        assert ["resourceLogs[1].resource"] == [each.field for each in found.problems]


def test_c72_bad_text_everywhere():
    """C72: a text that is not UTF-8 is mended, not refused, wherever it is."""
    message = request(
        log_record({"KKKK": "VVVV"}, body=any_value({"KKKK": ["VVVV"]}), event_name="VVVV"),
        resource={"service.name": "VVVV"},
        schema_url="VVVV",
    )
    body = message.SerializeToString().replace(b"VVVV", b"a\xff\xfeb").replace(b"KKKK", b"k\xffkk")
    found = read(body)

    (record,) = found.records
    assert {"unicode": 1} == found.changed
    assert ("a\ufffd\ufffdb", "a\ufffd\ufffdb") == (record.service, record.event_name)
    assert {"k\ufffdkk": "a\ufffd\ufffdb"} == record.extra
    assert {"k\ufffdkk": ["a\ufffd\ufffdb"]} == record.otlp["body"]
    assert ["a\ufffd\ufffdb"] == [each.schema_url for each in found.resources.values()]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(b"", {"": None}, id="no bytes"),
        pytest.param(b"\x0a\x00", {"": None}, id="an empty name"),
        pytest.param(b"\x12\x00", {"": None}, id="an empty value"),
        pytest.param(b"\x0a\x01a\x0a\x01b", {"b": None}, id="two names"),
    ],
)
def test_odd_attributes(raw, expected):
    """An attribute that lacks a name or a value, or has two, costs no record."""
    (found,) = read(field(1, field(2, field(2, field(6, raw))))).records

    assert expected == found.extra


def test_broken_record():
    """C33: a record that can't be read costs only itself."""
    message = request(log_record(), log_record(body=any_value("XXXX")), log_record())
    body = message.SerializeToString().replace(b"\x2a\x06\x0a\x04XXXX", b"\x2a\x06\x0a\x7fXXXX")
    found = read(body)

    assert (2, {"undecodable": 1}) == (len(found.records), found.refused)
    assert found.problems[0].field == "resourceLogs[0].scopeLogs[0].logRecords[1]"


def field(number, data):
    """Encode a field that has a length."""
    size = bytearray()
    rest = len(data)
    while rest > 127:
        size.append(rest & 127 | 128)
        rest >>= 7
    size.append(rest)
    return bytes([number << 3 | 2, *size]) + data


@pytest.mark.parametrize("depth", [60, 5_000])
def test_c27_depth_bomb(depth):
    """C27: a record nested deeper than protobuf itself allows is refused alone."""
    value = b""
    for _ in range(depth):
        value = field(5, field(1, value))  # a list in an AnyValue
    scope_logs = field(2, field(5, value)) + field(2, field(5, field(1, b"hi")))
    found = read(field(1, field(2, scope_logs)))

    assert (["hi"], 1) == ([record.msg for record in found.records], found.refused.total())


def test_attributes_seen_before():
    """An attribute that was seen before is the same again, and so is what is wrong with it."""
    body = request(log_record({"a": 1, "b": [1], "c": "x\0"})).SerializeToString()
    first, second = read(body), read(body)

    assert repr(first) == repr(second)
    assert {"nul": 1} == second.changed
    assert first.records[0].extra["b"] is not second.records[0].extra["b"]


SCALARS = st.one_of(
    st.builds(lambda v: AnyValue(string_value=v), st.text(max_size=200)),
    st.builds(lambda v: AnyValue(int_value=v), st.integers(-(2**63), 2**63 - 1)),
    st.builds(lambda v: AnyValue(double_value=v), st.floats()),
    st.builds(lambda v: AnyValue(bool_value=v), st.booleans()),
    st.builds(lambda v: AnyValue(bytes_value=v), st.binary(max_size=9)),
    st.just(AnyValue()),
)


def outcome(read_attribute, raw, columns):
    changes = set()
    try:
        return repr(read_attribute(raw, columns, changes)), changes
    except DecodeError:
        return "undecodable"


@given(
    key=st.sampled_from(["job_id", "request_id", "duration_ms", "other"]),
    value=SCALARS,
    cut=st.integers(0, 3),
    flip=st.none() | st.tuples(st.integers(0, 200), st.integers(0, 255)),
)
def test_the_short_way_reads_as_the_general_one(key, value, cut, flip):
    """An attribute of a known name reads the same whichever way it goes, broken ones too."""
    raw = bytearray(KeyValue(key=key, value=value).SerializeToString())
    if flip is not None:
        raw[flip[0] % len(raw)] = flip[1]
    raw = bytes(raw[: len(raw) - cut])
    columns = Columns(Correlation())
    known = KeyValue(key=key, value=AnyValue(string_value="known")).SerializeToString()
    protobuf._any_attribute(known, columns, set())

    expected = outcome(protobuf._any_attribute, raw, Columns(Correlation()))
    assert expected == outcome(protobuf._attribute, raw, columns)
