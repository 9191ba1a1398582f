"""Records that no sender should send and some do, to a real collector on Postgres."""

from __future__ import annotations

import json
import re
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e import bad_records as bad
from tests.e2e.protocols import NativeBatch, NativeSingle, OtlpJson, OtlpProtobuf

pytestmark = pytest.mark.usefixtures("still_well")
some = settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # it looks after all examples
)

TABLES = [(NativeBatch, bad.NATIVE), (OtlpJson, bad.OTLP_JSON), (OtlpProtobuf, bad.PROTO)]
BESIDE = [
    pytest.param(protocol, *case.values, id=f"{protocol.__name__} {case.id}")
    for protocol, cases in TABLES
    for case in cases
]
HOPELESS = [
    pytest.param(protocol, *case.values, id=f"{protocol.__name__} {case.id}")
    for protocol, cases in [(NativeBatch, bad.NATIVE_HOPELESS), (OtlpJson, bad.OTLP_JSON_HOPELESS)]
    for case in cases
]


@pytest.fixture(name="record")
def _record(request):
    return bad.made(request.param)


@pytest.mark.parametrize(
    ("protocol", "record", "alone", "message", "rejected"), BESIDE, indirect=["record"]
)
def test_a_bad_record_costs_no_good_one(shared, protocol, record, alone, message, rejected):
    """
    The good records beside it are stored and found; the answer says what became of the bad one.
    """
    sender = protocol(shared)
    found = sender.send_between_good(record)

    assert (200, rejected, 2) == (sender.status, sender.rejected, found)
    assert re.search(message, sender.message)
    # A batch of one is still a batch, whose answer counts what is rejected.
    assert (200 if protocol is NativeBatch else alone) == sender.send_records(record).status


@pytest.mark.parametrize(
    ("protocol", "record", "alone", "message", "rejected"), HOPELESS, indirect=["record"]
)
def test_a_request_that_cannot_be_read_is_refused_whole(
    shared, protocol, record, alone, message, rejected
):
    """
    Where the JSON around the records breaks, none of them is stored, and the answer says why.
    """
    sender = protocol(shared)
    found = sender.send_between_good(record)

    assert (alone, 0) == (sender.status, found)
    assert re.search(message, sender.message)


@pytest.mark.parametrize(
    ("record", "status", "message", "_"),
    [*bad.NATIVE, *bad.NATIVE_HOPELESS],
    indirect=["record"],
)
def test_single_record(shared, record, status, message, _):
    """
    A single record is stored or refused, and those before it stay.
    """
    sender = NativeSingle(shared)
    found = sender.send_between_good(record)

    assert (status, 2) == (sender.status, found)
    assert re.search(message, sender.message)


WRONG = [None, True, 0, -1.5, 1e300, "", "x", [], ["x"], {}, {"a": {"b": 1}}]
NATIVE_FIELDS = [
    "timestamp",
    "level",
    "service",
    "env",
    "instance_id",
    "msg",
    "event_name",
    "request_id",
    "job_id",
    "submission_id",
    "artifact_id",
    "generation_id",
    "provider_job_id",
    "provider_id",
    "operation_type",
    "stage",
    "channel",
    "domain",
    "user_id",
    "error",
    "error_type",
    "duration_ms",
    "attempt",
    "trace_id",
    "span_id",
    "extra",
    "exception",
    "event",
]
OTLP_FIELDS = [
    "timeUnixNano",
    "observedTimeUnixNano",
    "severityNumber",
    "severityText",
    "body",
    "attributes",
    "droppedAttributesCount",
    "flags",
    "traceId",
    "spanId",
    "eventName",
]


def test_wrong_types_in_native_fields(shared):
    """
    No value costs its record; alone it is refused only where its level or service is no text.
    """
    token = uuid.uuid4().hex
    records = [
        json.dumps({"level": "INFO", "service": token, name: value, "test": token}).encode()
        for name in NATIVE_FIELDS
        for value in WRONG
    ]
    sender = NativeBatch(shared).send_records(*records)
    alone = NativeSingle(shared)
    refused = {
        name
        for name in NATIVE_FIELDS
        for value in WRONG
        if alone.send_records(bad.native(**{name: value})).status != 200
    }

    assert (200, 0) == (sender.status, sender.rejected)
    assert len(records) == len(shared.query(test=token, limit=1000))
    assert {"level", "service"} == refused
    assert alone.status == 200


@pytest.mark.parametrize("name", OTLP_FIELDS)
def test_wrong_types_in_otlp_fields(shared, name):
    """
    A field of a wrong type costs its record alone, and the answer names the field.
    """
    sender = OtlpJson(shared)
    for value in WRONG:
        found = sender.send_between_good(bad.otlp(**{name: value}))

        assert (200, 2) == (sender.status, found)
        assert name in sender.message or not sender.rejected


json_text = st.text(st.characters(), max_size=8)  # with surrogates and NUL
json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | json_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(json_text, inner, max_size=3),
    max_leaves=6,
)


@some
@given(fields=st.dictionaries(st.sampled_from(NATIVE_FIELDS) | json_text, json_value, max_size=6))
def test_any_json_object_is_a_record(shared, fields):
    """
    Any JSON object in a batch is stored, with those beside it.
    """
    sender = NativeBatch(shared)
    found = sender.send_between_good(json.dumps(fields).encode())

    assert (200, 0, 2) == (sender.status, sender.rejected, found)


@some
@given(fields=st.dictionaries(st.sampled_from(OTLP_FIELDS) | json_text, json_value, max_size=6))
def test_any_json_object_beside_otlp_records(shared, fields):
    """
    Any JSON value in place of a record costs no good one.
    """
    text = json.dumps(fields).replace("NaN", "1").replace("Infinity", "1")
    sender = OtlpJson(shared)
    found = sender.send_between_good(text.encode())

    assert (200, 2) == (sender.status, found)


@some
@given(data=st.data())
def test_any_bytes_beside_otlp_records(shared, data):
    """
    Any bytes in place of a record, or in the midst of one, cost no good one.
    """
    whole = data.draw(st.sampled_from([case.values[0] for case in bad.PROTO[:9]]))
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    sender = OtlpProtobuf(shared)
    found = sender.send_between_good(
        whole[:start] + data.draw(st.binary(max_size=30)) + whole[end:]
    )

    assert (200, 2) == (sender.status, found)
