"""An OTLP record that comes in can go out equal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.unit.collector.otlp_messages import (
    any_value,
    in_order,
    key_values,
    rebuilt,
    request,
    row,
    rows,
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


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
@settings(max_examples=150, deadline=None)
@given(sent=log_records())
def test_lossless(encoding, sent):
    """A record that comes in can go out equal, field by field and type by type."""
    found = row(request(sent, resource={"service.name": "api", "stage": "s"}), encoding)
    through_json = json.loads(json.dumps([found.extra, found.otlp], allow_nan=False))
    found.extra, found.otlp = through_json

    expected, got = in_order(sent), in_order(rebuilt(found))
    assert expected.SerializeToString(deterministic=True) == got.SerializeToString(
        deterministic=True
    )


@settings(max_examples=100, deadline=None)
@given(sent=st.lists(log_records(), max_size=3))
def test_encodings_agree(sent):
    """Both encodings of a request become the same rows."""
    message = request(*sent, resource={"service.name": "api", "x": b"y"}, scope={"z": 1.5})

    assert repr(rows(message, "protobuf")) == repr(rows(message, "json"))
