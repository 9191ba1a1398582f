"""The settings of how long records are kept."""

from __future__ import annotations

from typing import Annotated

import msgspec

from collector import levels, search
from collector.sections import Section
from storage import retention
from storage.search import Equals, Search, Severity, both

Days = Annotated[int, msgspec.Meta(ge=0, le=36_500, description="days")]
Size = Annotated[int, msgspec.Meta(ge=0, description="bytes")]
_CONDITIONS = ("service", "env", "level", "min_level", "max_level", "search")


class Rule(Section, frozen=True, kw_only=True):
    """
    How long records are kept that meet all the conditions given.

    A level is a band, as in a query; a record whose level is no known word is in none.
    """

    service: str | None = None
    env: str | None = None
    level: str | None = None
    min_level: str | None = None
    max_level: str | None = None
    search: str | None = None  # in the language of docs/search.md
    days: Days  # 0 is for ever

    def __post_init__(self) -> None:
        """Check what no type says."""
        if all(getattr(self, name) is None for name in _CONDITIONS):
            raise ValueError(f"expected at least one of {', '.join(_CONDITIONS)}")
        for name in ("level", "min_level", "max_level"):
            level = getattr(self, name)
            if level is not None and levels.span(level) is None:
                raise ValueError(f"{name}: expected one of {', '.join(levels.NAMES)}")
        try:
            search.parse(self.search or "")
        except search.Mistake as exc:
            raise ValueError(f"search: {exc}") from exc

    @property
    def name(self) -> str:
        """What people call it: what they wrote."""
        given = ((name, getattr(self, name)) for name in _CONDITIONS)
        return ", ".join(f"{name}: {value}" for name, value in given if value is not None)

    @property
    def wanted(self) -> Search:
        """The records that it is for."""
        found: list[Search] = [
            Equals(name, (value,))
            for name in ("service", "env")
            if (value := getattr(self, name)) is not None
        ]
        if self.level is not None:
            found.append(Severity(*_band(self.level)))
        if self.min_level is not None or self.max_level is not None:
            lowest = _band(self.min_level)[0] if self.min_level is not None else 1
            highest = _band(self.max_level)[1] if self.max_level is not None else None
            found.append(Severity(lowest, highest))
        if self.search is not None:
            found.append(search.parse(self.search))
        return both(*found)


class Retention(Section, frozen=True, kw_only=True):
    """How long records are kept: the first rule that fits counts, else `days`."""

    days: Days = 0  # 0 is for ever
    max_bytes: Size = 0  # of all records on disk; 0 is no limit
    rules: tuple[Rule, ...] = ()

    @property
    def policy(self) -> retention.Policy:
        """The same, as the storage has it."""
        return retention.Policy(
            rules=tuple(
                retention.Rule(name=rule.name, search=rule.wanted, days=rule.days or None)
                for rule in self.rules
            ),
            days=self.days or None,
            max_bytes=self.max_bytes or None,
        )


def _band(level: str) -> tuple[int, int]:
    band = levels.span(level)
    if band is None:
        raise ValueError(f"{level} is no level")
    return band
