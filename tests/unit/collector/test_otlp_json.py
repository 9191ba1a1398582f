"""OTLP in JSON: all that senders write."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.receivers.otlp import json as otlp_json
from collector.receivers.otlp.mapping import LONGEST_ORIGIN
from storage.moments import FROM_1970
from tests.unit.collector.otlp_messages import DEFAULT, body_of, read_json

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


def one(record):
    found = read_json(body_of(record))
    assert not found.problems
    (only,) = found.records
    return only


def value(any_value):
    return one({"attributes": [{"key": "a", "value": any_value}]}).extra["a"]


@pytest.mark.parametrize(
    ("trace_id", "expected", "changes"),
    [
        pytest.param(TRACE_ID, TRACE_ID, {}, id="C50 lower case"),
        pytest.param(TRACE_ID.upper(), TRACE_ID, {}, id="C50 upper case"),
        pytest.param("", None, {}, id="C75 empty"),
        pytest.param(None, None, {}, id="C60 null"),
        pytest.param("0" * 32, None, {}, id="C74 zeros"),
        pytest.param("xyz", None, {"trace_id": 1}, id="C75 no hex"),
        pytest.param(TRACE_ID[:31], None, {"trace_id": 1}, id="C75 31 digits"),
        pytest.param(TRACE_ID[:30] + "zz", None, {"trace_id": 1}, id="32 characters, not all hex"),
        pytest.param("CvdlGRbNQ92ESOshHIAxnA==", None, {"trace_id": 1}, id="base64"),
        pytest.param(5, None, {"trace_id": 1}, id="a number"),
    ],
)
def test_trace_ids(trace_id, expected, changes):
    """Ids are hex in any case; a wrong one is dropped and told, and its record stays."""
    found = read_json(body_of({"traceId": trace_id}))

    assert [expected] == [record.trace_id for record in found.records]
    assert changes == found.changed


def test_c51_unknown_fields():
    """C51: fields that we don't know are ignored at every level."""
    new = {"foo": {"bar": [1]}}
    attribute = {"key": "a", "value": {"intValue": 1, **new}, **new}
    record = {"body": {"stringValue": "hi", **new}, "attributes": [attribute], **new}
    scope_logs = {"scope": {"name": "n", **new}, "logRecords": [record], **new}
    resource = {"attributes": [attribute], **new}
    body = {"resourceLogs": [{"resource": resource, "scopeLogs": [scope_logs], **new}], **new}
    found = read_json(json.dumps(body).encode())

    assert [("hi", {"a": 1})] == [(record.msg, record.extra) for record in found.records]
    assert ["n"] == [scope.name for scope in found.scopes.values()]
    assert ['{"a":1}'] == [resource.attributes for resource in found.resources.values()]


def test_c55_snake_case():
    """C55: names in snake_case are taken too."""
    body = {
        "resource_logs": [
            {
                "resource": {"dropped_attributes_count": 1},
                "schema_url": "r",
                "scope_logs": [
                    {
                        "schema_url": "s",
                        "log_records": [
                            {
                                "time_unix_nano": "1000",
                                "severity_number": 9,
                                "severity_text": "x",
                                "trace_id": TRACE_ID,
                                "event_name": "e",
                                "attributes": [{"key": "a", "value": {"int_value": "1"}}],
                            }
                        ],
                    }
                ],
            }
        ]
    }
    found = read_json(json.dumps(body).encode())

    (record,) = found.records
    assert (1, 9, "x", TRACE_ID, "e", {"a": 1}) == (
        record.timestamp + FROM_1970,
        *(record.severity_number, record.level, record.trace_id, record.event_name, record.extra),
    )
    assert ["r"] == [resource.schema_url for resource in found.resources.values()]
    assert ["s"] == [scope.schema_url for scope in found.scopes.values()]


