"""What the SDK's processors see of our senders."""

from __future__ import annotations

import itertools
import logging
import threading
from importlib import metadata

import pytest
from opentelemetry.sdk._logs.export import LogRecordExportResult
from pixsim_otel import exporting
from pixsim_otel.exporting import SendingExporter
from pixsim_otel.native import PixsimLogExporter
from pixsim_otel.otlp import OTLPLogExporter
from pixsim_otel.postgres import PostgresLogExporter
from pixsim_otel.record import to_sdk
from pixsim_otel.transport import Delivered, Refused, Retry, TooLarge

from tests.unit.exporter.records import record

SUCCESS, FAILURE = LogRecordExportResult.SUCCESS, LogRecordExportResult.FAILURE


class Scripted(SendingExporter):
    """Sends nowhere, with these outcomes in turn, then with `Delivered`."""

    def __init__(self, *outcomes, timeout=5.0):
        super().__init__(timeout)
        self.outcomes = itertools.chain(outcomes, itertools.repeat(Delivered()))
        self.sent = []
        self.sending = threading.Event()
        self.closed = False

    def send(self, records, /, *, timeout=None):
        self.sent.append([each.body for each in records])
        self.sending.set()
        assert 0 < timeout <= self.timeout
        return next(self.outcomes)

    def close(self):
        self.closed = True


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(exporting, "FIRST_WAIT", 0.001)


def batch(number):
    return [to_sdk(record(body=n)) for n in range(number)]


def test_retries():
    """
    What may be accepted later is sent again, until it is.
    """
    exporter = Scripted(Retry("busy"), Retry("busy"))

    assert SUCCESS is exporter.export(batch(2))
    assert [[0, 1]] * 3 == exporter.sent


def test_refused(caplog):
    """
    What will never be accepted is sent once, and the reason is logged.
    """
    exporter = Scripted(Refused("HTTP 401"))

    assert FAILURE is exporter.export(batch(2))
    assert 1 == len(exporter.sent)
    assert ["2 log records were not delivered: HTTP 401"] == caplog.messages


@pytest.mark.parametrize("after", [None, 60.0])
def test_no_longer_than_the_timeout(after, caplog):
    """
    An export ends within its time, at once if the receiver asks for a longer wait than is left.
    """
    exporter = Scripted(*[Retry("busy", after)] * 1_000, timeout=0.05)

    assert FAILURE is exporter.export(batch(1))
    assert (len(exporter.sent) == 1) == (after is not None)
    assert ["1 log records were not delivered: busy"] == caplog.messages


def test_too_large(caplog):
    """
    A batch that is too large is halved; a record that is too large alone is lost alone.
    """
    exporter = Scripted(TooLarge("big"), Delivered(), TooLarge("big"), TooLarge("big"))

    assert FAILURE is exporter.export(batch(4))
    assert [[0, 1, 2, 3], [0, 1], [2, 3], [2], [3]] == exporter.sent
    assert ["1 log records were not delivered: big"] == caplog.messages


@pytest.mark.parametrize("outcome", [Delivered(1, "too old"), Delivered(0, "id dropped")])
def test_partial_success(outcome, caplog):
    """
    Rejected records, and warnings, are logged; nothing is sent again.
    """
    exporter = Scripted(outcome)

    assert SUCCESS is exporter.export(batch(2))
    assert 1 == len(exporter.sent)
    assert outcome.reason in caplog.text


def test_nothing_is_said_of_success(caplog):
    """
    An export that went well logs nothing.
    """
    caplog.set_level(logging.DEBUG)
    Scripted().export(batch(1))

    assert [] == caplog.messages


def test_shutdown_ends_a_wait():
    """
    Shutting down ends an export that waits to try again, and closes; then nothing is exported.
    """
    exporter = Scripted(Retry("busy", 60.0), timeout=120.0)
    results = []
    thread = threading.Thread(target=lambda: results.append(exporter.export(batch(1))))
    thread.start()
    assert exporter.sending.wait(5)
    exporter.shutdown()
    thread.join(5)
    results.append(exporter.export(batch(1)))

    assert [FAILURE, FAILURE] == results
    assert exporter.closed
    assert 1 == len(exporter.sent)


def test_force_flush():
    """
    Nothing waits in an exporter, so that there is nothing to flush.
    """
    assert Scripted().force_flush(1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pixsim", PixsimLogExporter),
        ("pixsim_otlp", OTLPLogExporter),
        ("pixsim_postgres", PostgresLogExporter),
    ],
)
def test_chosen_by_name(name, expected):
    """
    OTEL_LOGS_EXPORTER chooses among ours by these names, in any OpenTelemetry program.
    """
    (found,) = metadata.entry_points(group="opentelemetry_logs_exporter", name=name)

    assert expected is found.load()
