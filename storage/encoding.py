"""How a writer's connections encode the times and the JSON of a row: in half the usual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from storage import moments

if TYPE_CHECKING:
    import datetime as dt

_VERSION = b"\x01"  # with which jsonb begins on the wire
_encode = msgspec.json.Encoder().encode


async def prepare(connection: Any) -> None:
    """Make *connection* one of a writer's, which takes a record's times as they are."""
    await connection.set_type_codec(
        "timestamptz", schema="pg_catalog", encoder=_microseconds, decoder=_time, format="tuple"
    )
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_json, decoder=_text, format="binary"
    )


def _microseconds(time: moments.Moment | dt.datetime) -> tuple[moments.Moment]:
    return (time if type(time) is int else moments.moment(time),)  # type: ignore[arg-type]


def _time(microseconds: tuple[moments.Moment]) -> dt.datetime:
    return moments.time(microseconds[0])


def _json(value: dict[str, object] | str) -> bytes:
    """Encode an object, or take the text of one."""
    return _VERSION + (value.encode() if type(value) is str else _encode(value))


def _text(encoded: bytes) -> str:
    return encoded.removeprefix(_VERSION).decode()