@pytest.mark.parametrize(
    ("sent", "expected", "changes"),
    [
        pytest.param(9, 9, {}, id="C52 number"),
        pytest.param("9", 9, {}, id="number as text"),
        pytest.param("SEVERITY_NUMBER_ERROR3", 19, {}, id="C53 name"),
        pytest.param("SEVERITY_NUMBER_LOUD", 0, {"severity_number": 1}, id="C53 unknown name"),
        pytest.param(99, 99, {}, id="C53 unknown number"),
        pytest.param(None, 0, {}, id="C60 null"),
    ],
)
def test_severity_numbers(sent, expected, changes):
    """Numbers are what OTLP says; their names are taken too."""
    found = read_json(body_of({"severityNumber": sent}))

    assert [expected] == [record.severity_number for record in found.records]
    assert changes == found.changed


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param("1544712660300000123", 1544712660300000123, id="C56 text"),
        pytest.param(1544712660300000123, 1544712660300000123, id="C56 number"),
        pytest.param(str(2**64 - 1), 2**64 - 1, id="largest"),
        pytest.param(1.0, 1, id="C57 integral"),
        pytest.param("15e17", 1_500_000_000_000_000_000, id="text with an exponent"),
    ],
)
def test_times(sent, expected):
    """Times come as text or number, and keep their precision."""
    found = one({"timeUnixNano": sent, "observedTimeUnixNano": sent})

    assert expected == (found.timestamp + FROM_1970) * 1000 + found.timestamp_ns
    assert found.timestamp == found.observed_timestamp


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param({"stringValue": "x"}, "x", id="text"),
        pytest.param({"boolValue": True}, True, id="boolean"),
        pytest.param({"intValue": "9223372036854775807"}, 2**63 - 1, id="C56 integer as text"),
        pytest.param({"intValue": -5}, -5, id="C56 integer as number"),
        pytest.param({"doubleValue": 1.5}, 1.5, id="C59 double"),
        pytest.param({"doubleValue": 1}, 1.0, id="C59 double without a fraction"),
        pytest.param({"doubleValue": "1.5e3"}, 1500.0, id="C59 double as text"),
        pytest.param({"doubleValue": "NaN"}, {"$double": "NaN"}, id="C59 NaN"),
        pytest.param({"doubleValue": "-Infinity"}, {"$double": "-Infinity"}, id="C59 infinity"),
        pytest.param({"doubleValue": -0.0}, {"$double": "-0.0"}, id="negative zero"),
        pytest.param({"bytesValue": "+/8="}, {"$bytes": "+/8="}, id="C58 standard base64"),
        pytest.param({"bytesValue": "-_8"}, {"$bytes": "+/8="}, id="C58 URL-safe, unpadded"),
        pytest.param({"bytesValue": ""}, {"$bytes": ""}, id="no bytes"),
        pytest.param({"arrayValue": {}}, [], id="empty list"),
        pytest.param({"arrayValue": {"values": None}}, [], id="C60 null list"),
        pytest.param(
            {"arrayValue": {"values": [{}, None]}}, [None, None], id="empty values in a list"
        ),
        pytest.param({"kvlistValue": {}}, {}, id="empty map"),
        pytest.param(
            {"kvlist_value": {"values": [{"key": "$k", "value": {"array_value": {}}}]}},
            {"$map": {"$k": []}},
            id="a map like one of ours",
        ),
        pytest.param({"kvlistValue": {"values": [{"value": {}}]}}, {"": None}, id="no key"),
        pytest.param({}, None, id="C89 empty value"),
        pytest.param(None, None, id="C60 null"),
        pytest.param({"stringValue": None}, None, id="C60 null of a kind"),
        pytest.param({"stringValue": "x", "intValue": 1}, 1, id="C64 the last kind wins"),
        pytest.param({"intValue": 1, "stringValue": "x"}, "x", id="C64 whichever it is"),
        pytest.param({"newValue": 1}, None, id="C51 a kind we don't know"),
        pytest.param({"stringValueStrindex": 1}, None, id="C77 an index"),
    ],
)
def test_values(sent, expected):
    """All kinds of values, as all kinds of senders write them."""
    assert repr(expected) == repr(value(sent))


@pytest.mark.parametrize(
    "long", [{"schemaUrl": "x" * LONGEST_ORIGIN}, {"resource": {"a": "x" * LONGEST_ORIGIN}}]
)
def test_long_resources_are_not_kept(long):
    """What a sender makes up without end is not remembered, whichever part of it is long."""
    before = otlp_json._kept_origin.cache_info().misses
    read_json(json.dumps({"resourceLogs": [long]}).encode())

    assert before == otlp_json._kept_origin.cache_info().misses


NUMBERS = st.one_of(
    st.integers(0, 2**64),
    st.integers(-2, 2**33),
    st.sampled_from([1.0, 1e3, 1.5, "1e3", "1.0", "1.5", " 1", "+1", "-0", "007", "1_0", "", "x"]),
    st.none(),
)
WILD = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("timeUnixNano", "observedTimeUnixNano"), NUMBERS | NUMBERS.map(str)),
        **dict.fromkeys(("flags", "droppedAttributesCount"), NUMBERS | NUMBERS.map(str)),
        "severityNumber": st.integers(-3, 30) | NUMBERS | st.sampled_from(["SEVERITY_NUMBER_INFO"]),
        **dict.fromkeys(("severityText", "eventName"), st.text() | st.none() | st.just(1)),
        **dict.fromkeys(("traceId", "spanId"), st.sampled_from([TRACE_ID, TRACE_ID[:16], "", 1])),
        "body": st.fixed_dictionaries(
            {}, optional={"stringValue": st.text() | st.none(), "intValue": NUMBERS}
        ),
        "attributes": st.lists(
            st.fixed_dictionaries(
                {"key": st.sampled_from(["job_id", "stage", "a", "\0"])},
                optional={
                    "value": st.fixed_dictionaries(
                        {},
                        optional={
                            "stringValue": st.text(),
                            "intValue": NUMBERS | NUMBERS.map(str),
                            "doubleValue": st.floats(allow_nan=False, allow_infinity=False),
                            "boolValue": st.booleans(),
                        },
                    )
                },
            )
        ),
    },
)


