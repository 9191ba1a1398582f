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

from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec

from collector import levels, values
from collector.correlation import filled
from collector.errors import Violation
from collector.receivers.otlp.refusal import TOO_DEEP, TOO_LARGE, Refused
from collector.turns import SLICE
from storage.moments import FROM_1970
from storage.records import LogRecord, Resource, Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from collector.correlation import Attribute, Columns

MOST_PROBLEMS = 20  # that are told to a sender
LONGEST_PROBLEM = 300  # characters
MOST_KNOWN = 1_000
MOST_ORIGINS, LONGEST_ORIGIN = 1_000, 4_096  # resources and scopes that are not read again; bytes
TRACE_ID, SPAN_ID = "trace_id", "span_id"  # dropped, for being invalid
UNKNOWN_SERVICE = "unknown_service"
_NO_IDS = (bytes(16), bytes(8))


class Entry(msgspec.Struct, gc=False):
    """A record as it was sent; times in ns since 1970, 0 where there was none."""

    time: int
    observed: int
    severity_number: int
    severity_text: str
    body: object  # encoded by `collector.values`; UNSET where there was none
    attributes: list[Attribute]
    dropped_attributes_count: int
    flags: int
    trace_id: str | None
    span_id: str | None
    event_name: str


class Group(msgspec.Struct):
    """The records of one scope of one resource, still encoded unless they are *read*."""

    path: str
    resource: Origin
    scope: Origin
    records: Sequence[Any]
    refused: Refused | None = None  # why none of the records can be taken
    read: bool = False  # which only those are that can't be too large


class Origin(msgspec.Struct, eq=False):
    """
    A resource or a scope; of the two only scopes have a name and a version.

    One that is *kept* is there again, the same object, when it is sent again.
    """

    attributes: dict[str, object] = {}
    dropped_attributes_count: int = 0
    schema_url: str = ""
    name: str = ""
    version: str = ""
    changes: set[str] = set()  # what had to be changed to keep it
    kept: bool = False


class Decoder(Protocol):
    """How a request is encoded."""

    def groups(self, body: bytes, *, at_once: bool) -> Iterable[Group]:
        """
        Read a request, or raise `collector.errors.BadRequest`.

        With *at_once* its records may be read too.
        """

    def record(
        self, raw: Any, shared: Shared, columns: Columns, now: int, changes: set[str]
    ) -> LogRecord:
        """
        Read one record of a group whose rows have *shared*, or raise `Refused` or `TooDeep`.

        What had to be changed to keep it is told to *changes*.
        """


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


Shared: TypeAlias = tuple[Any, ...]  # the values of a row that a group's records have in common


class Mapper(msgspec.Struct, frozen=True, kw_only=True):
    """Makes rows of requests."""

    columns: Columns
    max_record_size: int  # bytes of one record, as it was sent
    # What records share, by the resource and the scope that they have it from.
    known: dict[tuple[Origin, Origin], tuple[Shared, Resource | None, Scope | None]] = {}

    def slices(self, decoder: Decoder, body: bytes, now: int, found: Rows) -> Iterator[None]:
        """
        Read a request that arrived at *now*, in ns since 1970, into *found*, slice by slice.

        Raises:
            BadRequest: it can't be read.
        """
        self.columns.forget()
        # No record of a small request can be too large.
        for group in decoder.groups(body, at_once=len(body) <= self.max_record_size):
            if group.refused is None:
                yield from self._take(group, decoder, now, found)
            else:
                found.refuse(group.refused, len(group.records))

    def _take(self, group: Group, decoder: Decoder, now: int, found: Rows) -> Iterator[None]:
        try:
            shared = self._shared(group, found)
        except Refused as exc:
            found.refuse(exc, len(group.records))
            return
        changes_of_all = group.resource.changes | group.scope.changes
        changes: set[str] = set()
        read, rows, columns = group.read, found.records, self.columns
        for place, raw in enumerate(group.records):
            if place % SLICE == SLICE - 1:
                yield
            try:
                if not read:
                    raw = bytes(raw)  # noqa: PLW2901  of JSON it is a view of the whole body
                    if len(raw) > self.max_record_size:
                        problem = f"{len(raw)} bytes, the most is {self.max_record_size}"
                        raise Refused(problem, reason=TOO_LARGE)
                row = decoder.record(raw, shared, columns, now, changes)
            except (Refused, values.TooDeep) as exc:
                refused = exc if isinstance(exc, Refused) else Refused(str(exc), reason=TOO_DEEP)
                found.refuse(refused.within(f"{group.path}.logRecords[{place}]"))
                changes.clear()
                continue
            rows.append(row)
            if changes or changes_of_all:
                found.changed.update(changes | changes_of_all)
                changes.clear()

    def _shared(self, group: Group, found: Rows) -> Shared:
        """
        Give what the rows of *group* have in common, and *found* its resource and scope.

        Raises:
            Refused: the resource or the scope is larger than a record may be.
        """
        origins = (group.resource, group.scope)
        if (known := self.known.get(origins)) is not None:
            shared, resource, scope = known
        else:
            shared, resource, scope = self._made(group)
            if group.resource.kept and group.scope.kept:
                if len(self.known) >= MOST_KNOWN:
                    self.known.clear()
                self.known[origins] = (shared, resource, scope)
        if resource is not None:
            found.resources[resource.id] = resource
        if scope is not None:
            found.scopes[scope.id] = scope
        return shared

    def _made(self, group: Group) -> tuple[Shared, Resource | None, Scope | None]:
        row = LogRecord(timestamp=0, level="", service=UNKNOWN_SERVICE, env=None)
        self.columns.fill(row, group.resource.attributes)
        self.columns.fill(row, group.scope.attributes)
        if (resource := interned_resource(group.resource)) is not None:
            self._limit(resource, f"{group.path.rpartition('.')[0]}.resource")
            row.resource_id = resource.id
        if (scope := interned_scope(group.scope)) is not None:
            self._limit(scope, f"{group.path}.scope")
            row.scope_id = scope.id
        return msgspec.structs.astuple(row), resource, scope

    def _limit(self, origin: Resource | Scope, field: str) -> None:
        """Refuse what each answer to a query would carry along with every record."""
        if (size := len(origin.attributes)) > self.max_record_size:
            problem = f"{size} bytes of attributes, the most is {self.max_record_size}"
            raise Refused(problem, field, TOO_LARGE)


