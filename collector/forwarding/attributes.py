"""What is left out of records, or has another name, at one destination."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from storage.records import PROMOTABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from storage.records import LogRecord
    from storage.stored import Stored

KEPT = "service"  # every record has one
_BITS = {name: 1 << place for place, name in enumerate(PROMOTABLE)}


def changing(drop: Sequence[str], rename: Mapping[str, str]) -> Callable[[Stored], Stored] | None:
    """
    Give what changes a record before it is sent, or None where nothing is to be changed.

    A name is that of a column or of a record's own attribute; a column that is renamed becomes
    an attribute. Resources and scopes stay as they are.
    """
    if not drop and not rename:
        return None
    names = dict.fromkeys(drop) | dict(rename)
    columns = {name: new for name, new in names.items() if name in _BITS}

    def change(stored: Stored) -> Stored:
        record = stored.record
        extra = record.extra or {}
        there = [name for name in columns if getattr(record, name) is not None]
        if not there and names.keys().isdisjoint(extra):
            return stored
        return replace(stored, given=_without(record, there, names), columns=None)

    return change


def _without(
    record: LogRecord, columns: Sequence[str], names: Mapping[str, str | None]
) -> LogRecord:
    extra = {
        new: value
        for name, value in (record.extra or {}).items()
        if (new := names.get(name, name)) is not None
    }
    changes: dict[str, Any] = {}
    promoted = record.promoted or 0
    for name in columns:
        if new := names[name]:
            extra[new] = getattr(record, name)
        changes[name] = None
        promoted &= ~_BITS[name]
    return replace(
        record,
        **changes,
        extra=extra or None,
        promoted=promoted if record.promoted is not None else None,
    )
