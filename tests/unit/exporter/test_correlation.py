"""What a span says is said by its records."""

from __future__ import annotations

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider
from pixsim_otel.correlation import Correlation

TRACER = TracerProvider().get_tracer(__name__)
REMOTE = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=True))


@pytest.fixture
def correlation():
    return Correlation({"job_id", "request_id", "stages"})


def test_span(correlation):
    """Chosen attributes of the span are added, others are not."""
    attributes = {"x": 1}
    with TRACER.start_as_current_span("s", attributes={"job_id": 5, "http.route": "/"}) as span:
        correlation.add(attributes, span, context.get_current())

    assert {"x": 1, "job_id": 5} == attributes


def test_set_later(correlation):
    """What is set on the span after its start counts too."""
    attributes = {}
    with TRACER.start_as_current_span("s") as span:
        span.set_attribute("request_id", "r")
        correlation.add(attributes, span, context.get_current())

    assert {"request_id": "r"} == attributes


def test_record_goes_first(correlation):
    """A record's own attribute is kept, then the span's, then the baggage's."""
    attributes = {"job_id": 1}
    within = baggage.set_baggage("job_id", "3", baggage.set_baggage("request_id", "3"))
    within = baggage.set_baggage("stages", "3", within)
    with TRACER.start_as_current_span("s", attributes={"job_id": 2, "stages": (2,)}) as span:
        correlation.add(attributes, span, within)

    assert {"job_id": 1, "stages": (2,), "request_id": "3"} == attributes


@pytest.mark.parametrize("span", [REMOTE, trace.INVALID_SPAN])
def test_spans_without_attributes(correlation, span):
    """A caller's span, and none, have nothing to add."""
    attributes = {}
    correlation.add(attributes, span, context.Context())

    assert {} == attributes
