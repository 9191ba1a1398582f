"""
What an OTLP receiver's answers say, read from their protobuf encoding.

An ``ExportLogsServiceResponse`` may tell of records that were not taken, the
``google.rpc.Status`` of a failure has words for a person.
https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .transport import Delivered

if TYPE_CHECKING:
    from collections.abc import Iterator

UNREADABLE = "the answer is no OTLP message"

_LONGEST_VARINT = 10  # bytes
_FIXED = {1: 8, 5: 4}  # bytes by wire type


def delivered(body: bytes, sent: int) -> Delivered:
    """Read the answer to a request of *sent* records that was successful."""
    rejected, reason = 0, ""
    try:
        for number, message in fields(body):
            if number == 1 and isinstance(message, bytes):
                for field, value in fields(message):
                    if field == 1 and isinstance(value, int):
                        rejected = value
                    elif field == 2 and isinstance(value, bytes):
                        reason = value.decode(errors="replace")
    except ValueError:
        return Delivered(reason=UNREADABLE)
    return Delivered(rejected if rejected <= sent else 0, reason)


def status_message(body: bytes) -> str:
    """Find what a failure's body says, be it a Status or a proxy's text."""
    try:
        found = [value for number, value in fields(body) if number == 2]
        text = found[-1] if found else b""
    except ValueError:
        text = body
    return text.decode(errors="replace") if isinstance(text, bytes) else ""


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """
    Give the numbers and the values of a message's fields.

    Raises:
        ValueError: it is no protobuf message.
    """
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind = tag & 7
        if tag < 8:
            raise ValueError("a field without a number")
        if kind == 0:
            value, place = _varint(message, place)
            yield tag >> 3, value
            continue
        if kind == 2:
            size, place = _varint(message, place)
        elif (size := _FIXED.get(kind, 0)) == 0:
            raise ValueError(f"wire type {kind}")
        if place + size > len(message):
            raise ValueError("the message ends within a field")
        yield tag >> 3, message[place : place + size]
        place += size


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """Read the integer that begins at *place*, and tell where it ends."""
    value = 0
    for shift, byte in enumerate(message[place : place + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, place + shift + 1
    raise ValueError("the message ends within a number")
