"""Records as OTLP's bytes: what the SDK's own encoder says of them, said faster."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from pixsim_otel import encoding
from pixsim_otel.encoding import Encoder
from pixsim_otel.record import to_sdk

from tests.unit.exporter.records import record

SIZES = [0, 1, 63, 64, 121, 127, 128, 1011, 1023, 1024, 1025, 16_383, 16_384, 2**21]
NUMBERS = [0, 1, 127, 128, 1023, 1024, 2**14, 2**21, 2**31, 2**32, 2**63 - 1]

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=200)
scalars = st.one_of(
    st.none(),
    texts,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.binary(max_size=200),
)
plain_values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=8,
)
attributes = st.dictionaries(texts, plain_values, max_size=5)
flat = st.dictionaries(texts.filter(bool), st.one_of(texts, st.integers(0, 9)), max_size=3)
resources = st.builds(Resource, flat, texts)
scopes = st.builds(InstrumentationScope, texts, st.none() | texts, texts, flat)
times = st.integers(0, 2**64 - 1)
records = st.builds(
    record,
    time=times,
    observed_time=times,
    severity_number=st.integers(0, 24),
    severity_text=st.none() | texts,
    body=plain_values,
    attributes=attributes,
    trace_id=st.integers(0, 2**128 - 1),
    span_id=st.integers(0, 2**64 - 1),
    flags=st.integers(0, 2**8 - 1),
    event_name=st.none() | texts,
)


def parsed(found):
    return ExportLogsServiceRequest.FromString(Encoder().encode(found))


def stock(found):
    """What the SDK's encoder says, but for the empty body of records that have none."""
    message = encode_logs([to_sdk(each) for each in found])
    for resource in message.resource_logs:
        for scope in resource.scope_logs:
            for each in scope.log_records:
                if each.body.WhichOneof("value") is None:
                    each.ClearField("body")
    return message


def comparable(message):
    """Text, in which NaN equals itself."""
    return str(message)


@given(
    st.lists(resources, min_size=1, max_size=3),
    st.lists(scopes, min_size=1, max_size=3),
    st.lists(st.tuples(records, st.integers(0, 2), st.integers(0, 2)), max_size=6),
)
@settings(deadline=None)
def test_equals_the_stock_encoder(some_resources, some_scopes, found):
    """
    Whatever plain values records hold, they are encoded as the SDK's own encoder does.
    """
    for each, resource, scope in found:
        each.resource = some_resources[resource % len(some_resources)]
        each.scope = some_scopes[scope % len(some_scopes)]
    batch = [each for each, _, _ in found]

    assert comparable(stock(batch)) == comparable(parsed(batch))


@pytest.mark.parametrize("name_size", [1, 99, 100, 101, 127, 128, 5_000])
def test_every_length_of_length(name_size):
    """
    Lengths of one byte, of two and of more are right at their borders, for names and values.
    """
    batch = [record(attributes={"n" * name_size: "ä" * (size // 2)}) for size in SIZES]
    batch += [record(attributes={"n" * name_size: b"b" * size}) for size in SIZES]
    batch += [record(body="b" * size) for size in SIZES]

    assert stock(batch) == parsed(batch)


@pytest.mark.parametrize("value", [*NUMBERS, *(-1 - number for number in NUMBERS)])
def test_integers_at_their_borders(value):
    """
    An integer of any number of bytes is encoded as it is, the least and the highest included.
    """
    batch = [record(attributes={"n": value}, dropped_attributes=abs(value) % 2**32)]

    assert stock(batch) == parsed(batch)


def test_groups_keep_the_order():
    """
    Records of equal resources and scopes are one group, in which they keep their order.
    """
    a, b = InstrumentationScope("a"), InstrumentationScope("b")
    batch = [
        record(body=n, scope=scope, resource=Resource({"service.name": service}))
        for n, (scope, service) in enumerate([(a, "x"), (b, "x"), (a, "y"), (a, "x"), (a, "y")])
    ]
    found = [
        (
            logs.resource.attributes[0].value.string_value,
            scope.scope.name,
            [each.body.int_value for each in scope.log_records],
        )
        for logs in parsed(batch).resource_logs
        for scope in logs.scope_logs
    ]

    assert [("x", "a", [0, 3]), ("x", "b", [1]), ("y", "a", [2, 4])] == found


def test_no_body():
    """
    A record without a body has none on the wire, and so its receiver may show another text.
    """
    message = parsed([record(body=None)]).resource_logs[0].scope_logs[0].log_records[0]

    assert not message.HasField("body")


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        pytest.param("a\ud800b", "a�b", id="lone surrogate"),
        pytest.param(2**63, str(2**63), id="beyond int64"),
        pytest.param({1: "x"}, None, id="key that is no text"),
        pytest.param({"x"}, None, id="set"),
    ],
)
@pytest.mark.parametrize("field", ["body", "attribute"])
def test_what_is_not_plain_costs_nothing(wrong, expected, field):
    """
    A value that nobody made plain is made plain here; the records beside it are untouched.
    """
    bad = record(body=wrong) if field == "body" else record(attributes={"n": wrong})
    _, message, _ = parsed([record(), bad, record()]).resource_logs[0].scope_logs[0].log_records
    found = message.body if field == "body" else message.attributes[0].value

    assert found.WhichOneof("value")
    assert expected in {None, found.string_value}


def test_wrong_texts_and_times_cost_nothing():
    """
    A level, a name or a time that cannot be encoded is repaired, and the record kept.
    """
    bad = record(time=-5, observed_time=2**64, severity_text="\ud800", event_name="\ud800")
    message = parsed([bad]).resource_logs[0].scope_logs[0].log_records[0]

    assert (0, 2**64 - 1) == (message.time_unix_nano, message.observed_time_unix_nano)
    assert ("�", "�") == (message.severity_text, message.event_name)


def test_made_up_names_are_forgotten(monkeypatch):
    """
    A program that makes up names, levels, resources and scopes without end fills no memory.
    """
    monkeypatch.setattr(encoding, "MOST_KNOWN", 5)
    encoder = Encoder()
    for n in range(30):
        one = record(
            attributes={f"name {n}": 1},
            severity_text=f"level {n}",
            resource=Resource({"n": n}),
            scope=InstrumentationScope(f"scope {n}"),
        )
        # The identity of the objects of the round before may be that of these.
        assert stock([one]) == ExportLogsServiceRequest.FromString(encoder.encode([one]))

    kept = (encoder._names, encoder._severities, encoder._resources, encoder._scopes)

    assert max(map(len, kept)) <= 5


def test_long_names_are_not_kept():
    """
    What a name holds of memory is bounded, too.
    """
    encoder = Encoder()
    encoder.encode([record(attributes={"n" * 101: 1, "n" * 100: 2})])

    assert ["n" * 100] == list(encoder._names)
