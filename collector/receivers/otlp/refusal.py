"""Why a log record, or all those of a resource or scope, are not taken, and where it stands."""

from __future__ import annotations

UNDECODABLE, TOO_LARGE, TOO_DEEP = "undecodable", "too_large", "too_deep"


class Refused(ValueError):
    """
    Something cannot be taken; the message says what was found and what was expected.

    ``field`` is the way to it from where this was caught, such as ``attributes[3].value``;
    ``reason`` is the label of a counter.
    """

    def __init__(self, problem: str, field: str = "", reason: str = UNDECODABLE) -> None:
        super().__init__(problem)
        self.field = field
        self.reason = reason

    def within(self, field: str) -> Refused:
        """Give the same as seen from one level further out."""
        dot = "." if field and self.field and not self.field.startswith("[") else ""
        return Refused(str(self), f"{field}{dot}{self.field}", self.reason)


def expected(what: str, found: object) -> Refused:
    """Make the refusal of a value that is not *what* it must be."""
    shown = repr(found) if not isinstance(found, int) or abs(found) < 2**70 else "a huge integer"
    return Refused(f"{shown[:60]}, expected {what}")
