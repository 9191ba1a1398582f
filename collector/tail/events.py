"""What a reader of the tail is told; `collector.tail.sse` and `.websocket` write it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from storage.positions import Position

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from storage.follower import Followed

_encode = msgspec.json.Encoder().encode


class Line:
    """A record, and the position after it; made ready once, however many read it."""

    __slots__ = ("id", "json", "position")

    def __init__(self, position: Position, json: bytes) -> None:
        self.position = position
        self.json = json
        self.id = str(position)

    @classmethod
    def of(cls, row: Followed) -> Line:
        """Make the line of a row."""
        return cls(row.position, _encode(row.entry))


class Lines:
    """Records of one search, in order, written once for all who have that search."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        self.bytes = sum(len(line.json) for line in lines)

    @classmethod
    def of(cls, rows: Iterable[Followed]) -> Lines:
        """Make the lines of *rows*, which are not none."""
        return cls([Line.of(row) for row in rows])

    def __len__(self) -> int:
        """How many records there are."""
        return len(self._lines)

    @property
    def first(self) -> Position:
        """After the first one."""
        return self._lines[0].position

    @property
    def position(self) -> Position:
        """After the last one."""
        return self._lines[-1].position

    def beyond(self, had: Position) -> Lines | None:
        """
        Give those that are not in *had*, if any.

        Their positions are those of a reader that has had all of that before.
        """
        lines = [
            Line(Position(had.seen | line.position.seen, line.position.within), line.json)
            for line in self._lines
            if not had.includes(line.position)
        ]
        return Lines(lines) if lines else None

    @cached_property
    def events(self) -> bytes:
        """As Server-Sent Events."""
        return b"".join(
            b"id: %b\ndata: %b\n\n" % (line.id.encode(), line.json) for line in self._lines
        )

    @cached_property
    def messages(self) -> list[tuple[Position, str]]:
        """As messages of a WebSocket, each with the position after it."""
        return [
            (
                line.position,
                f'{{"type":"record","position":"{line.id}","record":{line.json.decode()}}}',
            )
            for line in self._lines
        ]


class Reached(msgspec.Struct, frozen=True):
    """Nothing up to *position* is missing; whoever goes on from there reads nothing again."""

    position: Position


class CaughtUp(msgspec.Struct, frozen=True):
    """From here on records come as they are stored."""

    position: Position


class Behind(msgspec.Struct, frozen=True):
    """There are stored records that the reader doesn't have yet, so many or about so many."""

    reason: str
    records: int | None = None  # None: unknown
    seconds: float | None = None  # how old the oldest of them is


class Gone(msgspec.Struct, frozen=True):
    """So many records, of whatever search, were deleted before this reader could have them."""

    records: int


Event: TypeAlias = Lines | Reached | CaughtUp | Behind | Gone
