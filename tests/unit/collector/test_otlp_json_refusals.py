"""What is wrong with OTLP's JSON costs as little as can be, and is told by its place."""

from __future__ import annotations

import contextlib
import json

import pytest

from collector.errors import BadRequest
from tests.unit.collector.otlp_messages import DEFAULT, body_of, read_json


def refusal(record):
    """Give where and why *record* is refused, beside one that isn't."""
    found = read_json(body_of(DEFAULT, record))
    assert (1, {"undecodable": 1}) == (len(found.records), found.refused)
    (problem,) = found.problems
    return problem.field.removeprefix("resourceLogs[0].scopeLogs[0].logRecords[1]"), (
        problem.description
    )


@pytest.mark.parametrize(
    ("record", "field", "problem"),
    [
        pytest.param(
            {"timeUnixNano": "abc"}, "timeUnixNano", "'abc', expected an integer", id="C57"
        ),
        pytest.param(
            {"timeUnixNano": 1.5}, "timeUnixNano", "1.5, expected an integer", id="C57 1.5"
        ),
        pytest.param({"timeUnixNano": "-1"}, "timeUnixNano", "from 0 to 1844", id="C57 negative"),
        pytest.param({"timeUnixNano": 2**64}, "timeUnixNano", "expected", id="C57 too large"),
        pytest.param({"timeUnixNano": True}, "timeUnixNano", "True", id="boolean time"),
        pytest.param(
            {"observedTimeUnixNano": "1" * 21}, "observedTimeUnixNano", "11", id="21 digits"
        ),
        pytest.param({"flags": 2**32}, "flags", "from 0 to 4294967295", id="flags"),
        pytest.param({"severityNumber": 2**31}, "severityNumber", "expected", id="severity"),
        pytest.param({"severityText": 5}, "severityText", "5, expected a string", id="text"),
        pytest.param({"body": "hi"}, "body", "'hi', expected an object", id="body"),
        pytest.param(
            {"body": {"boolValue": 1}}, "body.boolValue", "expected true or", id="boolean"
        ),
        pytest.param({"attributes": {}}, "attributes", "{}, expected an array", id="attributes"),
        pytest.param({"attributes": [5]}, "attributes[0]", "5, expected an object", id="attribute"),
        pytest.param(
            {"attributes": [{"key": 5}]}, "attributes[0].key", "5, expected a st", id="key"
        ),
        pytest.param(
            {"attributes": [{"key": "a"}, {"key": "b", "value": {"intValue": 2**63}}]},
            "attributes[1].value.intValue",
            "expected an integer from -9223372036854775808 to 9223372036854775807",
            id="C57 integer",
        ),
        pytest.param(
            {
                "body": {
                    "kvlistValue": {
                        "values": [
                            {
                                "key": "a",
                                "value": {"arrayValue": {"values": [{}, {"doubleValue": "x"}]}},
                            }
                        ]
                    }
                }
            },
            "body.kvlistValue.values[0].value.arrayValue.values[1].doubleValue",
            "'x', expected a number, NaN, Infinity or -Infinity",
            id="deep inside",
        ),
        pytest.param(
            {"body": {"doubleValue": "1e999"}}, "body.doubleValue", "expected", id="1e999"
        ),
        pytest.param({"body": {"bytesValue": "?"}}, "body.bytesValue", "base64", id="no base64"),
        pytest.param(
            {"body": {"bytesValue": "\u00e9"}}, "body.bytesValue", "base64", id="no ASCII"
        ),
        pytest.param({"body": {"arrayValue": []}}, "body.arrayValue", "an object", id="list"),
        pytest.param(5, "", "5, expected an object", id="no record"),
        pytest.param([], "", "[], expected an object", id="a list for a record"),
    ],
)
def test_c33_refusals(record, field, problem):
    """C33, C39: a record with a wrong value is refused alone, and told where and why."""
    where, why = refusal(record)

    assert field == where.removeprefix(".")
    assert problem in why


def test_wrong_resource():
    """A resource or scope with a wrong value costs its own records only."""
    scopes = [{"logRecords": [DEFAULT]}, {"scope": {"name": 5}, "logRecords": [DEFAULT, DEFAULT]}]
    resources = [{"resource": {"attributes": [{"key": 1}]}, "scopeLogs": scopes}]
    resources.append({"scopeLogs": scopes})
    found = read_json(json.dumps({"resourceLogs": resources}).encode())

    assert (1, {"undecodable": 5}) == (len(found.records), found.refused)
    assert {
        "resourceLogs[0].resource.attributes[0].key",
        "resourceLogs[1].scopeLogs[1].scope.name",
    } == {problem.field for problem in found.problems}


@pytest.mark.parametrize(
    ("number", "count"), [("1" * 10_000, 1), ("1e999", 1), ("-" + "9" * 5_000, 1)]
)
def test_c67_long_numbers(number, count):
    """C67: a number that no type holds refuses its record."""
    body = body_of(DEFAULT, {"flags": "HERE"}).replace(b'"HERE"', number.encode())
    found = read_json(body)

    assert (1, {"undecodable": count}) == (len(found.records), found.refused)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param(b"", "", id="no body"),
        pytest.param(b"[]", "the body", id="C65 a list"),
        pytest.param(b'"x"', "the body", id="C65 a string"),
        pytest.param(b"null", "the body", id="C65 null"),
        pytest.param(b"{} x", "", id="C65 trailing garbage"),
        pytest.param(b'{"resourceLogs":[', "", id="C65 truncated"),
        pytest.param("{}".encode("utf-16"), "", id="C66 UTF-16"),
        pytest.param(b"\xff{}", "", id="no UTF-8 outside of strings"),
        pytest.param(b'{"resourceLogs":' + b"[" * 100_000, "", id="C63 depth bomb"),
        pytest.param(b'{"resourceLogs":' + b'{"a":' * 100_000, "", id="C63 of objects"),
        pytest.param(b'{"resourceLogs":{}}', "resourceLogs", id="no array"),
        pytest.param(b'{"resourceLogs":[5]}', "resourceLogs[0]", id="no object"),
        pytest.param(
            b'{"resourceLogs":[{"scopeLogs":[{"logRecords":5}]}]}',
            "resourceLogs[0].scopeLogs[0].logRecords",
            id="no list of records",
        ),
        pytest.param(
            b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"flags":01}]}]}]}', "", id="no JSON"
        ),
    ],
)
def test_c41_undecodable(body, field):
    """C41, C42: a body that is not an export request is refused, and told where it isn't."""
    with pytest.raises(BadRequest) as caught:
        read_json(body)

    assert [field] == [violation.field for violation in caught.value.violations]


@pytest.mark.parametrize("depth", [200, 900, 990, 1_000, 5_000])
def test_c63_deep_but_closed(depth):
    """C63: what is nested deeper than any limit is ignored or refused, never an error of ours."""
    body = body_of({"new": "HERE"}).replace(b'"HERE"', b"[" * depth + b"]" * depth)
    with contextlib.suppress(BadRequest):
        assert read_json(body).refused.total() <= 1
