"""Records as forwarders get them: all that was kept of each, and how a row becomes one."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  msgspec reads the annotations when the class is made
import time
from typing import TYPE_CHECKING, Any

import msgspec

from storage.positions import Position  # noqa: TC001  msgspec reads the annotations
from storage.records import COLUMNS, LogRecord, Resource, Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from asyncpg import Record

# Python's times end here, and asyncpg refuses those beyond.
FIRST, LAST = "'0001-01-02Z'::timestamptz", "'9999-12-30Z'::timestamptz"
KEPT = 60.0  # seconds that a resource is remembered: attributes of one may be deleted
KNOWN_AT_MOST = 100_000


class Stored(msgspec.Struct, frozen=True, gc=False):
    """
    One record with all that was kept of it.

    Of a time beyond Python's the record has the nearest that there is, and *clamped* is true.
    """

    record: LogRecord
    resource: Resource | None
    scope: Scope | None
    received_at: dt.datetime
    position: Position  # after this record
    clamped: bool


def _within(column: str) -> str:
    # greatest() of nothing and something is that.
    return f"CASE WHEN e.{column} IS NOT NULL THEN least(greatest(e.{column}, {FIRST}), {LAST}) END"


_TIMES = ("timestamp", "observed_timestamp")
_PLAIN = tuple(name for name in COLUMNS if name not in {"otlp", "extra"})
SELECTED = ", ".join(
    (
        f"e.timestamp <> {_within('timestamp')}",
        *(_within(name) if name in _TIMES else f"e.{name}" for name in _PLAIN),
        "e.otlp",
        "e.extra",
        f"coalesce({_within('created_at')}, now())",
    )
)
_RESOURCE, _SCOPE = (1 + _PLAIN.index(name) for name in ("resource_id", "scope_id"))

RESOURCES = """
SELECT id, attributes::text, schema_url, dropped_attributes_count FROM resources
WHERE id = ANY ($1)
"""
SCOPES = """
SELECT id, name, version, attributes::text, schema_url, dropped_attributes_count FROM scopes
WHERE id = ANY ($1)
"""
_decode = msgspec.json.Decoder().decode


class Interned:
    """The resources and scopes of records, each read once a minute at most."""

    def __init__(self) -> None:
        self.resources: dict[int | None, Resource] = {}
        self.scopes: dict[int | None, Scope] = {}
        self._since = time.monotonic()

    async def load(self, connection: Any, rows: Sequence[Record], behind: int) -> None:
        """Have all that *rows*, of `SELECTED` behind some columns, refer to."""
        if (
            time.monotonic() - self._since > KEPT
            or len(self.resources) + len(self.scopes) > KNOWN_AT_MOST
        ):
            self.resources.clear()
            self.scopes.clear()
            self._since = time.monotonic()
        resources = {row[behind + _RESOURCE] for row in rows} - self.resources.keys() - {None}
        if resources:
            for row in await connection.fetch(RESOURCES, list(resources)):
                self.resources[row[0]] = Resource(
                    id=row[0],
                    attributes=row[1],
                    schema_url=row[2],
                    dropped_attributes_count=row[3],
                )
        scopes = {row[behind + _SCOPE] for row in rows} - self.scopes.keys() - {None}
        if scopes:
            for row in await connection.fetch(SCOPES, list(scopes)):
                self.scopes[row[0]] = Scope(
                    id=row[0],
                    name=row[1],
                    version=row[2],
                    attributes=row[3],
                    schema_url=row[4],
                    dropped_attributes_count=row[5],
                )


def stored(
    rows: Iterable[tuple[Record, Position]], interned: Interned, behind: int
) -> list[Stored]:
    """Make records of rows of `SELECTED`, *behind* columns of something else."""
    made = LogRecord
    resources, scopes = interned.resources.get, interned.scopes.get
    found = []
    for row, position in rows:
        clamped, *values, otlp, extra, received_at = row[behind:]
        record = made(*values)
        if otlp is not None:
            record.otlp = _object(otlp)
        if extra is not None:
            record.extra = _object(extra)
        found.append(
            Stored(
                record,
                resources(record.resource_id),
                scopes(record.scope_id),
                received_at,
                position,
                clamped,
            )
        )
    return found


def _object(text: str) -> dict[str, object]:
    """Give the object that *text* is; who inserts into the table itself may keep anything."""
    try:
        value = _decode(text)
    except (msgspec.DecodeError, RecursionError):  # a number beyond float's, or too deep
        value = text
    return value if type(value) is dict else {"extra": value}
