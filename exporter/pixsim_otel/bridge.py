"""
structlog's events as OpenTelemetry's log records.

    structlog.configure(processors=[..., Redaction(), OTelProcessor(), JSONRenderer()])

`configure_logging` does this and more. The event goes on as it came, to whatever renders it.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import time
from typing import TYPE_CHECKING, Any

from opentelemetry._logs import LogRecord, SeverityNumber, get_logger_provider
from opentelemetry.context import get_current
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import get_current_span

from . import domains, exceptions, levels, settings
from .correlation import Correlation
from .record import Record
from .values import settle

if TYPE_CHECKING:
    from opentelemetry._logs import LoggerProvider
    from opentelemetry.context import Context
    from structlog.typing import EventDict, WrappedLogger

MOST_SCOPES = 1_000  # that are kept
LATEST = 2**63  # ns since the epoch, the year 2262
NO_SCOPE = InstrumentationScope("")  # what is logged through no named logger
_NOWHERE = Resource.get_empty()
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NUMBERS = (int, float)
_TRACE_ID = re.compile("[0-9a-fA-F]{32}")
_SPAN_ID = re.compile("[0-9a-fA-F]{16}")


class OTelProcessor:
    """
    Emits each event to *provider*, the global one by default; a structlog processor.

    The body is ``msg`` where an event has one, and then ``event`` is an attribute; else it
    is ``event``. What the resource says already (``service``, ``env``) is no attribute.
    """

    def __init__(
        self, provider: LoggerProvider | None = None, correlation: Correlation | None = None
    ) -> None:
        self._provider: Any = provider or get_logger_provider()
        self._correlation = correlation or Correlation(settings.SPAN_ATTRIBUTES)
        self._scopes: dict[object, InstrumentationScope] = {}
        self._resource = _NOWHERE
        self._service: object = None
        self._environment: object = None

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Emit *event*, and give it back unchanged."""
        try:
            self._emit(event, levels.named(event.get("level", method)))
        except Exception as error:  # noqa: BLE001  the program's own work goes on
            settings.say(f"an event could not be exported: {type(error).__name__}: {error}")
        return event

    def _emit(self, event: EventDict, level: levels.Level) -> None:
        if not domains.is_exported(level.number):
            return
        provider = self._provider
        direct = getattr(provider, "direct", None)
        record = self._record(event, level)
        if direct is not None:
            direct.put(record)
        else:
            _emit_by_sdk(provider, record)

    def _record(self, event: EventDict, level: levels.Level) -> Record:
        attributes = {**event}
        attributes.pop("level", None)
        body = attributes.pop("msg", None)
        if body is None:
            body = attributes.pop("event", None)
        moment = _nanoseconds(attributes.pop("timestamp", None))
        if moment is None:
            moment = time.time_ns()
            if "timestamp" in event:
                attributes["timestamp"] = event["timestamp"]
        record = Record(
            moment,
            level.severity,
            level.text,
            body,
            attributes,
            self._learn_resource(attributes),
            self._scope(attributes.pop("logger_name", "")),
        )
        if "exception" in attributes or "exc_info" in attributes:
            _add_exception(attributes)
        if context := get_current():
            self._add_span(record, context)
        if not record.trace_id and "trace_id" in attributes:
            _take_trace(record)
        return record

    def _learn_resource(self, attributes: dict[str, Any]) -> Resource:
        """Give the provider's resource, and drop from *attributes* what it says already."""
        resource: Resource = getattr(self._provider, "resource", _NOWHERE)
        if resource is not self._resource:  # the first event, and the first one after a fork
            self._service = resource.attributes.get("service.name")
            self._environment = resource.attributes.get("deployment.environment.name")
            self._resource = resource
        if attributes.get("service") == self._service:
            attributes.pop("service", None)
        if attributes.get("env") == self._environment:
            attributes.pop("env", None)
        return resource

    def _scope(self, name: object) -> InstrumentationScope:
        if not name:
            return NO_SCOPE
        if (found := self._scopes.get(name)) is None:
            if len(self._scopes) >= MOST_SCOPES:
                self._scopes.clear()
            found = self._scopes[name] = InstrumentationScope(str(name))
        return found

    def _add_span(self, record: Record, context: Context) -> None:
        span = get_current_span(context)
        found = span.get_span_context()
        if found.is_valid:
            record.trace_id = found.trace_id
            record.span_id = found.span_id
            record.flags = found.trace_flags
        self._correlation.add(record.attributes, span, context)


def _emit_by_sdk(provider: LoggerProvider, record: Record) -> None:
    """Emit *record* the way that processors which aren't ours see it."""
    settle(record)
    body: Any = record.body
    attributes: Any = record.attributes
    provider.get_logger(record.scope.name).emit(
        LogRecord(
            timestamp=record.time,
            context=get_current(),
            severity_number=SeverityNumber(record.severity_number),
            severity_text=record.severity_text,
            body=body,
            attributes=attributes,
        )
    )


def _add_exception(attributes: dict[str, Any]) -> None:
    """Say ``exception`` or ``exc_info`` in the words of OpenTelemetry's conventions."""
    exc_info = attributes.pop("exc_info", None)
    text = attributes.pop("exception", None)
    if type(text) is exceptions.Traceback:
        found = text
    elif exc_info and (error := exceptions.current(exc_info)) is not None:
        found = exceptions.formatted(error)
    elif isinstance(text, str):
        found = exceptions.read(text)
    else:
        if text is not None:
            attributes["exception"] = text
        return
    if found.type:
        attributes["exception.type"] = found.type
        attributes["exception.message"] = found.message
    attributes["exception.stacktrace"] = str(found)


def _take_trace(record: Record) -> None:
    """Take the ids that an event carries itself, where they are a trace's and a span's."""
    attributes = record.attributes
    trace_id, span_id = str(attributes["trace_id"]), str(attributes.get("span_id", ""))
    if _TRACE_ID.fullmatch(trace_id):
        record.trace_id = int(trace_id, 16)
        del attributes["trace_id"]
        if _SPAN_ID.fullmatch(span_id):
            record.span_id = int(span_id, 16)
            del attributes["span_id"]


def _nanoseconds(moment: object) -> int | None:
    """Read ISO 8601, a datetime (naive ones are UTC) or seconds since the epoch."""
    try:
        if type(moment) is str:
            moment = dt.datetime.fromisoformat(moment)
        if isinstance(moment, dt.datetime):
            since = (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)) - _EPOCH
            found = (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
        elif type(moment) in _NUMBERS and math.isfinite(moment):  # type: ignore[arg-type]
            found = round(moment * 1e6) * 1000  # type: ignore[operator]
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return found if 0 <= found < LATEST else None
