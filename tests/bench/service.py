"""
A service that logs in one of the ways that are compared, and prints what it cost as JSON.

``python -m tests.bench.service WAY TASK [SINK]``; `tests.bench.exporter` runs it.
"""

from __future__ import annotations

import json
import os
import sys
import time

import structlog
from opentelemetry._logs import get_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.resources import Resource
from pixsim_otel import OTelProcessor, bind_job_context, configure_logging, get_ingestion_stats
from pixsim_otel.console import JSONRenderer
from pixsim_otel.otlp import OTLPLogExporter
from pixsim_otel.processor import QueueProcessor
from pixsim_otel.provider import LoggerProvider as OurProvider

BLOCK, BLOCKS = 1_000, 30  # log calls between two flushes, for the queue's sake; and these
RATE, SECONDS, TICKS = 10_000, 5, 100  # logs and wake-ups a second
BURST = 100_000


def structlog_alone(*processors, renderer=None):
    """Processors as services have them, without filters and redaction."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.TimeStamper(fmt="iso", key="timestamp"),
            structlog.processors.add_log_level,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            *processors,
            renderer or JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        cache_logger_on_first_use=True,
    )
    return structlog.get_logger().bind(service="worker", env="dev")


def upstream(sink):
    """OpenTelemetry's own processors and exporter, as their documentation has them."""
    from opentelemetry.exporter.otlp.proto.http import _log_exporter
    from opentelemetry.instrumentation.structlog import StructlogProcessor
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    provider = LoggerProvider(Resource.create({"service.name": "worker"}), shutdown_on_exit=False)
    provider.add_log_record_processor(
        BatchLogRecordProcessor(_log_exporter.OTLPLogExporter(f"{sink}/v1/logs"))
    )
    return structlog_alone(StructlogProcessor(provider)), provider


def processor_only(sink):
    """Upstream's place in a chain that is the service's own, taken by ours."""
    provider = OurProvider(Resource.create({"service.name": "worker"}))
    provider.add_log_record_processor(QueueProcessor(OTLPLogExporter(f"{sink}/v1/logs")))
    return structlog_alone(OTelProcessor(provider)), provider


def ours(name, url):
    """`configure_logging`, with all that it does, and its variable."""
    os.environ[name] = url
    log = configure_logging("worker")
    return log, get_logger_provider()


def started(way, sink):
    """Give the logger, and the provider if there is one."""
    match way:
        case "structlog":
            return structlog_alone(), None
        case "json.dumps":
            return structlog_alone(renderer=structlog.processors.JSONRenderer()), None
        case "upstream":
            return upstream(sink)
        case "ours, bare":
            return processor_only(sink)
        case "ours, OTLP":
            return ours("OTEL_EXPORTER_OTLP_ENDPOINT", sink)
        case "ours, native":
            return ours("PIXSIM_LOG_INGESTION_URL", f"{sink}/api/v1/logs/ingest/batch")
    raise LookupError(way)


def call(log, n):
    """Log once, as a worker does in the middle of a job."""
    log.info(
        "provider:submit",
        n=n,
        stage="provider:submit",
        attempt=1,
        duration_ms=12.5,
        account_id=17,
        queue="default",
    )


def cost(log, provider):
    """CPU of log calls, and of all that follows, in µs a log."""
    calling = begin = 0.0
    for block in range(BLOCKS + 1):
        if block == 1:  # what is made once is made
            calling, begin = 0.0, time.process_time()
        start = time.thread_time()
        for n in range(block * BLOCK, (block + 1) * BLOCK):
            call(log, n)
        calling += time.thread_time() - start
        if provider is not None:
            provider.force_flush()
    used = time.process_time() - begin
    logs = BLOCK * BLOCKS
    return {"sent": logs + BLOCK, "calling": calling / logs * 1e6, "total": used / logs * 1e6}


def steady(log, provider):
    """Log at a rate, and tell how long that took, and the CPU it used."""
    start, used = time.perf_counter(), time.process_time()
    each = RATE // TICKS
    for tick in range(SECONDS * TICKS):
        time.sleep(max(0.0, start + tick / TICKS - time.perf_counter()))
        for n in range(tick * each, (tick + 1) * each):
            call(log, n)
    seconds = time.perf_counter() - start
    provider.force_flush()
    used = time.process_time() - used
    return {"sent": RATE * SECONDS, "rate": RATE * SECONDS / seconds, "cpu": used / seconds}


def burst(log, provider):
    """Log without a pause, and tell how long calls took, in µs."""
    took = []
    for n in range(BURST):
        start = time.perf_counter_ns()
        call(log, n)
        took.append(time.perf_counter_ns() - start)
    seconds = sum(took) / 1e9
    provider.force_flush()
    took.sort()
    return {
        "sent": BURST,
        "rate": BURST / seconds,
        "p50": took[BURST // 2] / 1e3,
        "p99": took[BURST * 99 // 100] / 1e3,
        "max": took[-1] / 1e3,
    }


def main(way, task, sink=""):
    """Do *task*; the log itself is written, but to nowhere."""
    out, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: PTH123, SIM115  until the end
    log, provider = started(way, sink)
    log = log.bind(request_id="0123456789abcdef0123456789abcdef", submission_id=1230)
    log = bind_job_context(log, 123, "image_to_video", "pixverse")
    found = {"cost": cost, "steady": steady, "burst": burst}[task](log, provider)
    if provider is not None:
        provider.shutdown()
    stats = get_ingestion_stats()
    if stats["active"]:
        found["dropped"] = stats["dropped_logs"] + stats["worker_errors"]
    print(json.dumps(found), file=out)


main(*sys.argv[1:])
