"""Limits, as the SDK's variables set them."""

from __future__ import annotations

import pytest
from pixsim_otel import limits, settings
from pixsim_otel.limits import QueueLimits, ValueLimits


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch):
    monkeypatch.setattr(settings, "_said", set())


@pytest.mark.parametrize(
    ("environ", "given", "expected"),
    [
        pytest.param({}, {}, QueueLimits(), id="defaults"),
        pytest.param(
            {},
            {"batch_records": 10, "batch_seconds": 5.0},
            QueueLimits(batch_records=10, batch_seconds=5.0),
            id="given",
        ),
        pytest.param(
            {
                "OTEL_BLRP_SCHEDULE_DELAY": "200",
                "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "64",
                "OTEL_BLRP_MAX_QUEUE_SIZE": "100",
                "OTEL_BLRP_EXPORT_TIMEOUT": "7000",
            },
            {"batch_records": 10, "batch_seconds": 5.0},
            QueueLimits(batch_records=64, batch_seconds=0.2, queue_records=100, flush_seconds=7.0),
            id="variables go first",
        ),
        pytest.param(
            {"OTEL_BLRP_MAX_QUEUE_SIZE": "5"},
            {},
            QueueLimits(batch_records=5, queue_records=5),
            id="a batch fits in the queue",
        ),
    ],
)
def test_queue(environ, given, expected):
    """
    OpenTelemetry's variables go before what is given, and that before the defaults.
    """
    assert expected == limits.read_queue(**given, environ=environ)


@pytest.mark.parametrize("value", ["many", "-1", "0", "1.5"])
def test_bad_values(value, capsys):
    """
    A value that is no positive integer is said, and the default taken.
    """
    found = limits.read_queue(environ={"OTEL_BLRP_SCHEDULE_DELAY": value})

    assert QueueLimits() == found
    assert f"OTEL_BLRP_SCHEDULE_DELAY: '{value}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, ValueLimits(), id="defaults"),
        pytest.param(
            {
                "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "9",
                "OTEL_ATTRIBUTE_COUNT_LIMIT": "8",
            },
            ValueLimits(text=9, attributes=8),
            id="of all signals",
        ),
        pytest.param(
            {
                "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "9",
                "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT": "7",
                "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT": "6",
            },
            ValueLimits(text=7, attributes=6),
            id="those of logs go first",
        ),
        pytest.param({"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "long"}, ValueLimits(), id="no number"),
    ],
)
def test_values(environ, expected, monkeypatch):
    """
    The specification's limits for attributes are honoured.
    """
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert expected == limits.read_values()
