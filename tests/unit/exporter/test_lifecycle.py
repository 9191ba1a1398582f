"""What happens to the last records, however a process ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading

import pytest
import structlog
from pixsim_otel import lifecycle
from pixsim_otel.lifecycle import Lifecycle

# A service that prints what is delivered; its records wait for each other much longer than it lives.
SERVICE = """
import logging, multiprocessing, os, signal, sys, threading, time
import structlog
from opentelemetry.sdk.resources import Resource
from pixsim_otel import lifecycle
from pixsim_otel.bridge import OTelProcessor
from pixsim_otel.limits import QueueLimits
from pixsim_otel.processor import QueueProcessor
from pixsim_otel.provider import LoggerProvider
from pixsim_otel.transport import Delivered, Retry

class Sender:
    def send(self, records):
        for record in records:
            os.write(1, f"{record.severity_text} {record.body} {'exception.type' in record.attributes}\\n".encode())
        return Delivered()
    def close(self):
        os.write(1, b"closed\\n")

class Unreachable(Sender):
    def send(self, records):
        return Retry("connection refused")

def start(sender):
    provider = LoggerProvider(Resource({}))
    provider.add_log_record_processor(QueueProcessor(sender, limits=QueueLimits(batch_seconds=3600)))
    lifecycle.install(provider, seconds=0.8)
    lifecycle.install(provider, seconds=0.8)
    structlog.configure(processors=[OTelProcessor(provider), lambda *_: ""], logger_factory=structlog.ReturnLoggerFactory())
    return structlog.get_logger()

def child():
    log.info("child")

log = start(Sender())
"""


def run(code, tmp_path):
    """Run a service that does *code*; give its exit status, what was delivered, and its stderr."""
    script = tmp_path / "service.py"
    script.write_text(SERVICE + textwrap.dedent(code))
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize(
    ("code", "status", "delivered"),
    [
        pytest.param('log.info("a")', 0, ["INFO a False", "closed"], id="exit"),
        pytest.param('log.info("a"); sys.exit(3)', 3, ["INFO a False", "closed"], id="sys.exit"),
        pytest.param(
            'log.info("a"); os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)',
            -signal.SIGTERM,
            ["INFO a False", "closed"],
            id="SIGTERM",
        ),
        pytest.param(
            'log.info("a"); raise ValueError("bad")',
            1,
            ["INFO a False", "CRITICAL unhandled_exception True", "closed"],
            id="exception",
        ),
        pytest.param(
            'log.info("a"); raise KeyboardInterrupt',
            -signal.SIGINT,
            ["INFO a False", "closed"],
            id="interrupt",
        ),
        pytest.param(
            """
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))
            log.info("a"); os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)
            """,
            4,
            ["INFO a False", "closed"],
            id="the application's own handler",
        ),
    ],
)
def test_ends(code, status, delivered, tmp_path):
    """
    However a process ends, what it logged is sent, and its status is what it would be.
    """
    assert (status, delivered) == run(code, tmp_path)[:2]


def test_exceptions_are_still_printed(tmp_path):
    """
    An unhandled exception is printed by Python as ever, a thread's too.
    """
    _, delivered, stderr = run(
        """
        thread = threading.Thread(target=lambda: 1 / 0, name="t"); thread.start(); thread.join()
        raise ValueError("bad")
        """,
        tmp_path,
    )

    assert ["CRITICAL unhandled_exception True"] * 2 + ["closed"] == delivered
    assert "ZeroDivisionError: division by zero" in stderr
    assert stderr.endswith("ValueError: bad\n")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(method, tmp_path):
    """
    A process of `multiprocessing`, which skips Python's exit handlers, sends its last records.
    """
    _, delivered, _ = run(
        f"""
        if __name__ == "__main__":
            process = multiprocessing.get_context("{method}").Process(target=child)
            process.start(); process.join()
            log.info("parent")
        """,
        tmp_path,
    )

    assert ["INFO child False", "closed", "INFO parent False", "closed"] == delivered


def test_unreachable(tmp_path):
    """
    A receiver that is away delays the end by no more than the limit, and the loss is said.
    """
    status, delivered, stderr = run(
        """
        log = start(Unreachable())
        for n in range(3):
            log.info("a")
        began = time.monotonic()
        import atexit
        atexit._run_exitfuncs()
        os.write(1, f"{time.monotonic() - began < 3}\\n".encode())
        """,
        tmp_path,
    )

    assert (0, "True") == (status, delivered[-1])
    assert "pixsim_otel: 3 log records dropped: 3 unsent" in stderr


class Provider:
    def __init__(self, error=None):
        self.calls = []
        self._error = error

    def force_flush(self, timeout_millis):
        self.calls.append(("flush", timeout_millis))
        if self._error:
            raise self._error

    def shutdown(self, timeout_millis):
        self.calls.append(("shutdown", timeout_millis))
        if self._error:
            raise self._error


def test_failures_at_the_end(capsys):
    """
    A provider that fails at the end is said to, and the process goes on ending.
    """
    Lifecycle(Provider(error=RuntimeError("no"))).end()

    assert "sending the last logs failed: RuntimeError: no" in capsys.readouterr().err


def test_hooks_fail_without_harm(monkeypatch, capsys):
    """
    An exception that can't be logged reaches the hook that was there before.
    """
    printed = []
    monkeypatch.setattr(sys, "excepthook", lambda *given: printed.append(given))
    hooks = Lifecycle(Provider(error=RuntimeError("no")))
    error = ValueError("bad")

    with structlog.testing.capture_logs() as logged:
        hooks._on_exception(ValueError, error, None)

    assert [(ValueError, error, None)] == printed
    assert [("unhandled_exception", "critical")] == [(e["event"], e["log_level"]) for e in logged]
    assert "an unhandled exception was not logged: RuntimeError" in capsys.readouterr().err


def test_signals_are_for_the_main_thread(monkeypatch):
    """
    Logging set up by another thread works, but for the signal.
    """
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(lifecycle, "_installed", [])
    monkeypatch.setattr(lifecycle.atexit, "register", lambda _call: None)
    before = signal.getsignal(signal.SIGTERM)
    provider = Provider()
    thread = threading.Thread(target=lifecycle.install, args=(provider,))

    thread.start()
    thread.join()

    assert [provider] == [each.provider for each in lifecycle._installed]
    assert before is signal.getsignal(signal.SIGTERM)
