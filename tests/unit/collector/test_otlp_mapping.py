"""OTLP records as rows, from either encoding, and back."""

from __future__ import annotations

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from collector import values
from storage.moments import FROM_1970
from tests.unit.collector.otlp_messages import (
    NOW,
    any_value,
    log_record,
    nested,
    rebuilt,
    request,
    row,
    rows,
)

both = pytest.mark.parametrize("encoding", ["protobuf", "json"])
SECOND = 1_000_000_000


def at(nanoseconds):
    return nanoseconds // 1000 - FROM_1970, nanoseconds % 1000


@both
@pytest.mark.parametrize(
    ("time", "observed", "expected_time", "expected_observed"),
    [
        pytest.param(5 * SECOND + 1, 6 * SECOND + 2, 5 * SECOND + 1, 6 * SECOND + 2, id="C80 both"),
        pytest.param(0, 6 * SECOND, 6 * SECOND, 6 * SECOND, id="C80 observed only"),
        pytest.param(5 * SECOND, 0, 5 * SECOND, NOW, id="C81 time only"),
        pytest.param(0, 0, NOW, NOW, id="C80 neither"),
        pytest.param(1, 1, 1, 1, id="C82 a nanosecond"),
        pytest.param(2**64 - 1, 2**63, 2**64 - 1, 2**63, id="C83 the year 2554"),
    ],
)
def test_times(encoding, time, observed, expected_time, expected_observed):
    """A record has its own time, else that at which it was observed, else that of its arrival."""
    sent = log_record(time_unix_nano=time, observed_time_unix_nano=observed)
    found = row(request(sent), encoding)

    assert at(expected_time) == (found.timestamp, found.timestamp_ns)
    assert at(expected_observed) == (found.observed_timestamp, found.observed_timestamp_ns)
    sent.observed_time_unix_nano = expected_observed
    assert sent == rebuilt(found)


@both
@pytest.mark.parametrize(
    ("number", "text", "expected"),
    [
        pytest.param(9, "info", (9, "info"), id="C84 both as sent"),
        pytest.param(17, "WARN", (17, "WARN"), id="C84 both as sent, though they differ"),
        pytest.param(0, "Warning", (13, "Warning"), id="C86 number from text"),
        pytest.param(0, "loud", (0, "loud"), id="C86 unknown text"),
        pytest.param(10, "", (10, "INFO2"), id="C87 text from number"),
        pytest.param(0, "", (0, "INFO"), id="C87 neither"),
        pytest.param(99, "", (99, "INFO"), id="C88 a number that does not exist"),
        pytest.param(-1, "x", (-1, "x"), id="C88 a negative number"),
    ],
)
def test_severity(encoding, number, text, expected):
    """Number and text are kept as sent; a missing one is derived from the other."""
    sent = log_record(severity_number=number, severity_text=text)
    found = row(request(sent), encoding)

    assert expected == (found.severity_number, found.level)
    assert sent.severity_number == rebuilt(found).severity_number
    assert sent.severity_text == rebuilt(found).severity_text


@both
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param("hi", "hi", id="text"),
        pytest.param("", "", id="C89 empty text"),
        pytest.param(None, "", id="C89 empty value"),
        pytest.param(True, "true", id="boolean"),
        pytest.param(42, "42", id="integer"),
        pytest.param(1.5, "1.5", id="double"),
        pytest.param(b"hi", "aGk=", id="bytes"),
        pytest.param([1, {"a": "b"}], '[1,{"a":"b"}]', id="map in list"),
        pytest.param({"a": {"b": None}}, '{"a":{"b":null}}', id="map"),
    ],
)
def test_c90_bodies(encoding, body, expected):
    """C90: a body of any type is kept, and shown as text."""
    sent = log_record(body=any_value(body))
    found = row(request(sent), encoding)

    assert expected == found.msg
    assert sent.body == rebuilt(found).body
    assert rebuilt(found).HasField("body")


@both
def test_c101_exception_without_body(encoding):
    """C101: where there is no body, the message of the exception is shown."""
    attributes = {"exception.message": "boom", "exception.type": "ValueError"}
    sent = log_record(attributes)
    sent.ClearField("body")
    found = row(request(sent), encoding)

    assert ("boom", "boom", "ValueError") == (found.msg, found.error, found.error_type)
    assert attributes == found.extra
    assert not rebuilt(found).HasField("body")


