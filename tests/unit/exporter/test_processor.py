"""The queue between log calls and an exporter."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider
from pixsim_otel import drops, settings
from pixsim_otel.correlation import Correlation
from pixsim_otel.limits import QueueLimits, ValueLimits
from pixsim_otel.processor import QueueProcessor
from pixsim_otel.redaction import MASK, Redaction
from pixsim_otel.transport import Refused, Retry

from tests.unit.exporter.records import WORKER, record
from tests.unit.exporter.senders import LONG, Exporter, Gate, ListSender

NEVER = 3600.0  # seconds


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch):
    monkeypatch.setattr(settings, "_said", set())


@pytest.fixture(name="queue")
def _queue():
    """Make queues, which are shut down afterwards."""
    made = []

    def make(sender, **limits):
        arguments = {"batch_seconds": NEVER, **limits}
        made.append(QueueProcessor(sender, limits=QueueLimits(**arguments)))
        return made[-1]

    yield make
    for each in made:
        each.shutdown(0)


def put(queue, *bodies):
    for body in bodies:
        queue.put(record(body=body))


def lost(queue):
    return {reason: number for reason, number in queue.drops.totals.items() if number}


def sizes(sender):
    return [len(batch) for batch in sender.batches]


def test_a_full_batch_leaves(queue):
    """
    A batch leaves when it is full; the rest waits for its time.
    """
    sender = ListSender()
    waiting = queue(sender, batch_records=3)

    put(waiting, *range(7))
    for _ in range(2):
        assert sender.tried.acquire(timeout=LONG)

    assert [3, 3] == sizes(sender)


def test_an_old_batch_leaves(queue):
    """
    A batch that isn't full leaves when it is old enough.
    """
    sender = ListSender()
    waiting = queue(sender, batch_seconds=0.02)

    put(waiting, "a", "b")
    assert sender.tried.acquire(timeout=LONG)
    put(waiting, "c")
    assert sender.tried.acquire(timeout=LONG)

    assert ["a", "b", "c"] == sender.bodies


def test_a_large_batch_leaves(queue):
    """
    A batch is full also by its size, which only a single record exceeds.
    """
    sender = ListSender()
    waiting = queue(sender, batch_bytes=3000)

    put(waiting, "x" * 1000, "y" * 1000, "z" * 10_000, "a")
    waiting.force_flush()

    assert ["xy", "z", "a"] == ["".join(r.body[0] for r in batch) for batch in sender.batches]


def test_nothing_waits_for_the_receiver(queue):
    """
    While nothing can be sent, log calls go on; the newest records are dropped, and counted.
    """
    gate = Gate()
    sender = ListSender(gate)
    waiting = queue(sender, batch_records=2, queue_records=5)

    put(waiting, 0, 1)
    assert gate.reached.wait(LONG)
    put(waiting, *range(2, 9))
    gate.opened.set()
    waiting.force_flush()

    assert [0, 1, 2, 3, "logs_dropped", 4] == sender.bodies
    assert {drops.QUEUE_FULL: 4} == lost(waiting)
    assert 4 == sender.batches[1][2].attributes["queue_full"]


def test_the_queue_is_bounded_in_bytes(queue):
    """
    A few large records fill the queue as many small ones do, and it has room again when sent.
    """
    sender = ListSender()
    waiting = queue(sender, queue_bytes=5000)

    put(waiting, "x" * 3000, "y" * 3000, "z")
    waiting.force_flush()
    put(waiting, "y" * 3000)
    waiting.force_flush()

    assert ["x", "z", "y"] == [body[0] for body in sender.bodies if body != "logs_dropped"]
    assert {drops.QUEUE_FULL: 1} == lost(waiting)


def test_records_become_plain():
    """
    Values are made plain by the log call, within the limits; those that were cut are counted.
    """
    sender = ListSender()
    waiting = QueueProcessor(sender, value_limits=ValueLimits(text=20))

    waiting.put(record(attributes={"tags": (1, 2), "text": "x" * 100}))
    waiting.shutdown()

    assert [1, 2] == sender.batches[0][0].attributes["tags"]
    assert 20 == len(sender.batches[0][0].attributes["text"])
    assert {drops.CUT_VALUES: 1} == lost(waiting)


def test_a_log_call_never_raises(queue):
    """
    A record that can't be made plain is counted, and the program goes on.
    """
    waiting = queue(ListSender())

    waiting.put(record(attributes=None))
    waiting.on_emit(None)

    assert {drops.BROKEN: 2} == lost(waiting)


def test_many_threads(queue):
    """
    Of what threads log at the same time nothing is lost, and each one's order is kept.
    """
    sender = ListSender()
    waiting = queue(sender, batch_records=100)
    threads = [
        threading.Thread(target=put, args=(waiting, *((name, n) for n in range(1000))))
        for name in range(4)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    waiting.force_flush()

    expected = [[name, n] for name in range(4) for n in range(1000)]
    assert expected == sorted(sender.bodies, key=lambda body: body[0])


@given(st.lists(st.integers(0, 40)), st.integers(1, 10), st.integers(1, 50))
def test_all_is_sent_or_counted(bursts, batch_records, queue_records):
    """
    Whatever the limits, each record is sent once, or counted as dropped.
    """
    sender = ListSender()
    waiting = QueueProcessor(
        sender, limits=QueueLimits(batch_records=batch_records, queue_records=queue_records)
    )

    for burst in bursts:
        put(waiting, *range(burst))
        waiting.force_flush()
    waiting.shutdown()

    sent = sum(body != "logs_dropped" for body in sender.bodies)
    assert sum(bursts) == sent + sum(lost(waiting).values())
    assert max(sizes(sender), default=0) <= batch_records + 1  # the record of what was dropped


def test_what_sending_logs_is_not_sent(queue):
    """
    Records that sending causes are ignored, for they would cause the next ones.
    """

    def logs(_batch):
        put(waiting, "sent a request")
        return Refused("HTTP 400")

    sender = ListSender(logs)
    waiting = queue(sender)

    put(waiting, "x")
    waiting.force_flush()
    token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
    put(waiting, "y")
    detach(token)

    assert waiting.force_flush()
    assert ({drops.REFUSED: 1}, []) == (lost(waiting), sender.bodies)


def test_flush(queue):
    """
    A flush sends at once what was logged before it, and tells that it is sent.
    """
    sender = ListSender()
    waiting = queue(sender)
    put(waiting, "a", "b")

    assert waiting.force_flush()
    assert ["a", "b"] == sender.bodies


def test_flush_of_nothing(queue):
    """
    A flush of nothing needs no thread.
    """
    assert queue(ListSender()).force_flush()


def test_flush_has_a_time_limit(queue):
    """
    A flush that can't be done in time tells so then.
    """
    gate = Gate()
    waiting = queue(ListSender(gate))
    put(waiting, "a")

    began = time.monotonic()
    flushed = waiting.force_flush(50)
    seconds = time.monotonic() - began
    gate.opened.set()

    assert not flushed
    assert 0.05 <= seconds < LONG / 2


def test_flush_by_the_exporter_itself(queue):
    """
    An exporter that flushes its own queue doesn't wait for itself.
    """
    flushed = []
    waiting = queue(
        ListSender(lambda _batch: flushed.append(waiting.force_flush()) or Refused("HTTP 400"))
    )

    put(waiting, "a")
    waiting.force_flush()

    assert [False] == flushed


def test_flush_by_a_signal_handler(queue):
    """
    A flush doesn't need the lock of the log call that it interrupted, which can't go on.
    """
    sender = ListSender()
    waiting = queue(sender)
    put(waiting, "a")

    with waiting._backlog._lock:
        assert waiting.force_flush(LONG * 1000)
        waiting.shutdown(LONG * 1000)

    assert ["a"] == sender.bodies


def test_log_calls_in_signal_handlers(queue):
    """
    A signal handler may log whatever it interrupted, another log call too.
    """
    sender, handled = ListSender(), []
    waiting = queue(sender, batch_records=10)

    def handle(*_signal):
        handled.append("signal")
        put(waiting, "signal")

    before = signal.signal(signal.SIGPROF, handle)
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    try:
        calls = 0
        while len(handled) < 20:
            put(waiting, "call")
            calls += 1
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    waiting.force_flush()

    assert {"call": calls, "signal": len(handled)} == Counter(sender.bodies)


def test_shutdown(queue, capsys):
    """
    A shutdown sends what waits and closes the exporter, once; nothing is left to be said.
    """
    sender = ListSender()
    waiting = queue(sender, batch_records=2)
    put(waiting, *range(5))

    waiting.shutdown()
    waiting.shutdown()

    assert ([0, 1, 2, 3, 4], 1, "") == (sender.bodies, sender.closed, capsys.readouterr().err)
    assert not waiting._thread.is_alive()


def test_shutdown_without_a_record(queue):
    """
    The exporter is closed, once, also if nothing was ever logged.
    """
    sender = ListSender()
    waiting = queue(sender)

    waiting.shutdown()
    waiting.shutdown()

    assert 1 == sender.closed


def test_shutdown_has_a_time_limit(queue, capsys):
    """
    A shutdown that can't send all in time ends then, and says what was not sent.
    """
    gate = Gate()
    waiting = queue(ListSender(gate), batch_records=2)
    put(waiting, *range(5))
    assert gate.reached.wait(LONG)

    began = time.monotonic()
    waiting.shutdown(50)
    seconds = time.monotonic() - began
    gate.opened.set()

    assert 0.05 <= seconds < LONG / 2
    assert "pixsim_otel: 5 log records dropped: 5 unsent\n" == capsys.readouterr().err


def test_shutdown_ends_waiting_to_try_again(queue):
    """
    A batch that waits to be tried again is tried at once at the end, whatever was asked for.
    """
    sender = ListSender(Retry("HTTP 503", 60.0))
    waiting = queue(sender, batch_records=1)
    put(waiting, "a")
    assert sender.tried.acquire(timeout=LONG)

    waiting.shutdown()

    assert (["a"], {}) == (sender.bodies, lost(waiting))


def test_shutdown_gives_up(queue, capsys):
    """
    When the receiver can't take the last records in the time that is left, they are counted.
    """
    waiting = queue(ListSender(*[Retry("HTTP 503")] * 100), batch_records=2)
    put(waiting, *range(3))

    waiting.shutdown(700)

    assert {drops.UNSENT: 3} == lost(waiting)
    assert capsys.readouterr().err.endswith("3 log records dropped: 3 unsent\n")


def test_given_up_without_the_report(queue):
    """
    What is counted at the end is the program's own records.
    """
    sender = ListSender(Refused("HTTP 400"), *[Retry("HTTP 503")] * 100)
    waiting = queue(sender, batch_records=2)
    put(waiting, *range(4))
    for _ in range(2):
        assert sender.tried.acquire(timeout=LONG)

    waiting.shutdown(400)

    assert {drops.REFUSED: 2, drops.UNSENT: 2} == lost(waiting)


def test_after_shutdown(queue, capsys):
    """
    What is logged after the shutdown is said to be lost.
    """
    waiting = queue(ListSender())
    waiting.shutdown()

    put(waiting, "a", "b")

    assert {drops.SHUT_DOWN: 2} == lost(waiting)
    assert "pixsim_otel: 1 log records dropped: 1 shut_down\n" == capsys.readouterr().err
    assert waiting.force_flush()


def test_shutdown_without_threads(queue, monkeypatch):
    """
    Where no thread can be started any more, as at an interpreter's end, the caller sends.
    """

    def cannot(_thread):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", cannot)
    sender = ListSender()
    waiting = queue(sender)
    put(waiting, "a")

    flushed = waiting.force_flush()
    waiting.shutdown()

    assert (False, ["a"], 1) == (flushed, sender.bodies, sender.closed)


def test_foreign_exporters(queue):
    """
    Any exporter of the SDK's can be sent to.
    """
    exporter = Exporter()
    waiting = queue(exporter)
    put(waiting, "a")

    waiting.shutdown()

    assert (["a"], 1) == ([r.log_record.body for r in exporter.exported], exporter.shutdowns)


def test_the_sdks_records():
    """
    Records of OpenTelemetry's own loggers are sent too, with what their span and baggage know.
    """
    sender = ListSender()
    provider = LoggerProvider(WORKER, shutdown_on_exit=False)
    provider.add_log_record_processor(
        QueueProcessor(sender, correlation=Correlation(["job_id", "user_id"]))
    )
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")

    with tracer.start_as_current_span("s", attributes={"job_id": 7, "other": 1}) as span:
        token = attach(baggage.set_baggage("user_id", (1, 2)))
        provider.get_logger("jobs").emit(body={"a": 1}, attributes={"k": ("v",)})
        detach(token)
    provider.shutdown()

    [found] = sender.batches[0]
    assert {"k": ["v"], "job_id": 7, "user_id": [1, 2]} == found.attributes
    assert ({"a": 1}, "jobs", WORKER) == (found.body, found.scope.name, found.resource)
    assert span.get_span_context().trace_id == found.trace_id


def test_secrets_of_the_sdks_records():
    """
    Secrets in records of OpenTelemetry's own loggers are masked, at any depth.
    """
    sender = ListSender()
    provider = LoggerProvider(WORKER, shutdown_on_exit=False)
    provider.add_log_record_processor(QueueProcessor(sender, redaction=Redaction()))
    sent = {"headers": {"Authorization": "Bearer x"}, "password": "x", "k": 1}
    provider.get_logger("jobs").emit(body={"api_key": "x", "b": 2}, attributes=sent)
    provider.shutdown()

    [found] = sender.batches[0]
    assert {"headers": {"Authorization": MASK}, "password": MASK, "k": 1} == found.attributes
    assert {"api_key": MASK, "b": 2} == found.body
    assert {"headers": {"Authorization": "Bearer x"}, "password": "x", "k": 1} == sent


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_fork(queue):
    """
    A forked child sends what it logs itself, and nothing of its parent's, whatever goes on there.
    """
    gate = Gate()
    sender = ListSender(gate)
    waiting = queue(sender, batch_records=1)
    put(waiting, "being sent", "waits")
    assert gate.reached.wait(LONG)

    with waiting._backlog._lock:
        child = os.fork()
    if child == 0:  # pragma: no cover
        sender._outcomes.clear()
        put(waiting, "child")
        waiting.shutdown(LONG * 1000)
        os._exit(0 if sender.bodies == ["child"] and not lost(waiting) else 1)
    _, status = os.waitpid(child, 0)
    gate.opened.set()
    waiting.force_flush()

    assert 0 == os.waitstatus_to_exitcode(status)
    assert ["being sent", "waits"] == sender.bodies
