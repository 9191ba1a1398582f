"""The SDK's provider with a short way to our queues."""

from __future__ import annotations

import time

import pytest
from opentelemetry._logs import NoOpLogger
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from pixsim_otel import drops
from pixsim_otel.limits import QueueLimits
from pixsim_otel.processor import QueueProcessor
from pixsim_otel.provider import LoggerProvider
from pixsim_otel.transport import Delivered

from tests.unit.exporter.records import WORKER, record
from tests.unit.exporter.senders import LONG, Gate, ListSender


@pytest.fixture(name="provider")
def _provider():
    provider = LoggerProvider(WORKER)
    yield provider
    provider.shutdown(0)


def add(provider, *senders):
    queues = [QueueProcessor(each, limits=QueueLimits(batch_seconds=3600)) for each in senders]
    for queue in queues:
        provider.add_log_record_processor(queue)
    return queues


def test_direct_to_the_only_queue(provider):
    """
    With one queue of ours, that is where records are put.
    """
    [queue] = add(provider, ListSender())

    assert provider.direct is queue


def test_direct_to_all_queues(provider):
    """
    Each of several queues gets each record.
    """
    senders = [ListSender(), ListSender()]
    add(provider, *senders)

    provider.direct.put(record(attributes={"tags": ("a",)}))
    provider.force_flush()

    assert [[["a"]]] * 2 == [
        [each.attributes["tags"] for batch in sender.batches for each in batch]
        for sender in senders
    ]


def test_direct_to_none(provider):
    """
    Without a processor a record costs nothing and goes nowhere.
    """
    provider.direct.put(record())

    assert provider.force_flush()


@pytest.mark.parametrize("foreign_first", [True, False])
def test_foreign_processors_see_everything(provider, foreign_first):
    """
    With a processor that isn't ours there is no short way, and all get what the SDK emits.
    """
    foreign, sender = InMemoryLogRecordExporter(), ListSender()
    if not foreign_first:
        add(provider, sender)
    provider.add_log_record_processor(SimpleLogRecordProcessor(foreign))
    if foreign_first:
        add(provider, sender)

    provider.get_logger("jobs").emit(body="x")
    provider.force_flush()

    assert provider.direct is None
    assert ["x"] == [each.log_record.body for each in foreign.get_finished_logs()]
    assert ["x"] == sender.bodies


def test_disabled(monkeypatch):
    """
    Where the SDK is disabled, nothing is sent by the short way either.
    """
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    provider, sender = LoggerProvider(WORKER), ListSender()
    add(provider, sender)

    provider.direct.put(record())
    provider.shutdown()

    assert isinstance(provider.get_logger("jobs"), NoOpLogger)
    assert [] == sender.batches


def test_queues_end_together(provider):
    """
    One receiver that doesn't answer takes no time from another's last records.
    """
    gate, sender = Gate(), ListSender()
    add(provider, ListSender(gate), sender)
    provider.direct.put(record(body="last"))

    began = time.monotonic()
    provider.shutdown(200)
    seconds = time.monotonic() - began
    gate.opened.set()

    assert ["last"] == sender.bodies
    assert 0.2 <= seconds < LONG / 2


def test_queues_flush_together(provider):
    """
    A flush asks all queues before it waits for any.
    """
    sender = ListSender()
    first = ListSender(lambda _batch: Delivered(int(not sender.tried.acquire(timeout=LONG))))
    waiting, _ = add(provider, first, sender)
    provider.direct.put(record())

    assert provider.force_flush()
    assert 0 == waiting.drops.totals[drops.REJECTED]  # the second sent before the first was done


def test_flush_has_a_time_limit(provider):
    """
    A flush tells when not all queues were done in time.
    """
    gate = Gate()
    add(provider, ListSender(), ListSender(gate))
    provider.direct.put(record())

    flushed = provider.force_flush(50)
    gate.opened.set()

    assert not flushed
