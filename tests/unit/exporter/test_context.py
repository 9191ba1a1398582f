"""Loggers and what they are bound to."""

from __future__ import annotations

import pytest
import structlog
from pixsim_otel import context
from structlog.testing import capture_logs


@pytest.mark.parametrize(
    ("bind", "arguments", "expected"),
    [
        (
            context.bind_job_context,
            {"job_id": "ingestion-55", "operation_type": "txt2img", "provider_id": "sora"},
            {"job_id": "ingestion-55", "operation_type": "txt2img", "provider_id": "sora"},
        ),
        (context.bind_job_context, {"job_id": 0}, {"job_id": 0}),
        (context.bind_job_context, {}, {}),
        (
            context.bind_artifact_context,
            {"artifact_id": 5, "submission_id": 6},
            {"artifact_id": 5, "submission_id": 6},
        ),
        (context.bind_generation_context, {"generation_id": 5}, {"generation_id": 5}),
        (context.bind_domain_context, {"domain": "sql"}, {"domain": "sql"}),
    ],
)
def test_binding(bind, arguments, expected):
    """A bound logger says what is known, and the one it was made from does not."""
    logger = structlog.get_logger()
    with capture_logs() as said:
        bind(logger, **arguments).info("x")
        logger.info("y")

    common = {"log_level": "info"}
    assert [{"event": "x", **expected, **common}, {"event": "y", **common}] == said


def test_positional():
    """Helpers take positions too, the logger first."""
    with capture_logs() as said:
        context.bind_generation_context(context.get_logger(), 5, 6).info("x")

    assert (5, 6) == (said[0]["generation_id"], said[0]["submission_id"])


def test_named_logger():
    """A logger's name is said by its records."""
    with capture_logs() as said:
        context.get_logger("billing").info("x")
        context.get_logger().info("y")

    assert said[0]["logger_name"] == "billing"
    assert "logger_name" not in said[1]
