"""
Record what the senders of today put on the wire, into the JSON files beside this one.

Run by hand (``python -m tests.recorded.record``), never by the tests. The Python senders
are structlog with the processors that pixsim's services have, in their order, and a last
one that posts as theirs does: ``requests.post(url, json={"logs": […]}, timeout=2.0)``. The
browsers' bodies are written out, for no browser runs here. "2025" is the generation with
``artifact_id``, "2026" the one with ``generation_id``, ``trace_id``, channels and domains.
"""

from __future__ import annotations

import json
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import requests
import structlog

HERE = Path(__file__).parent


class ProviderError(Exception):
    pass


@contextmanager
def sink():
    """A server that keeps every body; gives its URL and the list of them."""
    bodies = []

    class Keep(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Keep)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api/v1/logs/ingest/batch", bodies
    server.shutdown()
    thread.join()
    server.server_close()


class Posting:
    """The last processor: gathers events, and posts those gathered when told."""

    def __init__(self, url):
        self.url = url
        self.waiting = []

    def __call__(self, logger, method, event):
        self.waiting.append(dict(event))
        raise structlog.DropEvent

    def flush(self):
        response = requests.post(self.url, json={"logs": self.waiting}, timeout=2.0)
        assert response.status_code == 200
        self.waiting = []


def redact(logger, method, event):
    secret = {"api_key", "jwt_token", "authorization", "password", "secret"}
    return {k: "***redacted***" if k.lower() in secret else v for k, v in event.items()}


def configured(posting):
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.add_log_level,
            redact,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            posting,
        ],
        cache_logger_on_first_use=False,
    )


def fail(log, **fields):
    try:
        try:
            raise TimeoutError("no answer in 30 s")
        except TimeoutError as exc:
            raise ProviderError("pixverse: submit failed\nstatus 504") from exc
    except ProviderError:
        log.exception("provider:error", **fields)


def a_job(log, output):
    """The life of one job, as the worker logs it; *output* names what it makes."""
    log = log.bind(job_id=8841, operation_type="text_to_video", provider_id="pixverse")
    log.info("pipeline:start", stage="pipeline:start", msg="job_processing_started")
    log = log.bind(submission_id=5120, **{output: 7002})
    log.info("provider:submit", stage="provider:submit", attempt=0, api_key="sk-1234567890")
    log.debug("provider:status", stage="provider:status", provider_job_id="pv_99", progress=0.5)
    fail(log, stage="provider:error", attempt=1, error="submit failed", error_type="ProviderError")
    log.warning("retry:decision", stage="retry:decision", attempt=1, will_retry=True)
    log.info("provider:complete", stage="provider:complete", duration_ms=48213, urls=["a", "b"])
    fail(log)


def python_2025(posting):
    log = structlog.get_logger().bind(service="worker", env="dev")
    log.info("logger_initialized", format="json", http_ingestion="enabled")
    a_job(log, "artifact_id")
    api = structlog.get_logger().bind(service="api", env="dev")
    with structlog.contextvars.bound_contextvars(request_id="0f8c2d1e5b7a4c3e"):
        request = {"method": "POST", "path": "/api/v1/jobs", "status_code": 201, "duration_ms": 37}
        api.info("http_request", **request)
    posting.waiting.append({})  # what a filter of that time leaves of a dropped event


def python_2026(posting):
    log = structlog.get_logger().bind(service="main-worker", env="dev")
    a_job(log.bind(channel="pipeline", domain="generation"), "generation_id")
    ids = {"request_id": "5d2f", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}
    with structlog.contextvars.bound_contextvars(**ids):
        log.info(
            "http_request",
            service="main-api",
            method="GET",
            path="/api/v1/assets?limit=50&q=caf\u00e9",
            status_code=200,
            duration_ms=12.34,
            client_surface="main-app",
            channel="api",
        )
    log.info("asset_ingested", job_id="ingestion-55", asset_id=55, channel="cron", user_id=None)
    log.warning("slow_query", domain="sql", duration_ms=1501.27, stack_info=True)
    plain = structlog.get_logger()
    plain.info("Started server process", service="uvicorn.error", logger_name="uvicorn.error")


BROWSER_2025 = {
    "level": "ERROR",
    "service": "frontend",
    "env": "development",
    "msg": "unhandled_rejection",
    "reason": "TypeError: x is undefined",
    "original_msg": "Failed to load\u2026",
    "context": {"route": "/gallery", "viewport": [1280, 720]},
}
BROWSER_2026 = {
    "logs": [
        {
            "level": "WARNING",
            "service": "frontend",
            "env": "development",
            "msg": "log_event_collapsed",
            "original_level": "ERROR",
            "original_msg": "websocket_error",
            "original_error": None,
            "occurrences": 14,
        },
        {
            "level": "ERROR",
            "service": "frontend",
            "env": "development",
            "msg": "unhandled_error",
            "error": "ReferenceError: foo is not defined",
            "reason": "boot",
        },
        {"level": "INFO", "service": "game-frontend", "env": "development", "msg": "game_ready"},
    ]
}


def without_our_paths(body):
    """Tracebacks name the files of who records; those are nobody's business."""
    for path, shown in ((HERE, "/srv/pixsim"), (sys.base_prefix, "/usr")):
        body = body.replace(str(path).encode(), shown.encode())
    return body


def main():
    written = {"browser_2025": BROWSER_2025, "browser_2026": BROWSER_2026}
    for name, story in (("python_2025", python_2025), ("python_2026", python_2026)):
        with sink() as (url, bodies):
            posting = Posting(url)
            configured(posting)
            story(posting)
            posting.flush()
        (HERE / f"{name}.json").write_bytes(without_our_paths(bodies[0]))
    for name, body in written.items():  # as JSON.stringify writes them
        text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
        (HERE / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