@both
def test_c89_no_body(encoding):
    """C89: no body is not an empty one."""
    found = row(request(LogRecord()), encoding)

    assert found.msg is None
    assert not rebuilt(found).HasField("body")


@both
def test_c95_event_name_flags_and_dropped_attributes(encoding):
    """C95, C96, C97: event name, flags with their high bits, and the dropped count are kept."""
    sent = log_record(event_name="e", flags=2**32 - 1, dropped_attributes_count=2**32 - 1)
    found = row(request(sent), encoding)

    assert ("e", 2**32 - 1) == (found.event_name, found.flags)
    assert sent.dropped_attributes_count == rebuilt(found).dropped_attributes_count
    assert row(request(log_record()), encoding).event_name is None


@both
@pytest.mark.parametrize(
    ("trace_id", "expected", "changes"),
    [
        pytest.param(bytes(range(16)), bytes(range(16)).hex(), {}, id="C98 lower-case hex"),
        pytest.param(b"", None, {}, id="none"),
        pytest.param(bytes(16), None, {}, id="C74 zeros"),
        pytest.param(b"abc", None, {"trace_id": 1}, id="C73 wrong size"),
    ],
)
def test_trace_ids(encoding, trace_id, expected, changes):
    """An invalid trace id is dropped and told; the record stays, and so does its span id."""
    sent = log_record(trace_id=trace_id, span_id=b"12345678")
    found = rows(request(sent), encoding)

    (only,) = found.records
    assert (expected, b"12345678".hex()) == (only.trace_id, only.span_id)
    assert changes == found.changed


@both
@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        pytest.param({"service.name": "api"}, "api", id="C99 its name"),
        pytest.param({"service.name": ""}, "unknown_service", id="C99 empty"),
        pytest.param({}, "unknown_service", id="C99 missing"),
        pytest.param({"service.name": {"a": 1}}, "unknown_service", id="C103 no text"),
    ],
)
def test_services(encoding, resource, expected):
    """A record's service is its resource's."""
    assert expected == row(request(log_record(), resource=resource), encoding).service


@both
@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        pytest.param({"deployment.environment": "old"}, "old", id="C100 legacy name"),
        pytest.param(
            {"deployment.environment": "old", "deployment.environment.name": "new"},
            "new",
            id="C100 the new name wins",
        ),
        pytest.param({}, None, id="none is invented"),
    ],
)
def test_environments(encoding, resource, expected):
    """A record's environment is its resource's."""
    assert expected == row(request(log_record(), resource=resource), encoding).env


@both
def test_c102_precedence(encoding):
    """C102: record before scope before resource."""
    found = row(
        request(
            log_record({"job_id": 3}),
            resource={"job_id": 1, "stage": "resource", "domain": "resource"},
            scope={"job_id": 2, "stage": "scope"},
        ),
        encoding,
    )

    assert (3, "scope", "resource") == (found.job_id, found.stage, found.domain)


@both
def test_c94_resource_and_scope(encoding):
    """C94: resource and scope are kept whole, once, and referred to."""
    message = request(
        *(log_record(), log_record()),
        resource={"b": b"hi", "a": 1},
        scope={"c": 1.0},
        schema_url="r",
        scope_schema_url="s",
    )
    resource_logs = message.resource_logs[0]
    resource_logs.resource.dropped_attributes_count = 3
    scope = resource_logs.scope_logs[0].scope
    scope.name, scope.version, scope.dropped_attributes_count = "n", "v", 4
    found = rows(message, encoding)

    ((resource_id, resource),) = found.resources.items()
    ((scope_id, scope),) = found.scopes.items()
    assert {(resource_id, scope_id)} == {(r.resource_id, r.scope_id) for r in found.records}
    assert (resource.schema_url, resource.dropped_attributes_count) == ("r", 3)
    assert resource.attributes == '{"a":1,"b":{"$bytes":"aGk="}}'
    assert (scope.name, scope.version, scope.schema_url) == ("n", "v", "s")
    assert (scope.attributes, scope.dropped_attributes_count) == ('{"c":1.0}', 4)
    assert found.records[0].extra is None


