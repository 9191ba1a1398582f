"""Between receiver and writer."""

from __future__ import annotations

import pytest

from collector import telemetry
from collector.pipeline import MOST_PRODUCTS, pipeline
from storage.records import Outcome, Refusal
from tests.builders import batch, record


def writer(*refused):
    async def write(given):
        return Outcome(stored=len(given.records) - len(refused), refused=refused)

    return write


def value(counter, *labels):
    return counter.labels(*labels)._value.get()


async def test_processors_work_in_order_before_the_writer():
    """
    Each processor sees what the one before left, and the writer what the last one left.
    """
    given = batch(record(msg="a"))

    def first(found):
        found.records[0].msg += "b"

    def second(found):
        found.records[0].msg += "c"

    await pipeline([first, second], writer())(given)

    assert given.records[0].msg == "abc"


@pytest.mark.parametrize(
    ("sender", "kept", "product"),
    [
        pytest.param("python-requests/2.32", "python-requests/2.32", "python-requests", id="usual"),
        pytest.param("caf\udce9/1", "caf?/1", "caf", id="no UTF-8"),
        pytest.param("", "", "unknown", id="none"),
        pytest.param("x" * 300, "x" * 200, "x" * 64, id="long"),
    ],
)
async def test_c114_sender(sender, kept, product):
    """
    C114: records are counted by the product that sent them; the ledger's name is storable.
    """
    given = batch(record(), record(), receiver="c114", sender=sender)
    before = value(telemetry.senders, "c114", product)
    await pipeline([], writer())(given)

    assert kept == given.sender
    assert 2 == value(telemetry.senders, "c114", product) - before


async def test_products_are_few():
    """
    However many names senders think of, the counters stay few.
    """
    submit = pipeline([], writer())
    for n in range(MOST_PRODUCTS + 50):
        await submit(batch(record(), receiver="few", sender=f"sender{n}/1"))
    await submit(batch(record(), receiver="few", sender="sender0/2"))

    assert 50 == value(telemetry.senders, "few", "other")
    assert 2 == value(telemetry.senders, "few", "sender0")


async def test_stored_and_refused_are_counted():
    """
    What the database stored and refused is counted, by receiver.
    """
    await pipeline([], writer(Refusal(index=0, reason="x")))(
        batch(record(), record(), receiver="counted")
    )

    assert 1 == value(telemetry.records_stored, "counted")
    assert 1 == value(telemetry.records_refused, "counted", "database")
