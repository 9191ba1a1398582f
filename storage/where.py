"""A condition in SQL that is put together piece by piece; values always travel as ``$n``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Where:
    """A condition that grows by ``AND``, with its arguments."""

    def __init__(self) -> None:
        self._conditions: list[str] = []
        self.arguments: list[object] = []

    def bind(self, value: object) -> str:
        """Give the placeholder of *value*."""
        self.arguments.append(value)
        return f"${len(self.arguments)}"

    def add(self, condition: str) -> None:
        """Require *condition* too."""
        self._conditions.append(f"({condition})")

    def __str__(self) -> str:
        """Give the condition as it stands in a statement."""
        return " AND ".join(self._conditions) or "true"


def joined(word: str, conditions: Sequence[str]) -> str:
    """Join *conditions* by ``AND`` or ``OR``; of none nothing."""
    return f" {word} ".join(conditions if len(conditions) == 1 else (f"({c})" for c in conditions))