def test_identity_of_resources():
    """Resources are the same if all of them is; the order of their attributes is nothing."""
    same = [{"a": 1, "b": 2}, {"b": 2, "a": 1}]
    others = [{"a": "1", "b": 2}, {"a": 1.0, "b": 2}, {"a": 1}]
    found = [row(request(log_record(), resource=r)).resource_id for r in same + others]
    found.append(row(request(log_record(), resource=same[0], schema_url="u")).resource_id)

    assert len(others) + 2 == len(set(found))
    assert found[0] == found[1]
    assert all(-(2**63) <= each < 2**63 for each in found)


def test_empty_resource_and_scope():
    """Where there is nothing to keep, nothing is referred to."""
    found = row(request(log_record()))

    assert (None, None) == (found.resource_id, found.scope_id)


@both
def test_c92_duplicate_keys(encoding):
    """C92: of equal keys the last one wins."""
    sent = log_record({"a": 1})
    sent.attributes.extend(log_record({"a": 2}).attributes)

    assert {"a": 2} == row(request(sent), encoding).extra


@both
def test_c93_keys(encoding):
    """C93: keys have case, and dots in them mean nothing."""
    attributes = {"a.b": 1, "A.b": 2, "a": {"b": 3}, "": 4}

    assert attributes == row(request(log_record(attributes)), encoding).extra


@both
def test_c61_nul_everywhere(encoding):
    """C61: a NUL in any text becomes U+FFFD, and the record is counted as changed."""
    sent = log_record({"k\0": "v\0"}, severity_text="s\0", event_name="e\0", body=any_value("b\0"))
    found = rows(request(sent, resource={"service.name": "n\0"}), encoding)

    (only,) = found.records
    assert {"nul": 1} == found.changed
    assert ("b\ufffd", "n\ufffd", "s\ufffd", "e\ufffd", {"k\ufffd": "v\ufffd"}) == (
        *(only.msg, only.service, only.level, only.event_name, only.extra),
    )


@both
def test_c28_large_record(encoding):
    """C28: a record over the limit is refused alone, and the answer says where it stood."""
    message = request(log_record(), log_record(body=any_value("x" * 3_000)), log_record())
    found = rows(message, encoding, max_record_size=2_000)

    assert (2, {"too_large": 1}) == (len(found.records), found.refused)
    assert found.problems[0].field == "resourceLogs[0].scopeLogs[0].logRecords[1]"
    assert "the most is 2000" in found.problems[0].description


@both
def test_c27_deep_record(encoding):
    """C27: a record nested too deep is refused alone."""
    deep = log_record({"a": nested("list", values.MAX_DEPTH + 1)})
    found = rows(request(log_record(), deep), encoding)

    assert (1, {"too_deep": 1}) == (len(found.records), found.refused)


@both
def test_deep_resource(encoding):
    """A resource that can't be taken costs its own records only."""
    message = request(
        *(log_record(), log_record()), resource={"a": nested("list", values.MAX_DEPTH + 1)}
    )
    message.MergeFrom(request(log_record()))
    found = rows(message, encoding)

    assert (1, {"too_deep": 2}) == (len(found.records), found.refused)
    assert found.problems[0].field == "resourceLogs[0].resource.attributes"


@both
def test_many_attributes(encoding):
    """C28: a hundred thousand attributes take no longer than they should."""
    attributes = {f"k{i}": i for i in range(100_000)}

    found = row(request(log_record(attributes)), encoding, max_record_size=2**24)

    assert attributes == found.extra


def test_c105_order():
    """C105: records stay in their order."""
    sent = [log_record(body=any_value(str(i))) for i in range(100)]

    assert [str(i) for i in range(100)] == [r.msg for r in rows(request(*sent)).records]


def test_any_value_of_an_unknown_kind():
    """A kind of value that is newer than we are is an empty value, not an error."""
    sent = log_record()
    pair = sent.attributes.add(key="new")
    pair.value.MergeFrom(AnyValue.FromString(bytes.fromhex("9a010161")))

    assert {"new": None} == row(request(sent)).extra
