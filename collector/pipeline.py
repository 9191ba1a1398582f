"""What happens to a batch between its receiver and its commit: processors, then the writer."""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from collector import telemetry

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

    from storage.records import Batch, Outcome

# Commits a batch or raises `storage.errors.StorageError`.
Submit = Callable[["Batch"], Awaitable["Outcome"]]
# Changes a batch's records in place, or takes some out of it.
Process = Callable[["Batch"], None]


MOST_PRODUCTS = 100  # that are counted by name; the rest are "other"
LONGEST_SENDER = 200  # characters of a User-Agent that the ledger keeps
_PRODUCT = re.compile(r"[\w!#$%&'*+.^`|~-]{1,64}", re.ASCII)


def pipeline(processors: list[Process], write: Submit) -> Submit:
    """Give the way from a receiver through *processors*, in order, to *write*, counted."""
    products: set[str] = set()

    async def submit(batch: Batch) -> Outcome:
        # aiohttp keeps bytes that are no UTF-8 as lone surrogates.
        batch.sender = batch.sender[:LONGEST_SENDER].encode(errors="replace").decode()
        for process in processors:
            process(batch)
        outcome = await write(batch)
        stored = outcome.stored - outcome.repeated
        product = _product(batch.sender, products)
        sizes, taken, sent = _counters(batch.receiver, product, outcome.spooled)
        sizes.observe(len(batch.records))
        taken.inc(stored)
        sent.inc(stored)
        if outcome.repeated:
            telemetry.records_repeated.labels(batch.receiver).inc(outcome.repeated)
        if outcome.refused:
            refused = telemetry.records_refused.labels(batch.receiver, "database")
            refused.inc(len(outcome.refused))
        return outcome

    return submit


@functools.lru_cache(1_000)  # finding them by their labels takes longer than counting
def _counters(
    receiver: str,
    product: str,
    spooled: bool,  # noqa: FBT001  a cache takes no keywords quickly
) -> tuple[Histogram, Counter, Counter]:
    taken = telemetry.records_spooled if spooled else telemetry.records_stored
    return (
        telemetry.request_records.labels(receiver),
        taken.labels(receiver),
        telemetry.senders.labels(receiver, product),
    )


def _product(sender: str, known: set[str]) -> str:
    """Give the product name that a User-Agent starts with; counters must stay few."""
    named = _PRODUCT.match(sender)
    product = named[0] if named else "unknown"
    if len(known) < MOST_PRODUCTS:
        known.add(product)
    return product if product in known else "other"
