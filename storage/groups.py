"""What records are grouped by: the value of a field, as text of some length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from storage import fields

if TYPE_CHECKING:
    from storage.where import Where

LONGEST = 256  # characters of a value; longer ones that begin alike are one

# The level in one spelling, which a search for it understands; as sent where it is none of these.
LEVEL = (
    "CASE WHEN severity_number BETWEEN 1 AND 24 THEN ('{trace,debug,info,warning,error,critical}'"
    "::text[])[(severity_number + 3) / 4] ELSE lower(level) END"
)


class Value(msgspec.Struct, frozen=True):
    """A value of a field, and whether that is only its beginning."""

    value: str | int | float
    cut: bool = False


def text(where: Where, name: str) -> str:
    """Give the expression of the field's value as text, one character longer than `LONGEST`."""
    kind = fields.field(name).kind
    if kind == "level":
        found = LEVEL
    elif kind in {"id", "duration"}:  # where that is no number, extra has it
        kept = fields.value(where, f"extra.{name}")
        found = f"coalesce({fields.value(where, name)}::text, {kept})"
    else:
        found = f"{fields.value(where, name)}::text"
    return f"left({found}, {LONGEST + 1})"


def value(name: str, text: str) -> Value:
    """Give the value that `text` has found of the field *name*."""
    if len(text) > LONGEST:
        return Value(text[:LONGEST], cut=True)
    kinds = {"id": int, "number": int, "duration": float}
    try:
        return Value(kinds[fields.field(name).kind](text))
    except (KeyError, ValueError):
        return Value(text)
