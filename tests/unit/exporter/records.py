"""A maker of records of the client library: defaults everywhere."""

from __future__ import annotations

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from pixsim_otel.record import Record

NOON = 1_763_035_200_123_456_789  # 2025-11-13 12:00:00.123456789 UTC
WORKER = Resource({"service.name": "worker", "deployment.environment.name": "prod"})
NO_SCOPE = InstrumentationScope("")


def record(**fields):
    """Make a record of service ``worker`` at noon."""
    return Record(
        **{
            "time": NOON,
            "severity_number": 9,
            "severity_text": "INFO",
            "body": "hello",
            "attributes": {},
            "resource": WORKER,
            "scope": NO_SCOPE,
            **fields,
        }
    )
