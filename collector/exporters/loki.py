"""
Forwarding to Grafana Loki by its push API.

A stream is what has the same labels, and costs Loki memory and files; so labels are few, and never
ids. All else that is known of a record is structured metadata, which makes records that say the
same at the same time distinct, and one that is sent again the same.
https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from collector.forwarding import fields
from collector.forwarding.http import Body, HttpTarget, common, told
from collector.forwarding.items import Unfit, each, limit
from collector.forwarding.settings import Age, HttpForwarder
from collector.forwarding.target import Answer, Bad, Split

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from collector.forwarding.fields import Fields
    from storage.stored import Stored

PATH = "/loki/api/v1/push"
# Loki's own limits, which its administrator may have changed.
MOST_LABELS = 15
MOST_BYTES_OF_LABEL = 2_048
MOST_BYTES_OF_LINE = 256 * 1024
MOST_METADATA = 128
MOST_BYTES_OF_METADATA = 64 * 1024
MOST_BYTES = 4_000_000  # of a body: of more than 6 MB Loki says for ever that it comes too fast
FUTURE = 600 * 10**9  # ns that a record may be ahead
BLOCKED = 260

Label = Literal[
    "service", "env", "level", "host", "instance_id", "channel", "domain", "operation_type", "stage"
]
_NAMES = {"service": "service_name"}  # by which Loki knows a service
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9]+")
_INT64 = range(-(2**63), 2**63)
_json = msgspec.json.Encoder().encode


class Loki(HttpForwarder, frozen=True, kw_only=True):
    """Forwarding to Loki."""

    tenant_id: str = ""  # in multi-tenant mode
    labels: tuple[Label, ...] = ("service", "env", "level")
    static_labels: dict[str, str] = msgspec.field(default_factory=dict)  # on every stream
    compression: Literal["gzip", "none"] = "gzip"  # it has no other
    max_age: Age = 7 * 86_400.0  # Loki's reject_old_samples_max_age

    def problems(self) -> Iterator[str]:
        """Give what is wrong between the settings."""
        yield from HttpForwarder.problems(self)
        names = [*(_NAMES.get(label, label) for label in self.labels), *self.static_labels]
        if not names:
            yield "labels: expected at least one"
        if len(names) > MOST_LABELS:
            yield f"labels: expected at most {MOST_LABELS}, with static_labels, found {len(names)}"
        if twice := {name for name in names if names.count(name) > 1}:
            yield f"labels: there twice: {', '.join(sorted(twice))}"
        for name, value in self.static_labels.items():
            if not _NAME.fullmatch(name) or name.startswith("__"):
                yield f"static_labels: expected letters, digits and _ in a name, found {name!r}"
            if not 0 < len(value.encode()) <= MOST_BYTES_OF_LABEL:
                yield f"static_labels.{name}: expected 1 to {MOST_BYTES_OF_LABEL} bytes"


class Line(msgspec.Struct, gc=False, order=True):
    """A record as Loki has it; of a stream they are in the order of time."""

    stream: bytes  # JSON of its labels
    time: int
    id: int
    encoded: bytes


class Encoder:
    """Makes the body of a batch: its streams."""

    def __init__(self, config: Loki, clock: Callable[[], int] = time.time_ns) -> None:
        self._labels = config.labels
        self._static = config.static_labels
        self._path = "" if config.endpoint.endswith(PATH) else PATH
        self._headers = {"X-Scope-OrgID": config.tenant_id} if config.tenant_id else {}
        self._clock = clock
        self._reader = fields.Reader()

    def __call__(self, records: Sequence[Stored]) -> Generator[None, None, Body | Answer]:
        """Encode *records*, slice by slice."""
        lines, refused = yield from each(records, self._line)
        lines.sort()
        streams: dict[bytes, list[bytes]] = {}
        for line in lines:
            streams.setdefault(line.stream, []).append(line.encoded)
        data = b'{"streams":[%b]}' % b",".join(
            b'{"stream":%b,"values":[%b]}' % (labels, b",".join(values))
            for labels, values in streams.items()
        )
        if len(data) > MOST_BYTES:
            return Split(f"{len(data)} bytes, the most is {MOST_BYTES}")
        return Body(
            data=data,
            content_type="application/json",
            headers=self._headers,
            path=self._path,
            refused=refused,
        )

    def _line(self, stored: Stored) -> Line:
        found = self._reader.read(stored)
        if found.time not in _INT64:
            raise Unfit("a time that 64 bits of nanoseconds have no room for")
        if found.time > self._clock() + FUTURE:
            raise Unfit("a time of more than 10 minutes from now")
        limit(len(found.message.encode()), MOST_BYTES_OF_LINE, "bytes of text")
        labels = self._stream(found)
        metadata = _metadata(found, labels)
        limit(len(metadata), MOST_METADATA, "attributes")
        size = sum(len(name) + len(value.encode()) for name, value in metadata.items())
        limit(size, MOST_BYTES_OF_METADATA, "bytes of attributes")
        return Line(
            stream=_json(labels),
            time=found.time,
            id=stored.record.id or 0,
            encoded=_json((str(found.time), found.message, metadata)),
        )

    def _stream(self, found: Fields) -> dict[str, str]:
        labels = dict(self._static)
        for name in self._labels:
            if value := _label(found, name):
                limit(len(value.encode()), MOST_BYTES_OF_LABEL, f"bytes of label {name}")
                labels[_NAMES.get(name, name)] = value
        return labels or {"service_name": found.service or "unknown_service"}


def _label(found: Fields, name: Label) -> str:
    match name:
        case "level":
            return found.severity
        case "service" | "env" | "host":
            value: str = getattr(found, name)
            return value
    return fields.text(found.attributes.get(name))


def _metadata(found: Fields, labels: Mapping[str, str]) -> dict[str, str]:
    """Give what of a record is neither text nor label; Loki has no empty values."""
    given: dict[str, Any] = {
        "service": found.service,
        "env": found.env,
        "host": found.host,
        "trace_id": found.trace_id,
        "span_id": found.span_id,
        "severity_text": found.level,
        "severity_number": str(found.severity_number or ""),
        "observed_timestamp": "" if found.observed is None else fields.rfc3339(found.observed),
        "log_record_uid": found.uid,
    }
    kept = {
        name: value
        for name, value in given.items()
        if value and labels.get(_NAMES.get(name, name)) != value
    }
    more = {
        name: value
        for name, attribute in found.attributes.items()
        if (value := fields.text(attribute)) and labels.get(name) != value
    }
    return kept | fields.distinct(more, given.keys() | labels.keys(), clean)


def clean(name: str) -> str:
    """Give a name as Loki has it, which changes others, and fails at some."""
    found = _NOT_IN_NAMES.sub("_", name)
    if found == "_":
        return fields.NAMELESS
    return f"key_{found}" if found[0].isdigit() else found


def answer(
    status: int, headers: Mapping[str, str], body: bytes, records: Sequence[Stored]
) -> Answer:
    """Give what an answer means; one that looks like success says that a policy refuses it."""
    if status == BLOCKED:
        return Bad(told(status, body), status)
    return common(status, headers, body, records)


def target(config: Loki) -> HttpTarget:
    """Make the target of *config*."""
    return HttpTarget(config, Encoder(config), answer)
