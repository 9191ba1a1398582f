"""
pixsim's own JSON over HTTP, to a collector or to the backends that were before it.

A record is one flat object of the keys that services have always sent: ``event``,
``timestamp``, ``level``, ``service``, ``env``, and its attributes under their own names. Of
its resource no more is told than these say. An exception's traceback is ``exception``; its
type and message are ``error_type`` and ``error``, where the record has none of its own.

The URL comes from PIXSIM_LOG_INGESTION_URL, and the collector's key, where it wants one, from
PIXSIM_LOG_INGESTION_KEY. Bodies are compressed only where
PIXSIM_LOG_INGESTION_COMPRESSION is ``gzip``, for the older backends cannot read that.
"""

from __future__ import annotations

import base64
import datetime as dt
import math
import os
from typing import TYPE_CHECKING

import msgspec

from .exporting import DEFAULT_TIMEOUT, SendingExporter
from .transport import Answer, Delivered, Session
from .values import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from opentelemetry.sdk.resources import Resource

    from .record import Record
    from .transport import Outcome

JSON = "application/json"

_ENVIRONMENT = ("deployment.environment.name", "deployment.environment")
_EXCEPTION = {
    "exception.stacktrace": "exception",
    "exception.type": "error_type",
    "exception.message": "error",
}
_BANDS = ("trace", "debug", "info", "warning", "error", "critical")  # four numbers each
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001  as text it needs no zone but the "Z"
_timedelta = dt.timedelta

_SPECIAL = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_AS_IT_IS = frozenset({str, int, bool, type(None)})
_encode = msgspec.json.Encoder().encode

# What `Record` promises does not hold for one that raises these.
NOT_PLAIN = (TypeError, ValueError, OverflowError, RecursionError)


class _Stored(msgspec.Struct):
    """An answer; the older backends say only how many they stored."""

    count: int | None = None
    rejected: int | None = None
    errors: list[dict[str, object]] = []


_decode = msgspec.json.Decoder(_Stored).decode


class PixsimLogExporter(SendingExporter):
    """
    Sends records to *url*, such as ``http://collector:8001/api/v1/logs/ingest/batch``.

    Raises:
        ValueError: there is no URL, it is no HTTP URL, or a header cannot be sent.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = DEFAULT_TIMEOUT,  # seconds
        compression: str | None = None,  # "gzip" or "none"
    ) -> None:
        super().__init__(timeout)
        key = os.environ.get("PIXSIM_LOG_INGESTION_KEY", "").strip()
        chosen = compression or os.environ.get("PIXSIM_LOG_INGESTION_COMPRESSION", "")
        self._session = Session(
            url or os.environ.get("PIXSIM_LOG_INGESTION_URL", "").strip(),
            headers={**({"X-API-Key": key} if key else {}), **(headers or {})},
            timeout=timeout,
            compress=chosen.strip().lower() == "gzip",
        )

    def send(self, records: Sequence[Record], /, *, timeout: float | None = None) -> Outcome:
        """Send *records* in one request."""
        answer = self._session.post(encode(records), JSON, timeout=timeout)
        if isinstance(answer, Answer):
            return _delivered(answer.body, len(records))
        return answer

    def close(self) -> None:
        """Give up the connections; another `send` would open new ones."""
        self._session.close()


def encode(records: Iterable[Record]) -> bytes:
    """Make the body of a request."""
    made = list(entries(records))
    try:
        return _encode({"logs": made})
    except NOT_PLAIN:
        return _encode({"logs": [jsonable(plain(entry)) for entry in made]})


def entries(records: Iterable[Record]) -> Iterable[dict[str, object]]:
    """Make the JSON object of each record."""
    resource: Resource | None = None
    origin: dict[str, str] = {}
    for record in records:
        if record.resource is not resource:
            resource = record.resource
            origin = _origin(resource)
        yield _entry(record, origin)


def _entry(record: Record, origin: dict[str, str]) -> dict[str, object]:
    entry: dict[str, object] = {**origin}
    for name, value in record.attributes.items():
        entry[name] = value if type(value) in _AS_IT_IS else jsonable(value)
    if not _EXCEPTION.keys().isdisjoint(entry):
        for name, key in _EXCEPTION.items():
            if name in entry and entry.get(key) is None:
                entry[key] = entry.pop(name)
    if record.body is not None:
        entry["msg" if "event" in entry else "event"] = jsonable(record.body)
    if "timestamp" in entry:
        entry["timestamp_original"] = entry["timestamp"]
    entry["timestamp"] = _time(record.time)
    entry["level"] = (record.severity_text or _level(record.severity_number)).lower()
    _add_rest(record, entry)
    return entry


def _add_rest(record: Record, entry: dict[str, object]) -> None:
    """Add what not every record has, unless it says so itself."""
    if record.trace_id:
        entry.setdefault("trace_id", f"{record.trace_id:032x}")
    if record.span_id:
        entry.setdefault("span_id", f"{record.span_id:016x}")
    if record.event_name:
        entry.setdefault("event_name", record.event_name)
    if record.scope.name:
        entry.setdefault("logger_name", record.scope.name)


def _origin(resource: Resource) -> dict[str, str]:
    """Give what a record's resource tells of it."""
    attributes = resource.attributes
    origin = {"service": str(attributes.get("service.name", "unknown"))}
    for name in _ENVIRONMENT:
        if name in attributes:
            return origin | {"env": str(attributes[name])}
    return origin


def _time(nanoseconds: int) -> str:
    moment = _EPOCH + _timedelta(0, 0, nanoseconds // 1_000)
    return moment.isoformat(timespec="microseconds") + "Z"


def _level(severity_number: int) -> str:
    return _BANDS[(severity_number - 1) // 4] if 0 < severity_number <= 24 else "info"


def jsonable(value: object) -> object:
    """Give what JSON can say of a plain value: NaN and the infinities are text, bytes base64."""
    match value:
        case float():
            return value if math.isfinite(value) else _SPECIAL[repr(value)]
        case list() | tuple():
            return [jsonable(each) for each in value]
        case dict():
            return {name: jsonable(each) for name, each in value.items()}
        case bytes():
            return base64.b64encode(value).decode()
    return value


def _delivered(body: bytes, sent: int) -> Delivered:
    try:
        answer = _decode(body)
    except ValueError:  # msgspec's errors are such, too
        return Delivered(reason="the answer is not that of a log receiver")
    rejected = answer.rejected
    if rejected is None:
        rejected = 0 if answer.count is None else sent - answer.count
    reason = str(answer.errors[0].get("reason", "")) if answer.errors else ""
    return Delivered(min(max(rejected, 0), sent), reason)
