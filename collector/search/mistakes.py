"""What can be wrong with the text of a search, told so that its writer can mend it."""

from __future__ import annotations

import difflib

from storage.fields import COLUMNS

# Names that are no fields, but that people write as if they were.
INSTEAD = {
    "min_level": "level>=",
    "stage_prefix": "stage:…*",
    "search": "the text alone",
    "minutes": "last:…m",
    "start_time": "timestamp>=",
    "end_time": "timestamp<=",
}
LAST = "last"  # not a field: how long ago
_ALIKE = 0.8  # of `difflib`: one letter in five


class Unfit(ValueError):
    """A value is not what should stand there; the message is what should: "a whole number"."""


class Mistake(ValueError):
    """
    A text is no search: at *column*, from 1, *length* characters are *found* but not *expected*.

    *suggestion* is what may have been meant, or empty. The text has all of the characters
    that are told, and at least one.
    """

    def __init__(
        self, column: int, length: int, *, expected: str, found: str, suggestion: str = ""
    ) -> None:
        meant = f"; did you mean `{suggestion}`?" if suggestion else ""
        super().__init__(f"column {column}: expected {expected}, found {found}{meant}")
        self.column = column
        self.length = length
        self.expected = expected
        self.found = found
        self.suggestion = suggestion


def meant(name: str) -> str | None:
    """Give what *name*, which is no column's, was probably meant to be; None if itself."""
    if instead := INSTEAD.get(name):
        return instead
    close = difflib.get_close_matches(name.lower(), (*COLUMNS, LAST), n=1, cutoff=_ALIKE)
    return close[0] if close else None