@given(WILD)
@example({"attributes": [{"key": "stage", "value": {"stringValue": ""}}]})
def test_usual_records_are_read_as_all_others(record):
    """A record is stored or refused as it would be if it also had a field that nobody knows."""
    usual, other = read_json(body_of(record)), read_json(body_of({**record, "unknown": 1}))

    assert repr(other) == repr(usual)


@pytest.mark.parametrize("field", [*otlp_json.json_messages.LogRecord.__struct_encode_fields__])
def test_c60_null(field):
    """C60: null is as good as absent."""
    assert one({}) == one({field: None})


def test_c60_null_further_out():
    """C60: null is as good as absent, at every level."""
    scope_logs = [{"scope": None, "logRecords": [DEFAULT]}]
    bodies = [
        {"resourceLogs": None},
        {"resourceLogs": [{"scopeLogs": None, "resource": None, "schemaUrl": None}]},
        {"resourceLogs": [{"scopeLogs": [{"logRecords": None}]}]},
        {"resourceLogs": [{"scopeLogs": scope_logs}]},
    ]

    assert [0, 0, 0, 1] == [len(read_json(json.dumps(body).encode()).records) for body in bodies]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{}", id="object"),
        pytest.param(b'{"resourceLogs":[]}', id="no resource"),
        pytest.param(b'{"resourceLogs":[{}]}', id="no scope"),
        pytest.param(b'{"resourceLogs":[{"scopeLogs":[{}]}]}', id="no record"),
        pytest.param(b'{"key":"value"}', id="C51 something else"),
        pytest.param(b"\xef\xbb\xbf{}", id="C66 byte order mark"),
    ],
)
def test_c32_empty(body):
    """C32: nothing to store is no failure."""
    found = read_json(body)

    assert ([], {}) == (found.records, found.refused)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(rb"a\ud800b", "a\ufffdb", id="C62 first half"),
        pytest.param(rb"a\udc00b", "a\ufffdb", id="C62 second half"),
        pytest.param(rb"\ud800\ud800", "\ufffd\ufffd", id="C62 two first halves"),
        pytest.param(rb"\ud83d\ude00\ud83d", "\U0001f600\ufffd", id="C62 after a pair"),
        pytest.param(
            rb"\ude00\ud83d\uD83D\uDE00", "\ufffd\ufffd\U0001f600", id="C62 before a pair"
        ),
        pytest.param(rb"\\ud800", "\\ud800", id="an escaped backslash"),
        pytest.param(rb"\\\ud800\"", '\\\ufffd"', id="C62 after an escaped backslash"),
        pytest.param(b"a\xffb", "a\ufffdb", id="no UTF-8"),
        pytest.param(b"\xed\xa0\x80", "\ufffd" * 3, id="a surrogate in UTF-8"),
        pytest.param(b"\\\xe3", "\ufffd", id="an escape of what is no UTF-8"),
    ],
)
def test_mended_text(raw, expected):
    """C62: what is not Unicode becomes U+FFFD; only the record that has it is changed."""
    body = body_of(DEFAULT, {"body": {"stringValue": "HERE"}}, DEFAULT).replace(b"HERE", raw)
    found = read_json(body)

    assert ["hi", expected, "hi"] == [record.msg for record in found.records]
    assert ({"unicode": 1} if "\ufffd" in expected else {}) == found.changed


@pytest.mark.parametrize("raw", [b"\xff", rb"\ud800"])
def test_mended_origin(raw):
    """C62: a resource's text is mended too, and all its records count as changed."""
    body = json.dumps(
        {
            "resourceLogs": [
                {
                    "resource": {
                        "attributes": [{"key": "service.name", "value": {"stringValue": "HERE"}}]
                    },
                    "scopeLogs": [{"logRecords": [DEFAULT, DEFAULT]}],
                    "schemaUrl": "HERE",
                }
            ]
        }
    )
    found = read_json(body.encode().replace(b"HERE", raw))

    assert ["\ufffd"] * 2 == [record.service for record in found.records]
    assert {"unicode": 2} == found.changed


def test_c64_duplicate_names():
    """C64: of equal names in an object the last one wins."""
    body = body_of({"severityText": "a", "x": 1}).replace(b'"x":1', b'"severityText":"b"')

    assert ["b"] == [record.level for record in read_json(body).records]


def test_hostile_text_takes_no_time():
    """Mending is linear, whatever the text."""
    started = time.monotonic()
    for piece in (rb"\ud800", rb"\\", b"\xff", rb"\u0000"):
        read_json(body_of({"body": {"stringValue": "HERE"}}).replace(b"HERE", piece * 100_000))

    assert time.monotonic() - started < 5
