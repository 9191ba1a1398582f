"""From a batch to its end."""

from __future__ import annotations

import pytest
from opentelemetry.sdk._logs import ReadableLogRecord
from pixsim_otel import delivery, drops, settings
from pixsim_otel.delivery import Delivery
from pixsim_otel.drops import Drops
from pixsim_otel.transport import Delivered, Refused, Retry, TooLarge

from tests.unit.exporter.records import record
from tests.unit.exporter.senders import Exporter, ListSender


class Pauses:
    """Waits for nothing; gives up at the *last* pause."""

    def __init__(self, last=1000):
        self.seconds = []
        self._last = last

    def __call__(self, seconds):
        self.seconds.append(seconds)
        return len(self.seconds) < self._last


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch):
    monkeypatch.setattr(settings, "_said", set())


@pytest.fixture(name="dropped")
def _dropped():
    return Drops()


@pytest.fixture(name="no_spread")
def _no_spread(monkeypatch):
    monkeypatch.setattr(delivery.random, "uniform", lambda low, _high: low)


def records(number):
    return [record(body=n) for n in range(number)]


def lost(dropped):
    return {reason: number for reason, number in dropped.totals.items() if number}


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        pytest.param(Delivered(), {}, id="delivered"),
        pytest.param(Delivered(2, "too old"), {drops.REJECTED: 2}, id="partial success"),
        pytest.param(Delivered(0, "a warning"), {}, id="warning"),
        pytest.param(Refused("HTTP 400"), {drops.REFUSED: 3}, id="refused"),
    ],
)
def test_outcomes_that_end(outcome, expected, dropped):
    """
    What was delivered or refused is not sent again; what was not taken is counted.
    """
    sender, pauses = ListSender(outcome), Pauses()

    left = Delivery(sender, dropped, pauses).deliver(records(3))

    assert (0, [], expected) == (left, pauses.seconds, lost(dropped))


def test_a_warning_is_said(dropped, capsys):
    """
    A receiver's warning about what it took is said, once.
    """
    warning = Delivered(0, "attributes were cut")
    delivering = Delivery(ListSender(warning, warning), dropped, Pauses())

    for _ in range(2):
        delivering.deliver(records(1))

    assert "pixsim_otel: the receiver says: attributes were cut\n" == capsys.readouterr().err


def test_tried_again_until_taken(dropped, no_spread):
    """
    What may be accepted later is kept and tried again, at first soon, then ever less often.
    """
    sender, pauses = ListSender(*[Retry("HTTP 503")] * 8), Pauses()

    left = Delivery(sender, dropped, pauses).deliver(records(2))

    assert [0.5, 1, 2, 4, 8, 16, 30, 30] == pauses.seconds
    assert (0, {}, [0, 1]) == (left, lost(dropped), sender.bodies)


def test_retry_after(dropped, no_spread):
    """
    A receiver is not asked again before the time it asked for, if that is not absurd.
    """
    pauses = Pauses()
    sender = ListSender(Retry("a", 7.0), Retry("b", 0.0), Retry("c", 1e9))

    Delivery(sender, dropped, pauses).deliver(records(1))

    assert [7.0, 1, 600] == pauses.seconds


def test_waits_are_spread(dropped):
    """
    Senders that failed at the same time don't come back at the same time.
    """
    waits = set()
    for _ in range(20):
        pauses = Pauses()
        Delivery(ListSender(Retry("x", 5.0)), dropped, pauses).deliver(records(1))
        waits.update(pauses.seconds)

    assert len(waits) > 10
    assert min(waits) >= 5


def test_too_large_a_batch_is_halved(dropped):
    """
    A batch that is too large is sent in parts, in order; one record that is too large is lost.
    """

    def at_most_two(batch):
        return TooLarge("HTTP 413") if len(batch) > 2 or batch[0].body == 3 else Delivered()

    sender = ListSender(*[at_most_two] * 100)

    left = Delivery(sender, dropped, Pauses()).deliver(records(7))

    assert [0, 1, 2, 4, 5, 6] == sender.bodies
    assert (0, {drops.TOO_LARGE: 1}) == (left, lost(dropped))


def test_given_up(dropped):
    """
    When the process ends first, it is told how many records were neither taken nor refused.
    """
    sender = ListSender(TooLarge("x"), Delivered(), Retry("HTTP 503"))

    left = Delivery(sender, dropped, Pauses(last=1)).deliver(records(5))

    assert (3, {}, [0, 1]) == (left, lost(dropped), sender.bodies)


@pytest.mark.parametrize("error", [None, RuntimeError("no")])
def test_foreign_exporters(error, dropped):
    """
    An exporter of the SDK's interface gets the SDK's records, again after a failure.
    """
    exporter = Exporter(failures=2, error=error)
    delivering = Delivery(exporter, dropped, Pauses())

    left = delivering.deliver(records(2))
    delivering.close()

    assert (0, {}, 1) == (left, lost(dropped), exporter.shutdowns)
    assert [0, 1] == [found.log_record.body for found in exporter.exported]
    assert all(type(found) is ReadableLogRecord for found in exporter.exported)


@pytest.mark.parametrize("error", [None, RuntimeError("no")])
def test_unexplained_failures_end(error, dropped):
    """
    What fails without a reason is dropped after a while: it may be the batch's own fault.
    """
    exporter = Exporter(failures=5, error=error)
    delivering = Delivery(exporter, dropped, Pauses(), patience=0.0)

    left = delivering.deliver(records(2))

    assert (0, {drops.FAILED: 2}, []) == (left, lost(dropped), exporter.exported)


def test_an_outage_is_said(dropped, capsys):
    """
    That sending fails is said once, and so is that it works again.
    """
    delivering = Delivery(ListSender(*[Retry("HTTP 503")] * 3), dropped, Pauses())

    delivering.deliver(records(1))
    delivering.deliver(records(1))

    assert [
        "pixsim_otel: sending logs fails, they wait: HTTP 503",
        "pixsim_otel: sending logs works again after 0 s",
    ] == capsys.readouterr().err.splitlines()


def test_a_sender_that_cannot_close(dropped, capsys):
    """
    An exporter that fails to close is no reason for the process to end otherwise.
    """
    sender = ListSender()
    sender.close = lambda: 1 / 0

    Delivery(sender, dropped, Pauses()).close()

    assert "closing the exporter failed: ZeroDivisionError" in capsys.readouterr().err
