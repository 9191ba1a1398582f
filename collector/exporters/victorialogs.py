"""
Forwarding to VictoriaLogs as JSON lines.

It answers 200 whatever becomes of a line, so all that it would skip or change in silence is found
before it is sent.
https://docs.victoriametrics.com/victorialogs/data-ingestion/#json-stream-api
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import msgspec

from collector.forwarding import fields
from collector.forwarding.http import Body, HttpTarget
from collector.forwarding.items import Unfit, each, limit
from collector.forwarding.settings import Age, Batch, HttpForwarder

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from collector.forwarding.target import Answer
    from storage.stored import Stored

PATH = "/insert/jsonline"
# VictoriaLogs' own limits, which its flags may have changed.
MOST_BYTES_OF_LINE = 256 * 1024 - 1  # and the newline
MOST_FIELDS = 1_000
MOST_BYTES_OF_NAME = 128
FUTURE = 2 * 86_400 * 10**9  # ns that a record may be ahead
EMPTY = "-"  # stands for a text that is missing, in the place of VictoriaLogs' own
_RESERVED = frozenset({"_msg", "_time", "_stream", "_stream_id"})
_LATEST = 2**63 - 1

Tenant = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]


class VictoriaLogs(HttpForwarder, frozen=True, kw_only=True):
    """Forwarding to VictoriaLogs."""

    account_id: Tenant = 0
    project_id: Tenant = 0
    stream_fields: tuple[str, ...] = ("service", "env")  # which have few values, and never ids
    batch: Batch = Batch(max_records=5_000, max_bytes=4_000_000)
    max_age: Age = 7 * 86_400.0  # VictoriaLogs' -retentionPeriod: older records are dropped there


class Encoder:
    """Makes the body of a batch: a line a record."""

    def __init__(self, config: VictoriaLogs, clock: Callable[[], int] = time.time_ns) -> None:
        query = urlencode({"_stream_fields": ",".join(config.stream_fields)}, safe=",")
        path = "" if config.endpoint.endswith(PATH) else PATH
        self._path = f"{path}?{query}" if config.stream_fields else path
        tenant = {"AccountID": str(config.account_id), "ProjectID": str(config.project_id)}
        self._headers = tenant if config.account_id or config.project_id else {}
        self._clock = clock
        self._reader = fields.Reader()
        self._encode = msgspec.json.Encoder().encode

    def __call__(self, records: Sequence[Stored]) -> Generator[None, None, Body | Answer]:
        """Encode *records*, slice by slice."""
        lines, refused = yield from each(records, self._line)
        return Body(
            data=b"".join(lines),
            content_type="application/stream+json",
            headers=self._headers,
            path=self._path,
            refused=refused,
        )

    def _line(self, stored: Stored) -> bytes:
        found = self._reader.read(stored)
        if not 0 < found.time <= _LATEST:
            raise Unfit("a time before 1970 or after 2262")
        if found.time > self._clock() + FUTURE:
            raise Unfit("a time of more than 2 days from now")
        made: dict[str, Any] = {
            "_time": fields.rfc3339(found.time),
            "_msg": found.message or EMPTY,
            "level": found.level,
            "severity": found.severity,
            "severity_number": found.severity_number or "",
            "service": found.service,
            "env": found.env,
            "host": found.host,
            "trace_id": found.trace_id,
            "span_id": found.span_id,
            "observed_timestamp": "" if found.observed is None else fields.rfc3339(found.observed),
            "log.record.uid": found.uid,
        }
        taken = _RESERVED | made.keys()
        made |= fields.distinct(found.attributes, taken)
        # An empty value is none there.
        made = {name: value for name, value in made.items() if value not in ("", None)}
        limit(len(made), MOST_FIELDS, "attributes")
        limit(max(len(name.encode()) for name in made), MOST_BYTES_OF_NAME, "bytes of a name")
        line = self._encode(made)
        limit(len(line), MOST_BYTES_OF_LINE, "bytes")
        return line + b"\n"


def target(config: VictoriaLogs) -> HttpTarget:
    """Make the target of *config*."""
    return HttpTarget(config, Encoder(config))
