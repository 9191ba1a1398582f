"""An OTLP record that comes in can go out equal."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.unit.collector.otlp_messages import (
    NOW,
    any_value,
    in_order,
    key_values,
    request,
    rows,
    sent_on,
    stored,
)

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=6)
keys = st.one_of(
    texts, st.sampled_from(["job_id", "stage", "env", "service", "duration_ms", "error", "$map"])
)
scalars = st.one_of(
    st.none(),
    texts,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.just(float("nan")),
    st.binary(max_size=6),
)
any_values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=6,
)
times = st.integers(0, 2**64 - 1)
uint32s = st.integers(0, 2**32 - 1)


@st.composite
def log_records(draw):
    sent = LogRecord(
        time_unix_nano=draw(times),
        observed_time_unix_nano=draw(times),
        severity_number=draw(st.integers(-1, 26)),
        severity_text=draw(st.one_of(texts, st.sampled_from(["", "warning", "INFO"]))),
        dropped_attributes_count=draw(uint32s),
        flags=draw(uint32s),
        trace_id=draw(st.sampled_from([b"", b"0123456789abcdef"])),
        span_id=draw(st.sampled_from([b"", b"01234567"])),
        event_name=draw(texts),
    )
    sent.attributes.extend(key_values(draw(st.dictionaries(keys, any_values, max_size=6))))
    if draw(st.booleans()):
        sent.body.SetInParent()
        sent.body.MergeFrom(any_value(draw(any_values)))
    return sent


@st.composite
def origins(draw, message):
    """Fill a Resource or a scope, or leave it away."""
    if draw(st.booleans()):
        message.SetInParent()
        message.attributes.extend(key_values(draw(st.dictionaries(keys, any_values, max_size=3))))
        message.dropped_attributes_count = draw(st.sampled_from([0, 1, 2**32 - 1]))
        if message.DESCRIPTOR.name == "InstrumentationScope":
            message.name, message.version = draw(texts), draw(texts)
    return draw(st.sampled_from(["", "https://example.com/1"]))


@st.composite
def requests(draw):
    sent = ExportLogsServiceRequest()
    for _ in range(draw(st.integers(0, 2))):
        resource_logs = sent.resource_logs.add()
        resource_logs.schema_url = draw(origins(resource_logs.resource))
        for _ in range(draw(st.integers(0, 2))):
            scope_logs = resource_logs.scope_logs.add()
            scope_logs.schema_url = draw(origins(scope_logs.scope))
            scope_logs.log_records.extend(draw(st.lists(log_records(), max_size=2)))
    return sent


def content(message):
    """All that a request says: each record with its resource and its scope, in any order."""
    return sorted(
        (
            *(resource_logs.schema_url, in_order(resource_logs.resource)),
            *(scope_logs.schema_url, in_order(scope_logs.scope)),
            in_order(record),
        )
        for resource_logs in message.resource_logs
        for scope_logs in resource_logs.scope_logs
        for record in scope_logs.log_records
    )


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
@settings(max_examples=60, deadline=None)
@given(sent=requests())
def test_lossless(encoding, sent):
    """
    A request that comes in goes out equal, field by field and type by type.

    Only an observed time is added where there was none.
    """
    found = rows(sent, encoding)
    assert not found.problems
    records = [stored(row, found) for row in found.records]
    for record in (
        r for each in sent.resource_logs for s in each.scope_logs for r in s.log_records
    ):
        record.observed_time_unix_nano = record.observed_time_unix_nano or NOW

    assert content(sent) == content(sent_on(records, encoding))


@settings(max_examples=100, deadline=None)
@given(sent=st.lists(log_records(), max_size=2))
def test_encodings_agree(sent):
    """Both encodings of a request become the same rows."""
    message = request(*sent, resource={"service.name": "api", "x": b"y"}, scope={"z": 1.5})

    assert repr(rows(message, "protobuf")) == repr(rows(message, "json"))
