"""Bodies that are made of one item a record, some of which a destination would not take."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from collector.forwarding.target import Refused
from collector.turns import SLICE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from storage.stored import Stored

Item = TypeVar("Item")
# What a row may bring about that no receiver of ours wrote. It must not hold up all others.
_NOT_ENCODED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class Unfit(Exception):
    """A destination would refuse this record, or drop it in silence; the message says why."""


def each(
    records: Sequence[Stored], item: Callable[[Stored], Item]
) -> Generator[None, None, tuple[list[Item], tuple[Refused, ...]]]:
    """Make the item of each record, slice by slice; give them, and whose are `Unfit`."""
    made: list[Item] = []
    refused: list[Refused] = []
    for place, stored in enumerate(records):
        if place % SLICE == SLICE - 1:
            yield
        try:
            made.append(item(stored))
        except Unfit as exc:
            refused.append(Refused(place, str(exc)))
        except _NOT_ENCODED as exc:
            refused.append(Refused(place, f"it cannot be encoded: {type(exc).__name__}"))
    return made, tuple(refused)


def limit(size: int, most: int, what: str) -> None:
    """
    Compare a size with the most that a destination takes.

    Raises:
        Unfit: it is more.
    """
    if size > most:
        raise Unfit(f"{size} {what}, the most is {most}")
