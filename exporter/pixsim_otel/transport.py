"""
What a batch of records can come to, and the one way to post it over HTTP.

An exporter turns records into a body and an answer into an `Outcome`; what follows from
the outcome (wait, halve, drop, count) is the queue's business, the same for all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .record import Record


class Delivered(msgspec.Struct, frozen=True):
    """
    The batch was taken, all but *rejected* of its records.

    Those are counted and said, never sent again (OTLP's partial success). With 0 rejected
    a *reason* is a warning.
    """

    rejected: int = 0
    reason: str = ""


class Refused(msgspec.Struct, frozen=True):
    """The batch will never be accepted: no record of it was stored."""

    reason: str


class Retry(msgspec.Struct, frozen=True):
    """The same batch may be accepted later; *after* is seconds, as the receiver asked for."""

    reason: str
    after: float | None = None


class TooLarge(msgspec.Struct, frozen=True):
    """The batch may be accepted in smaller ones; a single record will not be."""

    reason: str


Outcome: TypeAlias = Delivered | Refused | Retry | TooLarge


class Sender(Protocol):
    """Where batches go; `send` and `close` are called by one thread at a time."""

    def send(self, records: Sequence[Record], /) -> Outcome:
        """Send *records* once and tell what came of it; never raises for what they hold."""

    def close(self) -> None:
        """Give up the connections; another `send` would open new ones."""
