"""What happens to a batch between its receiver and its commit: processors, then the writer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from collector import telemetry

if TYPE_CHECKING:
    from storage.records import Batch, Outcome

# Commits a batch or raises `storage.errors.StorageError`.
Submit = Callable[["Batch"], Awaitable["Outcome"]]
# Changes a batch's records in place, or takes some out of it.
Process = Callable[["Batch"], None]


def pipeline(processors: list[Process], write: Submit) -> Submit:
    """Give the way from a receiver through *processors*, in order, to *write*, counted."""

    async def submit(batch: Batch) -> Outcome:
        for process in processors:
            process(batch)
        outcome = await write(batch)
        telemetry.records_stored.labels(batch.receiver).inc(outcome.stored)
        if outcome.refused:
            refused = telemetry.records_refused.labels(batch.receiver, "database")
            refused.inc(len(outcome.refused))
        return outcome

    return submit
