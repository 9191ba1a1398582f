"""An export as Apache Parquet, a group of rows at a time; it needs pyarrow."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from collector.errors import NotInstalled
from storage.entries import Entry
from storage.export import size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NAMES = Entry.__struct_fields__
TIMES = ("timestamp", "observed_timestamp")
OBJECTS = ("extra", "resource", "scope")
ROWS, BYTES = 20_000, 16 * 1024 * 1024  # of a group, which is held in memory


class Parquet:
    """
    Apache Parquet: times as times, numbers as numbers, objects as JSON text.

    A time that no Python has, such as one of the year 10,000, is null; ``timestamp_unix_nano``
    has it.
    """

    media = "application/vnd.apache.parquet"
    suffix = "parquet"
    compressed = slow = True

    def __init__(self) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415  an optional extra
            from pyarrow import parquet  # noqa: PLC0415
        except ImportError as exc:
            raise NotInstalled(
                "Parquet needs pyarrow: pip install 'pixsim-collector[parquet]'"
            ) from exc
        self._arrow = pa
        self._sink = _Sink()
        self._schema = pa.schema([(name, _kind(pa, name)) for name in NAMES])
        self._writer = parquet.ParquetWriter(self._sink, self._schema, compression="zstd")
        self._waiting: list[tuple[Any, ...]] = []
        self._bytes = 0
        self._count = 0

    def write(self, entries: Sequence[Entry]) -> bytes:
        """See `Format`."""
        self._waiting += map(msgspec.structs.astuple, entries)
        self._bytes += sum(map(size, entries))
        self._count += len(entries)
        if len(self._waiting) >= ROWS or self._bytes >= BYTES:
            self._group()
        return self._sink.taken()

    def end(self) -> bytes:
        """See `Format`."""
        if self._waiting:
            self._group()
        self._writer.add_key_value_metadata({"pixsim.records": str(self._count)})
        self._writer.close()
        return self._sink.taken()

    def _group(self) -> None:
        columns = [
            self._arrow.array(
                map(_READERS.get(name, _same), column), type=self._schema.field(name).type
            )
            for name, column in zip(NAMES, zip(*self._waiting, strict=True), strict=True)
        ]
        self._writer.write_batch(self._arrow.record_batch(columns, schema=self._schema))
        self._waiting.clear()
        self._bytes = 0


class _Sink:
    """A file that gives away what was written to it."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._position = 0

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def taken(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def _kind(pa: Any, name: str) -> Any:
    if name in TIMES:
        return pa.timestamp("us", tz="UTC")
    hint = _HINTS[name]
    if hint in {int, int | None}:
        return pa.int64()
    return pa.float64() if hint == float | None else pa.string()


def _time(text: str | None) -> dt.datetime | None:
    try:
        return None if text is None else dt.datetime.fromisoformat(text)
    except ValueError:
        return None


def _json(value: msgspec.Raw | None) -> str | None:
    return None if value is None else bytes(value).decode()


def _same(value: Any) -> Any:
    return value


_HINTS = get_type_hints(Entry)
_READERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(TIMES, _time),
    **dict.fromkeys(OBJECTS, _json),
}
