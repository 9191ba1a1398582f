"""A stored record as exports have it, `storage.entries.Entry`, to a line of JSON and back."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, get_type_hints

import msgspec

from collector.forwarding.fields import nanoseconds
from storage import moments
from storage.entries import Entry

if TYPE_CHECKING:
    from storage.moments import Moment
    from storage.records import Scope
    from storage.stored import Stored

# What stands in both under the same name and is the same.
_SAME = tuple(
    sorted(
        frozenset(Entry.__struct_fields__)
        - {
            *("id", "timestamp", "observed_timestamp", "timestamp_unix_nano", "trace_flags"),
            *("artifact_id", "generation_id", "extra", "resource", "scope"),
        }
    )
)
_same = attrgetter(*_SAME)
_OBJECTS = ("extra", "resource", "scope")
# msgspec reads no `Raw | None`.
_Line = msgspec.defstruct(
    "_Line",
    [
        (name, msgspec.Raw if name in _OBJECTS else hint)
        for name, hint in get_type_hints(Entry).items()
    ],
)
_NULL = b"null"
_decode = msgspec.json.Decoder(_Line).decode
_encode = msgspec.json.Encoder().encode


def line(stored: Stored) -> bytes:
    """Give the line of *stored*, without its end."""
    return _encode(entry(stored))


def read(line: bytes) -> Entry:
    """
    Read a line.

    Raises:
        ValueError: it is none.
    """
    *values, extra, resource, scope = msgspec.structs.astuple(_decode(line))
    objects = (None if bytes(raw) == _NULL else raw for raw in (extra, resource, scope))
    return Entry(*values, *objects)


def entry(stored: Stored) -> Entry:
    """Give the entry of *stored*."""
    row = stored.record
    nano = row.timestamp_ns
    return Entry(
        id=row.id or 0,
        timestamp=_iso(row.timestamp),
        observed_timestamp=_iso(observed) if (observed := row.observed_timestamp) else None,
        timestamp_unix_nano=None if nano is None else str(nanoseconds(row.timestamp, nano)),
        trace_flags=None if row.flags is None else f"{row.flags & 0xFF:02x}",
        artifact_id=row.artifact_id if row.artifact_id is not None else row.generation_id,
        generation_id=row.generation_id if row.generation_id is not None else row.artifact_id,
        extra=None if row.extra is None else msgspec.Raw(_encode(row.extra)),
        resource=msgspec.Raw(stored.resource.attributes) if stored.resource else None,
        scope=_scope(stored.scope) if stored.scope else None,
        **dict(zip(_SAME, _same(row), strict=True)),
    )


def _iso(time: Moment) -> str:
    return moments.time(time).isoformat(timespec="microseconds")[:26] + "Z"


def _scope(scope: Scope) -> msgspec.Raw:
    attributes = msgspec.Raw(scope.attributes)
    shown = {"name": scope.name, "version": scope.version, "attributes": attributes}
    return msgspec.Raw(_encode(shown))
