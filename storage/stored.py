"""Records as forwarders get them: all that was kept of each, and how a row becomes one."""

from __future__ import annotations

import datetime as dt
import time
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from storage.moments import Moment, moment, sent
from storage.positions import BEGINNING, Position
from storage.records import COLUMNS, TIMES, LogRecord, Resource, Scope
from storage.roll_ups import FIRST, LAST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asyncpg import Record

    After = Callable[[Any], Position]  # gives the position after the record of a row

KEPT = 60.0  # seconds that a resource is remembered: attributes of one may be deleted
KNOWN_AT_MOST = 100_000


class Stored(msgspec.Struct, frozen=True, gc=False):
    """
    One record with all that was kept of it.

    Of a time beyond Python's the record has the nearest that there is, and *clamped* is true.
    Either it is *given*, or it is made of its *columns* when it is asked for.

    What is read has its times as timestamptz_send writes them, for few are ever asked for.
    """

    given: LogRecord | None
    resource: Resource | None
    scope: Scope | None
    created_at: Moment | bytes | None
    clamped: bool
    # Nearly no record's own position is ever asked for, so it isn't made beforehand.
    row: object = None
    after: Any = lambda _row: BEGINNING  # `After`
    # In the order of `COLUMNS`, and more behind, with times as they are sent, and JSON as text.
    columns: Any = None

    @property
    def record(self) -> LogRecord:
        """The record, to be read; `replace` gives another one, by *given*."""
        if self.given is None:
            msgspec.structs.force_setattr(self, "given", _record(self.columns[:_RECORD]))
        assert self.given is not None  # noqa: S101  for mypy
        return self.given

    @property
    def received_at(self) -> Moment:
        """When it was stored, or now where somebody has deleted that."""
        if (found := self.created_at) is None:
            return moment(dt.datetime.now(dt.UTC))
        return _nearest(found) if isinstance(found, bytes) else found

    @property
    def position(self) -> Position:
        """The position after this record, where it was read by a follower."""
        found: Position = self.after(self.row)
        return found


def _sent(name: str) -> str:
    return f"timestamptz_send(e.{name})"


SELECTED = ", ".join(
    (
        *(_sent(name) if name in TIMES else f"e.{name}" for name in COLUMNS),
        _sent("created_at"),
        f"e.timestamp NOT BETWEEN '{FIRST.isoformat()}' AND '{LAST.isoformat()}'",
    )
)
_FIRST, _LAST = map(moment, (FIRST, LAST))
_RECORD = len(COLUMNS)
_RESOURCE, _SCOPE = map(COLUMNS.index, ("resource_id", "scope_id"))
_read = itemgetter(_RESOURCE, _SCOPE, _RECORD, _RECORD + 1)
place = itemgetter(*map(COLUMNS.index, ("timestamp", "id")))  # of a row

RESOURCES = """
SELECT id, attributes::text, schema_url, dropped_attributes_count FROM resources
WHERE id = ANY ($1)
"""
SCOPES = """
SELECT id, name, version, attributes::text, schema_url, dropped_attributes_count FROM scopes
WHERE id = ANY ($1)
"""
_decode = msgspec.json.Decoder().decode


class Loaded(msgspec.Struct, frozen=True):
    """The resources and scopes of some rows, by their ids."""

    resources: dict[int | None, Resource]
    scopes: dict[int | None, Scope]


class Interned:
    """The resources and scopes of records, each read once a minute at most."""

    def __init__(self) -> None:
        self._resources: dict[int | None, Resource] = {}
        self._scopes: dict[int | None, Scope] = {}
        self._since = time.monotonic()

    async def load(self, connection: Any, rows: Sequence[Record]) -> Loaded:
        """Give all that *rows*, which begin with `SELECTED`, refer to."""
        if (
            time.monotonic() - self._since > KEPT
            or len(self._resources) + len(self._scopes) > KNOWN_AT_MOST
        ):
            self._resources.clear()
            self._scopes.clear()
            self._since = time.monotonic()
        # Copies, for another reader may clear what is known at any moment.
        wanted = {row[_RESOURCE] for row in rows} - {None}
        resources = {each: self._resources[each] for each in wanted & self._resources.keys()}
        if missing := wanted - resources.keys():
            found = map(_resource, await connection.fetch(RESOURCES, list(missing)))
            resources.update((each.id, each) for each in found)
        wanted = {row[_SCOPE] for row in rows} - {None}
        scopes = {each: self._scopes[each] for each in wanted & self._scopes.keys()}
        if missing := wanted - scopes.keys():
            scopes.update(
                (each.id, each)
                for each in map(_scope, await connection.fetch(SCOPES, list(missing)))
            )
        self._resources.update(resources)
        self._scopes.update(scopes)
        return Loaded(resources, scopes)


def stored(rows: Sequence[Record], loaded: Loaded, after: After) -> list[Stored]:
    """Make records of rows that begin with `SELECTED`."""
    resources, scopes = loaded.resources.get, loaded.scopes.get
    found = []
    for row in rows:
        resource, scope, created_at, clamped = _read(row)
        found.append(
            Stored(None, resources(resource), scopes(scope), created_at, clamped, row, after, row)
        )
    return found


def _record(columns: Sequence[Any]) -> LogRecord:
    record = LogRecord(*columns)
    for name in TIMES:
        if (value := getattr(record, name)) is not None:
            setattr(record, name, _nearest(value))
    if record.otlp is not None:
        record.otlp = _object(record.otlp)
    if record.extra is not None:
        record.extra = _object(record.extra)
    return record


def _nearest(time: bytes) -> Moment:
    """Give a time that timestamptz_send has written, or the nearest that Python has."""
    return min(max(sent(time), _FIRST), _LAST)


def _resource(row: Record) -> Resource:
    number, attributes, schema_url, dropped = row
    return Resource(
        id=number,
        attributes=attributes,
        schema_url=schema_url,
        dropped_attributes_count=dropped,
    )


def _scope(row: Record) -> Scope:
    number, name, version, attributes, schema_url, dropped = row
    return Scope(
        id=number,
        name=name,
        version=version,
        attributes=attributes,
        schema_url=schema_url,
        dropped_attributes_count=dropped,
    )


def _object(text: Any) -> dict[str, object]:
    """Give the object that *text* is; who inserts into the table itself may keep anything."""
    try:
        value = _decode(text)
    except (msgspec.DecodeError, RecursionError):  # a number beyond float's, or too deep
        value = text
    return value if type(value) is dict else {"extra": value}