def record(entry: Entry, shared: Shared, now: int) -> LogRecord:
    """Make the row of *entry*, which arrived at *now*; see `Decoder.record`."""
    row = filled(shared, entry.attributes)
    row.severity_number = entry.severity_number
    row.level = entry.severity_text
    if not entry.severity_number or not entry.severity_text:
        derive_severity(row)
    set_times(row, entry.time, entry.observed, now)
    set_message(row, entry.body)
    if entry.dropped_attributes_count:
        note(row, "dropped_attributes_count", entry.dropped_attributes_count)
    row.event_name = entry.event_name or None
    row.trace_id = entry.trace_id
    row.span_id = entry.span_id
    row.flags = entry.flags or None
    return row


def note(row: LogRecord, key: str, value: object) -> None:
    """Keep in ``otlp`` what no column holds."""
    row.otlp = {**(row.otlp or {}), key: value}


def set_times(row: LogRecord, time: int, observed: int, now: int) -> None:
    """Set times in ns since 1970; without one, a record has that at which it was first seen."""
    if not observed:
        note(row, "no_observed", value=True)
        observed = now
    if not time:
        note(row, "no_time", value=True)
        time = observed
    microseconds, below = divmod(time, 1_000)
    row.timestamp, row.timestamp_ns = microseconds - FROM_1970, below
    if observed == time:
        row.observed_timestamp, row.observed_timestamp_ns = row.timestamp, below
        return
    microseconds, row.observed_timestamp_ns = divmod(observed, 1_000)
    row.observed_timestamp = microseconds - FROM_1970


def derive_severity(row: LogRecord) -> None:
    """Complete number and level, of which one or both were not sent, by the other."""
    if not row.severity_number and (derived := levels.number(row.level)):
        row.severity_number = derived
        note(row, "severity_number", 0)
    if not row.level:
        row.level = levels.short_name(row.severity_number)
        note(row, "severity_text", "")


def set_message(row: LogRecord, body: object) -> None:
    """A body that is no string is shown as its JSON; without one, an exception's message is."""
    if type(body) is str:
        row.msg = body
    elif body is not msgspec.UNSET:
        row.msg = values.as_text(body)
        note(row, "body", body)
    elif row.extra is not None and "exception.message" in row.extra:
        row.msg = values.as_text(row.extra["exception.message"])
        note(row, "no_body", value=True)


def hex_id(raw: bytes, size: int, change: str, changes: set[str]) -> str | None:
    """Give a trace or span id in hex; one of the wrong size counts as a change, and as none."""
    if len(raw) != size:
        if raw:
            changes.add(change)
        return None
    return raw.hex() if raw not in _NO_IDS else None  # zeros are how some say "none"


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
