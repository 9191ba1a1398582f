"""
What a destination is to the engine, and what it may answer to a batch of records.

An answer tells the engine what to do next, not what happened on the wire. A place is that of a
record in the batch that was sent, from 0. Reasons are read by operators and kept in the table of
dead letters: they hold no secret, and no contents of a record where that can be helped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.stored import Stored


class Refused(msgspec.Struct, frozen=True):
    """One record that the destination will never take; it becomes a dead letter."""

    index: int  # its place
    reason: str
    status: int | None = None  # the HTTP status that says so, if any


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """
    The batch is settled, except for the places in ``retry``.

    ``rejected`` is how many records were not taken where the destination doesn't say which:
    they are counted and told with ``note``, and never sent again.
    """

    rejected: int = 0
    note: str = ""
    refused: tuple[Refused, ...] = ()
    retry: tuple[int, ...] = ()  # places to send again, and no others
    after: float | None = None  # seconds to wait before that, where the destination says
    status: int | None = None  # of those to send again, as in `Retry`


class Retry(msgspec.Struct, frozen=True):
    """Nothing is settled: everything again, later."""

    reason: str
    after: float | None = None  # seconds, where the destination says
    status: int | None = None  # the HTTP status where a record may be to blame for it, such as 500


class Split(msgspec.Struct, frozen=True):
    """The batch is too large: send its halves. One record that is too large is a dead letter."""

    reason: str


class Bad(msgspec.Struct, frozen=True):
    """The batch will never be taken: look for the record that is to blame, by halves."""

    reason: str
    status: int | None = None


class Stop(msgspec.Struct, frozen=True):
    """Nothing will be taken until somebody mends the settings: wrong token, no such index."""

    reason: str


Answer: TypeAlias = Done | Retry | Split | Bad | Stop


class Target(Protocol):
    """
    Where the records of one destination go.

    It is asked for several batches at a time, up to the setting ``concurrency``. A constructor
    does no I/O. What `send` raises is taken for a bug and for a `Retry`.
    """

    async def send(self, records: Sequence[Stored], /) -> Answer:
        """
        Send *records*, at least one, and say what became of them.

        `Done` means that the destination has them for good, as far as it ever says. Where it is
        cancelled, everything is sent again some time.
        """

    async def close(self) -> None:
        """Let go of connections and files; nothing is sent any more."""
