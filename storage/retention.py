"""
How long records are kept: by rules, of which the first that fits counts, and by size on disk.

Days are UTC's, and whole: what is kept for 3 days goes when its day began more than 3 days
before today. `storage.expiry` deletes what this says.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003  msgspec reads the annotations
from typing import TYPE_CHECKING

import msgspec

from storage import filters
from storage.partitions import DAY
from storage.search import EVERYTHING, Search
from storage.where import Where

if TYPE_CHECKING:
    from collections.abc import Sequence

OTHERS = "all others"  # what people read of records that no rule fits


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Records of *search* are kept for *days*, or for ever; *name* is for people."""

    name: str
    search: Search
    days: int | None


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept: the first of *rules* that fits counts, and for all others *days*."""

    rules: tuple[Rule, ...] = ()
    days: int | None = None
    max_bytes: int | None = None  # of all records on disk, with their indexes

    @property
    def classes(self) -> tuple[Rule, ...]:
        """The rules and, as the last of them, what counts where none fits."""
        return (*self.rules, Rule(name=OTHERS, search=EVERYTHING, days=self.days))

    def expired(self, day: dt.date, today: dt.date) -> dict[int, str]:
        """Give why records of *day* go *today*, by the place of their class."""
        return {
            place: f"{each.name}, older than {each.days} days"
            for place, each in enumerate(self.classes)
            if each.days is not None and day < today - each.days * DAY
        }

    @property
    def longest(self) -> int | None:
        """After how many days nothing is left; None where something is kept for ever."""
        days = [each.days for each in self.classes if each.days is not None]
        return max(days) if len(days) == len(self.classes) else None

    def numbered(self, now: dt.datetime) -> tuple[str, Sequence[object]]:
        """Give the expression for the place of a row's class, and its arguments."""
        where = Where()
        cases = [
            f"WHEN {filters.condition(rule.search, where, now)} THEN {place}"
            for place, rule in enumerate(self.rules)
        ]
        others = len(self.rules)
        number = f"CASE {' '.join(cases)} ELSE {others} END" if cases else str(others)
        return number, where.arguments
