"""
A worker with spans: its records have the trace's id, and the ids that its spans know.

Nothing is bound to a logger here; `validate` doesn't even know that there is a job.
"""

import logging
import sys

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from pixsim_otel import configure_logging, configure_stdlib_root_logger, get_logger

trace.set_tracer_provider(TracerProvider())
configure_logging("spans-worker")
configure_stdlib_root_logger()
tracer = trace.get_tracer("worker")


def validate(prompt: str) -> None:
    """Log by structlog and, as libraries do, by `logging`."""
    get_logger("validation").info("prompt_validated", length=len(prompt))
    logging.getLogger("some.library").warning("the prompt is short")


def work(job_id: int) -> None:
    """Do a job, with a span within the job's."""
    with tracer.start_as_current_span("job", attributes={"job_id": job_id}):
        get_logger().info("job_started")
        with tracer.start_as_current_span(
            "validate", attributes={"job_id": job_id, "stage": "pipeline:start"}
        ):
            validate("a cat")


for number in sys.argv[1:] or ["123"]:
    work(int(number))
