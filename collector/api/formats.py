"""
The forms that an export can have; each says at its end that it is complete.

In JSON lines and CSV the last record has one field more, ``_complete``, with the number of
records: so whoever doesn't know of it has just as many records, and misses nothing. A file that
was cut short has no such field. Parquet has its footer at the end, and the number in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from storage.entries import Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

COMPLETE = "_complete"
NAMES = Entry.__struct_fields__

# What a spreadsheet takes for the beginning of a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Format(Protocol):
    """Turns records into the bytes of a file."""

    media: str
    suffix: str
    compressed: bool  # already
    slow: bool  # whether its work is better done beside the event loop

    def write(self, entries: Sequence[Entry]) -> bytes:
        """Take *entries*, which are not none; give what of the file is there by now."""

    def end(self) -> bytes:
        """Give the rest of the file."""


class JsonLines:
    """An object a line, as in the answers of ``/query``."""

    media = "application/x-ndjson"
    suffix = "jsonl"
    compressed = slow = False

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode
        self._count = 0
        self._last = b""  # which may have to say that it is the last

    def write(self, entries: Sequence[Entry]) -> bytes:
        """See `Format`."""
        lines = [self._encode(each) for each in entries]
        self._count += len(lines)
        before = [self._last] if self._last else []
        self._last = lines.pop()
        return b"".join(line + b"\n" for line in (*before, *lines))

    def end(self) -> bytes:
        """See `Format`."""
        if not self._last:
            return b""
        return b'%s,"%s":{"count":%d}}\n' % (self._last[:-1], COMPLETE.encode(), self._count)


class Csv:
    """
    A header and a line a record, as RFC 4180 has them, in UTF-8.

    Nothing stands between two commas where there is no value, and ``""`` where it is empty.
    """

    media = "text/csv"
    suffix = "csv"
    compressed = slow = False
    beginning = ""

    def __init__(self) -> None:
        self._count = 0
        self._last: str | None = None

    def write(self, entries: Sequence[Entry]) -> bytes:
        """See `Format`."""
        parts = [self._header() if self._last is None else self._last + ",\r\n"]
        lines = [",".join(map(self.cell, msgspec.structs.astuple(each))) for each in entries]
        self._count += len(lines)
        self._last = lines.pop()
        parts += [f"{line},\r\n" for line in lines]
        return "".join(parts).encode()

    def end(self) -> bytes:
        """See `Format`."""
        if self._last is None:
            return self._header().encode()
        return f"{self._last},{self._count}\r\n".encode()

    def _header(self) -> str:
        return f"{self.beginning}{','.join((*NAMES, COMPLETE))}\r\n"

    def cell(self, value: Any) -> str:
        """Write one value."""
        if value is None:
            return ""
        text = bytes(value).decode() if isinstance(value, msgspec.Raw) else str(value)
        if not text or "," in text or '"' in text or "\n" in text or "\r" in text:
            return '"' + text.replace('"', '""') + '"'
        return text


class Spreadsheet(Csv):
    """
    CSV for people with a spreadsheet, which would run text of a log as a formula.

    Such text has an apostrophe before it; a byte order mark says that this is UTF-8.
    """

    beginning = "\ufeff"

    def cell(self, value: Any) -> str:
        """Write one value."""
        if isinstance(value, str) and value.startswith(FORMULA):
            value = "'" + value
        return super().cell(value)
