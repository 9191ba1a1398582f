"""
One HTTP request and its answer, as a log tells of it; the same for all web frameworks.

Ids are taken over from the caller, so that one search finds what all services did for a
request: ``X-Request-ID``, and the trace of ``traceparent`` (W3C) or ``X-Trace-ID``. They
are returned in the answer, and said by every record in between.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from typing import TYPE_CHECKING

import structlog
from opentelemetry import context, trace
from opentelemetry.trace.propagation import tracecontext

from pixsim_otel.filters import HTTP_REQUEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from structlog.typing import FilteringBoundLogger

LONGEST_ID = 200  # characters of an id that is taken over
CLIENT_CLOSED_REQUEST = 499  # nobody was there any more to be answered
_PROPAGATOR = tracecontext.TraceContextTextMapPropagator()


class Exchange:
    """Made for a request, given the status of its answer, and logged in the end."""

    def __init__(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Take a request: *path* is with its query, *headers* have lower-case names."""
        self.method = method
        self.path = path
        self.status: int | None = None
        self.answer_headers: dict[str, str] = {}
        self._headers = headers
        self._start = time.perf_counter()

    @contextlib.contextmanager
    def running(self, logger: FilteringBoundLogger) -> Iterator[None]:
        """
        Say the request's ids in all records of the block, and log its end.

        What the block binds ends with it: the next request of a connection may be handled
        by the same task. What was bound before is bound again.
        """
        before = structlog.contextvars.get_contextvars()
        token = context.attach(self._traced())
        structlog.contextvars.bind_contextvars(**self._ids())
        try:
            yield
        except Exception as error:
            self.status = self.status or 500
            self._log(logger, error)
            raise
        except BaseException:  # cancelled
            self.status = self.status or CLIENT_CLOSED_REQUEST
            self._log(logger)
            raise
        else:
            self.status = self.status or 500  # what servers answer if the application does not
            self._log(logger)
        finally:
            structlog.contextvars.clear_contextvars()
            structlog.contextvars.bind_contextvars(**before)
            context.detach(token)

    def _traced(self) -> context.Context:
        """Give the context of the span that is current, or else of the caller's."""
        if trace.get_current_span().get_span_context().is_valid:
            return context.get_current()
        return _PROPAGATOR.extract(self._headers)

    def _ids(self) -> dict[str, str]:
        """Give the ids to bind, and let the answer have them."""
        request_id = self._taken("x-request-id") or str(uuid.uuid4())
        self.answer_headers["X-Request-ID"] = request_id
        span = trace.get_current_span().get_span_context()
        if span.is_valid:  # the records have it from there
            self.answer_headers["X-Trace-ID"] = trace.format_trace_id(span.trace_id)
            _PROPAGATOR.inject(self.answer_headers)
            return {"request_id": request_id}
        trace_id = self._taken("x-trace-id") or uuid.uuid4().hex
        self.answer_headers["X-Trace-ID"] = trace_id
        return {"request_id": request_id, "trace_id": trace_id}

    def _taken(self, name: str) -> str:
        """Give an id of the caller's; empty if there is none that can be kept and returned."""
        value = self._headers.get(name, "").strip()
        return value if len(value) <= LONGEST_ID and value.isascii() and value.isprintable() else ""

    def _log(self, logger: FilteringBoundLogger, error: Exception | None = None) -> None:
        known = {
            "method": self.method,
            "path": self.path,
            "status_code": self.status,
            "duration_ms": round((time.perf_counter() - self._start) * 1000),
        }
        if surface := self._headers.get("x-client-surface"):
            known["client_surface"] = surface
        if error is None:
            logger.info(HTTP_REQUEST, **known)
        else:
            logger.error(HTTP_REQUEST, **known, error=str(error), error_type=type(error).__name__)
