"""
LogRecords of OTLP in protobuf, straight from the columns of rows that came by OTLP.

They say what `protobuf.record` says of `mapping.record`, in a fraction of the time, for rows
that are as nearly all are. For the others there is the long way.

Rows with the same attributes in columns are written together, column by column, so that what is
done for each of them is done by C.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from contextlib import suppress
from functools import lru_cache, partial
from itertools import repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from collector.exporters.otlphttp import mapping, protobuf
from collector.exporters.otlphttp.protobuf import Heads, Known, sized, varint
from storage.moments import FROM_1970
from storage.records import COLUMNS, PROMOTABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from storage.stored import Stored

AT_ONCE = 200  # rows that are written together
MOST_VALUES = 10_000  # of each attribute, that are kept as they are written
PLAIN = {None, '{"no_observed": true}'}  # as jsonb is shown, of what no column holds
TEXTS = {"request_id", "provider_job_id", "error"}  # of which nearly each one is another
FLOATS = {"duration_ms"}
# A row that no receiver of ours wrote may hold what OTLP has no place for.
NOT_OTLP = (
    *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError),
    *(RecursionError, struct.error),
)

Row: TypeAlias = "tuple[Any, ...]"
Column: TypeAlias = "Sequence[Any]"
Writer: TypeAlias = "Callable[[Column], Iterable[bytes]]"  # of a part of each row

_BITS = {name: 1 << place for place, name in enumerate(PROMOTABLE)}
_ODD = 1 << 63  # stands for no column, but for what cannot be written
_TIMES = ("timestamp", "timestamp_ns", "observed_timestamp", "observed_timestamp_ns")
_FIRST = (*_TIMES, "severity_number", "level", "extra", "msg")
_LAST = ("flags", "trace_id", "span_id", "event_name")
_OBSERVED_NS, _RESOURCE_ID = map(COLUMNS.index, ("observed_timestamp_ns", "resource_id"))
_kind = itemgetter(*map(COLUMNS.index, ("promoted", "otlp")))
_times = struct.Struct("<BQBQ").pack
_flags = struct.Struct("<BI").pack
_double = struct.Struct("<d").pack
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def records(batch: Sequence[Stored]) -> Generator[None, None, list[bytes | None]]:
    """Write the LogRecord of each of *batch*, part by part; None where that needs the long way."""
    written: list[bytes | None] = [None] * len(batch)
    alike = defaultdict(list)
    for place, stored in enumerate(batch):
        row = stored.columns
        if row is None or row[_OBSERVED_NS] is None:
            continue
        if stored.resource is not None or not row[_RESOURCE_ID]:
            alike[_kind(row)].append((place, row))
    for (promoted, otlp), found in alike.items():
        for first in range(0, len(found) if otlp in PLAIN else 0, AT_ONCE):
            yield
            places, rows = zip(*found[first : first + AT_ONCE], strict=True)
            for place, data in zip(places, _written(rows, promoted or 0), strict=True):
                written[place] = data
    return written


def _written(rows: Sequence[Row], promoted: int) -> Sequence[bytes | None]:
    """Write *rows*, whose attributes in columns are those that the bits *promoted* stand for."""
    read, writers = _layout(promoted)
    *times, numbers, levels, extra = (columns := [*zip(*map(read, rows), strict=True)])[:7]
    try:
        others, bits = zip(*map(_others.__getitem__, extra), strict=True)
        parts = [write(column) for write, column in zip(writers, columns[7:], strict=True)]
        severities = map(protobuf.severities.__getitem__, zip(numbers, levels, strict=True))
        found = zip(_instants(*times), severities, others, *parts, strict=True)
        written: list[bytes | None] = [*map(b"".join, found)]
    except NOT_OTLP:  # one of them; the long way finds it
        return [None] * len(rows)
    long = promoted | _ODD
    if any(map(long.__and__, bits)):
        return [None if its & long else data for its, data in zip(bits, written, strict=True)]
    return written


def _instants(time: Column, rest: Column, observed: Column, observed_rest: Column) -> Column:
    """Write both times of each row."""
    first = last = _nanoseconds(time, rest)
    if (observed, observed_rest) != (time, rest):
        seen = [one or other for one, other in zip(observed, time, strict=True)]
        last = _nanoseconds(seen, observed_rest)
    return [*map(_times, repeat(0x09), first, repeat(0x59), last)]


def _nanoseconds(sent: Column, rest: Column) -> list[int]:
    """Give what timestamptz_send has written as ns since 1970; *rest* are those below a µs."""
    times = struct.unpack(f">{len(sent)}q", b"".join(sent))
    return [(time + FROM_1970) * 1_000 + (ns or 0) for time, ns in zip(times, rest, strict=True)]


@lru_cache(maxsize=1_000)
def _layout(bits: int) -> tuple[Callable[[Row], Row], Sequence[Writer]]:
    """Give what reads a row with the attributes of *bits* in columns, and what writes them."""
    promoted = [name for bit, name in enumerate(PROMOTABLE) if bits >> bit & 1]
    names = (*_FIRST, *promoted, *_LAST)
    return itemgetter(*map(COLUMNS.index, names)), [_writers[name] for name in names[7:]]


def _pairs(text: str | None) -> tuple[bytes, int]:
    """Write the attributes of a JSON object; give the bits of `PROMOTABLE` that it has too."""
    if text is None:
        return b"", 0
    try:
        found = _decode(text)
        written = b"".join([protobuf.pair(name, value) for name, value in found.items()])
    except (msgspec.DecodeError, *NOT_OTLP):
        return b"", _ODD
    return written, sum(_BITS.get(name, 0) for name in found)


def _texts(heads: Heads) -> Writer:
    """Give what writes texts, of which nearly each one is another; a missing one is nothing."""

    def write(column: Column) -> Iterable[bytes]:
        return [
            b"" if text is None else heads[len(data := text.encode())] + data for text in column
        ]

    return write


def _floats(head: bytes) -> Writer:
    """Give what writes numbers behind *head*."""
    return lambda column: [b"" if each is None else head + _double(each) for each in column]


def _identifiers(tag: str, size: int, column: Column) -> Iterable[bytes]:
    """Write ids of *size* bytes behind *tag*, which is hex as they are; zeros are none."""
    texts = [each or 2 * size * "0" for each in column] if None in column else column
    with suppress(ValueError):
        data = bytes.fromhex(tag + tag.join(texts))
        whole = len(tag) // 2 + size
        if {*map(len, texts)} == {2 * size} and len(data) == whole * len(texts):
            none = bytes.fromhex(tag + 2 * size * "0")
            ids = struct.unpack(len(texts) * f"{whole}s", data)
            return [b"" if each == none else each for each in ids] if none in ids else ids
    return [
        bytes.fromhex(tag) + found if (found := mapping.identifier(each, size)) else b""
        for each in column
    ]


def _few(write: Callable[[Any], bytes]) -> Writer:
    """Give what writes values that come again and again; a missing one is nothing."""
    known = Known(lambda value: b"" if value is None else write(value), MOST_VALUES)
    return partial(map, known.__getitem__)


def _attribute(name: str, tag: bytes, size: int) -> bytes:
    """Write all of an attribute but its value, which has *size* bytes, *tag* and all before it."""
    key = b"\x0a" + sized(name.encode())
    value = b"\x12" + varint(len(tag) + size) + tag
    return b"\x32" + varint(len(key) + len(value) + size) + key + value


def _text(size: int) -> bytes:
    """Give what stands before a text in an AnyValue."""
    return b"\x0a" + varint(size)


def _promoted(name: str) -> Writer:
    """Give what writes the attribute *name*, which is in a column."""
    if name in TEXTS:
        return _texts(Heads(lambda size: _attribute(name, _text(size), size)))
    if name in FLOATS:
        return _floats(_attribute(name, b"\x21", 8))
    return _few(partial(protobuf.pair, name))


_others = Known(_pairs)
_writers: dict[str, Writer] = {
    "msg": _texts(Heads(lambda size: b"\x2a" + varint(len(_text(size)) + size) + _text(size))),
    **{name: _promoted(name) for name in PROMOTABLE},
    "flags": _few(lambda flags: _flags(0x45, mapping.uint32(flags)) if flags else b""),
    "trace_id": partial(_identifiers, "4a10", 16),
    "span_id": partial(_identifiers, "5208", 8),
    "event_name": _few(lambda name: b"\x62" + sized(name.encode()) if name else b""),
}
