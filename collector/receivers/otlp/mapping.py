"""
An OTLP request, however it was encoded, as rows.

A decoder (`protobuf` or `json`) gives the request's groups, one for each ``scopeLogs``,
whose records are still encoded, and reads one such record into an `Entry`. So a record
that can't be read, or is too large, costs only itself.

What a row's columns can't say about a record is in its ``otlp``, so that the record can
be sent on as it came: ``no_time``, ``no_observed`` and ``no_body`` are true where a column
was filled without it, ``severity_number`` and ``severity_text`` stand where the column was
derived, ``body`` where it was no string, and ``dropped_attributes_count`` where it isn't 0.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from collector import levels, values
from collector.errors import Violation
from collector.receivers.otlp.refusal import TOO_DEEP, TOO_LARGE, Refused
from storage.records import LogRecord, Resource, Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from collector.correlation import Columns

MOST_PROBLEMS = 20  # that are told to a sender
LONGEST_PROBLEM = 300  # characters
TRACE_ID, SPAN_ID = "trace_id", "span_id"  # dropped, for being invalid
UNKNOWN_SERVICE = "unknown_service"
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Entry(msgspec.Struct, gc=False):
    """A record as it was sent; times in ns since 1970, 0 where there was none."""

    time: int
    observed: int
    severity_number: int
    severity_text: str
    body: object  # encoded by `collector.values`; UNSET where there was none
    attributes: dict[str, object]
    dropped_attributes_count: int
    flags: int
    trace_id: str | None
    span_id: str | None
    event_name: str


class Group(msgspec.Struct):
    """The records of one scope of one resource, still encoded."""

    path: str
    resource: Origin
    scope: Origin
    records: Sequence[Any]
    refused: Refused | None = None  # why none of the records can be taken


class Origin(msgspec.Struct):
    """A resource or a scope; of the two only scopes have a name and a version."""

    attributes: dict[str, object] = {}
    dropped_attributes_count: int = 0
    schema_url: str = ""
    name: str = ""
    version: str = ""
    changes: set[str] = set()  # what had to be changed to keep it


class Decoder(Protocol):
    """How a request is encoded."""

    def groups(self, body: bytes) -> Iterable[Group]:
        """Read a request, or raise `collector.errors.BadRequest`."""

    def entry(self, raw: bytes, changes: set[str]) -> Entry:
        """Read one record of a group, or raise `Refused` or `values.TooDeep`."""


class Rows(msgspec.Struct):
    """What a request became."""

    records: list[LogRecord] = []
    resources: dict[int, Resource] = {}
    scopes: dict[int, Scope] = {}
    refused: Counter[str] = msgspec.field(default_factory=Counter)  # records, by reason
    problems: list[Violation] = []  # the first of them
    changed: Counter[str] = msgspec.field(default_factory=Counter)  # records, by reason

    def refuse(self, refused: Refused, count: int = 1) -> None:
        """Count *count* records as refused."""
        self.refused[refused.reason] += count
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Violation(refused.field, str(refused)[:LONGEST_PROBLEM]))


class Mapper(msgspec.Struct, frozen=True, kw_only=True):
    """Makes rows of requests."""

    columns: Columns
    max_record_size: int  # bytes of one record, as it was sent

    def rows(self, decoder: Decoder, body: bytes, now: int) -> Rows:
        """
        Read a request that arrived at *now*, in ns since 1970.

        Raises:
            BadRequest: it can't be read.
        """
        found = Rows()
        for group in decoder.groups(body):
            if group.refused is None:
                self._take(group, decoder, now, found)
            else:
                found.refuse(group.refused, len(group.records))
        return found

    def _take(self, group: Group, decoder: Decoder, now: int, found: Rows) -> None:
        prototype = self._prototype(group, found)
        changes_of_all = group.resource.changes | group.scope.changes
        for place, still_encoded in enumerate(group.records):
            raw = bytes(still_encoded)
            changes: set[str] = set()
            try:
                entry = self._entry(decoder, raw, changes)
            except Refused as exc:
                found.refuse(exc.within(f"{group.path}.logRecords[{place}]"))
                continue
            found.records.append(record(entry, prototype, self.columns, now))
            if changes or changes_of_all:
                found.changed.update(changes | changes_of_all)

    def _entry(self, decoder: Decoder, raw: bytes, changes: set[str]) -> Entry:
        if len(raw) > self.max_record_size:
            problem = f"{len(raw)} bytes, the most is {self.max_record_size}"
            raise Refused(problem, reason=TOO_LARGE)
        try:
            return decoder.entry(raw, changes)
        except values.TooDeep as exc:
            raise Refused(str(exc), reason=TOO_DEEP) from exc

    def _prototype(self, group: Group, found: Rows) -> LogRecord:
        """Make a row of what all records of *group* share."""
        shared = LogRecord(timestamp=_EPOCH, level="", service=UNKNOWN_SERVICE, env=None)
        self.columns.fill(shared, group.resource.attributes)
        self.columns.fill(shared, group.scope.attributes)
        if (resource := interned_resource(group.resource)) is not None:
            found.resources[resource.id] = resource
            shared.resource_id = resource.id
        if (scope := interned_scope(group.scope)) is not None:
            found.scopes[scope.id] = scope
            shared.scope_id = scope.id
        return shared


def record(entry: Entry, prototype: LogRecord, columns: Columns, now: int) -> LogRecord:
    """Make the row of *entry*, which arrived at *now* and whose attributes are used up."""
    row: LogRecord = prototype.__copy__()  # type: ignore[attr-defined]
    otlp: dict[str, object] = {}
    _set_times(row, entry, now, otlp)
    _set_severity(row, entry, otlp)
    _set_message(row, entry, otlp)
    if entry.dropped_attributes_count:
        otlp["dropped_attributes_count"] = entry.dropped_attributes_count
    row.event_name = entry.event_name or None
    row.trace_id = entry.trace_id
    row.span_id = entry.span_id
    row.flags = entry.flags or None
    row.promoted = columns.move(row, entry.attributes)
    row.extra = entry.attributes or None
    row.otlp = otlp or None
    return row


def _set_times(row: LogRecord, entry: Entry, now: int, otlp: dict[str, object]) -> None:
    """Without a time of its own a record has that at which it was first seen."""
    observed = entry.observed or now
    time = entry.time or observed
    if not entry.observed:
        otlp["no_observed"] = True
    if not entry.time:
        otlp["no_time"] = True
    row.timestamp, row.timestamp_ns = row.observed_timestamp, row.observed_timestamp_ns = _moment(
        observed
    )
    if time != observed:
        row.timestamp, row.timestamp_ns = _moment(time)


def _moment(time: int) -> tuple[dt.datetime, int]:
    """Split ns since 1970 into a time and the ns below its microsecond."""
    seconds, below = divmod(time, 1_000_000_000)
    microseconds, nanoseconds = divmod(below, 1_000)
    return _EPOCH + dt.timedelta(0, seconds, microseconds), nanoseconds


def _set_severity(row: LogRecord, entry: Entry, otlp: dict[str, object]) -> None:
    """Number and text are kept as sent; a missing one is derived from the other."""
    row.severity_number = entry.severity_number
    row.level = entry.severity_text
    if not row.severity_number and (derived := levels.number(row.level)):
        row.severity_number = derived
        otlp["severity_number"] = 0
    if not row.level:
        row.level = levels.short_name(row.severity_number)
        otlp["severity_text"] = ""


def _set_message(row: LogRecord, entry: Entry, otlp: dict[str, object]) -> None:
    """Without a body an exception's message is shown; a body that is no string, as its JSON."""
    if entry.body is not msgspec.UNSET:
        row.msg = values.as_text(entry.body)
        if type(entry.body) is not str:
            otlp["body"] = entry.body
    elif "exception.message" in entry.attributes:
        row.msg = values.as_text(entry.attributes["exception.message"])
        otlp["no_body"] = True


