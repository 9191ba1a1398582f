"""What records are grouped by: the value of a field, as text of some length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from storage import fields

if TYPE_CHECKING:
    from storage.where import Where

LONGEST = 256  # characters of a value that are told

# The level in one spelling, which a search for it understands; as sent where it is none of these.
LEVEL = (
    "CASE WHEN severity_number > 24 THEN lower(level)"
    " WHEN severity_number > 20 THEN 'critical' WHEN severity_number > 16 THEN 'error'"
    " WHEN severity_number > 12 THEN 'warning' WHEN severity_number > 8 THEN 'info'"
    " WHEN severity_number > 4 THEN 'debug' WHEN severity_number > 0 THEN 'trace'"
    " ELSE lower(level) END"
)


class Value(msgspec.Struct, frozen=True):
    """A value of a field, and whether that is only its beginning."""

    value: str | int | float
    cut: bool = False


def text(where: Where, name: str) -> str:
    """Give the expression of the field's value as text."""
    kind = fields.field(name).kind
    if kind == "level":
        return LEVEL
    if kind in {"id", "duration"}:  # where that is no number, extra has it
        kept = fields.value(where, f"extra.{name}")
        return f"coalesce({fields.value(where, name)}::text, {kept})"
    return f"{fields.value(where, name)}::text"


def short(expression: str) -> str:
    """Give the expression of a text's beginning, one character longer than `LONGEST`."""
    return f"left({expression}, {LONGEST + 1})"


def value(name: str, text: str) -> Value:
    """Give the value that *text*, of `short`, is of the field *name*."""
    if len(text) > LONGEST:
        return Value(text[:LONGEST], cut=True)
    kinds = {"id": int, "number": int, "duration": float}
    try:
        return Value(kinds[fields.field(name).kind](text))
    except (KeyError, ValueError):
        return Value(text)
