"""The examples do what they say, with a collector as its users run it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.ports import free_port

EXPORTER = Path(__file__).parents[3] / "exporter"
EXAMPLES = EXPORTER / "examples"
OTLP, NATIVE = "OTEL_EXPORTER_OTLP_ENDPOINT", "PIXSIM_LOG_INGESTION_URL"
VARIABLES = ("OTEL_", "PIXSIM_", "DATABASE_URL", "LOG_DATABASE_URL", "SERVICE_NAME")


@pytest.fixture(name="environ", params=[OTLP, NATIVE])
def _environ(shared, request):
    """An environment that sends to the collector, by one of its protocols."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(VARIABLES)}
    urls = {OTLP: shared.otlp, NATIVE: f"{shared.native}/api/v1/logs/ingest/batch"}
    return environ | {request.param: urls[request.param]}


@pytest.fixture(name="job")
def _job():
    """The id of a job that no other test has."""
    return int.from_bytes(os.urandom(4), "big") >> 1


def run(environ, path, *arguments):
    """Run an example to its end; nothing of ours complains."""
    done = subprocess.run(
        [sys.executable, path, *map(str, arguments)],
        capture_output=True,
        check=True,
        env=environ,
        text=True,
        timeout=30,
    )
    assert "pixsim_otel" not in done.stderr


def story(collector, kind, name):
    """The records of a job, a request or a trace, oldest first."""
    answer = requests.get(f"{collector.native}/api/v1/logs/trace/{kind}/{name}", timeout=5)
    answer.raise_for_status()
    return answer.json()


def test_script(shared, environ, job, tmp_path):
    """
    What a script logs is found by its job, an exception with its type and its traceback.
    """
    (tmp_path / "a.png").write_bytes(b"12345")
    run(environ, EXAMPLES / "script.py", job, tmp_path / "a.png", tmp_path / "b.png")
    began, imported, failed = story(shared, "job", job)

    assert ("import started", "import", 2) == (
        began["msg"],
        began["operation_type"],
        began["extra"]["files"],
    )
    assert ("imported", 5) == (imported["msg"], imported["extra"]["size"])
    assert ("import_failed", 2, "FileNotFoundError") == (
        failed["msg"],
        failed["attempt"],
        failed["error_type"],
    )
    assert "No such file" in failed["error"]
    assert {"import-script"} == {entry["service"] for entry in (began, imported, failed)}


def test_aiohttp_app(shared, environ, job):
    """
    The id that a caller gave its request is returned, and finds all records about it.
    """
    request_id = f"request-{job}"
    trace = f"{job:032x}"
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-u", EXAMPLES / "aiohttp_app.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ | {"PORT": str(port)},
    ) as app:
        next(line for line in app.stdout if "Running on" in line)
        answer = requests.get(
            f"http://127.0.0.1:{port}/jobs/{job}",
            headers={"X-Request-ID": request_id, "traceparent": f"00-{trace}-{1:016x}-01"},
            timeout=5,
        )
        app.send_signal(signal.SIGTERM)
        app.communicate(timeout=30)
    found = story(shared, "request", request_id)
    ours = [entry for entry in found if entry["service"] == "jobs-api"]

    assert app.returncode == 0
    assert request_id == answer.headers["X-Request-ID"]
    assert ["job_shown", "http_request"] == [entry["msg"] for entry in ours]
    assert job == ours[0]["job_id"]
    assert (f"/jobs/{job}", 200) == (ours[1]["extra"]["path"], ours[1]["extra"]["status_code"])
    assert found == story(shared, "trace", trace)


def test_worker_spans(shared, environ, job):
    """
    Records of a job's spans have its id and one trace, whoever logged them, and by what.
    """
    run(environ, EXAMPLES / "worker_spans.py", job)
    found = story(shared, "job", job)

    assert [
        ("job_started", None),
        ("prompt_validated", "pipeline:start"),
        ("the prompt is short", "pipeline:start"),
    ] == [(entry["msg"], entry["stage"]) for entry in found]
    assert found == story(shared, "trace", found[0]["trace_id"])
    assert len({entry["span_id"] for entry in found}) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_prefork(shared, environ, job):
    """
    Each process of a server that forks sends its own records, and nobody's twice.
    """
    run(environ, EXAMPLES / "prefork.py", job)
    found = story(shared, "job", job)

    assert ["server_ended", "server_started", "worker_done", "worker_done", "worker_done"] == (
        sorted(entry["msg"] for entry in found)
    )
    assert len({entry["extra"]["pid"] for entry in found}) == 4


def test_the_readme_s_first_log(shared, environ, tmp_path):
    """
    The two lines of README are all that it takes.
    """
    code = re.search(r"<<'END'\n(.*?)END\n", (EXPORTER / "README.md").read_text(), re.DOTALL)
    script = tmp_path / "hello.py"
    script.write_text(code.group(1))
    before = len(story(shared, "job", 123))
    run(environ, script)
    found = story(shared, "job", 123)

    assert len(code.group(1).splitlines()) == 2
    assert before + 1 == len(found)
    assert ("hello", "it_works") == (found[-1]["service"], found[-1]["msg"])