def hex_id(raw: bytes, size: int, change: str, changes: set[str]) -> str | None:
    """Give a trace or span id in hex; one of the wrong size counts as a change, and as none."""
    if len(raw) != size:
        if raw:
            changes.add(change)
        return None
    return raw.hex() if raw != bytes(size) else None  # zeros are how some say "none"


def interned_resource(origin: Origin) -> Resource | None:
    """Give the row of a resource; None where there is nothing to keep."""
    kept = (origin.attributes, origin.schema_url, origin.dropped_attributes_count)
    if not any(kept):
        return None
    return Resource(
        id=_hash(kept),
        attributes=_canonical(origin.attributes).decode(),
        schema_url=origin.schema_url,
        dropped_attributes_count=origin.dropped_attributes_count,
    )


def interned_scope(origin: Origin) -> Scope | None:
    """Give the row of a scope; None where there is nothing to keep."""
    kept = (
        *(origin.name, origin.version),
        *(origin.attributes, origin.schema_url, origin.dropped_attributes_count),
    )
    if not any(kept):
        return None
    return Scope(
        id=_hash(kept),
        name=origin.name,
        version=origin.version,
        attributes=_canonical(origin.attributes).decode(),
        schema_url=origin.schema_url,
        dropped_attributes_count=origin.dropped_attributes_count,
    )


def _hash(kept: tuple[object, ...]) -> int:
    digest = blake2b(_canonical(kept), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _canonical(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")
