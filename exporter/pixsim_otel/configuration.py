"""
`configure_logging`: the one call by which a service's logs get where they belong.

What is decided by the environment is read by `settings`; here it is put together.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import structlog

from . import console, domains, drops, exceptions, pipeline, settings, stdlib
from .bridge import OTelProcessor
from .correlation import Correlation
from .filters import Filter
from .redaction import Redaction

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger, Processor

    from .pipeline import Pipeline
    from .settings import Settings

_DROPPED_BY_CALLS = (drops.QUEUE_FULL, drops.SHUT_DOWN, drops.BROKEN)
_DROPPED_BY_WORKER = (
    drops.REFUSED,
    drops.REJECTED,
    drops.TOO_LARGE,
    drops.FAILED,
    drops.UNSENT,
)


class _Configured:
    """What the first call of `configure_logging` made, for the later ones."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.settings: Settings | None = None
        self.named: str | None = None  # as the first call did
        self.services: set[str] = set()
        self.shared: list[Processor] = []  # of structlog's events and logging's records
        self.bridge: OTelProcessor | None = None  # after them
        self.pipeline: Pipeline | None = None


_configured = _Configured()


def configure_logging(
    service_name: str | None = None, *, json: bool | None = None
) -> FilteringBoundLogger:
    """
    Set up logging on the first call, and give a logger of the service on every one.

    *json* decides between JSON and lines for people on the console, in place of
    PIXSIM_LOG_FORMAT. A later call may have another name, as a plugin's or a provider's
    does: its records say so, but are sent as the service that the first call named.
    """
    with _configured.lock:
        first = _configured.settings is None
        if first:
            _configure(service_name, json=json)
    known = _configured.settings
    assert known is not None  # noqa: S101  by the call above
    same = service_name is None or service_name == _configured.named
    name = known.service if same else service_name
    _configured.services.add(str(name))
    logger: FilteringBoundLogger = structlog.get_logger()
    logger = logger.bind(service=name, env=known.environment)
    if first:
        _tell(logger, known)
    return logger


def configure_stdlib_root_logger() -> None:
    """
    Send `logging`'s records, which libraries log with, the same way.

    Call it after `configure_logging`. A root logger that has handlers keeps them, its level
    too, and gets one more that exports; one without gets the console's format on stderr.
    Where OpenTelemetry's own handler exports, ours doesn't.
    """
    root = logging.getLogger()
    others = [handler for handler in root.handlers if not _is_opentelemetrys(handler)]
    exported = len(others) < len(root.handlers)
    if any(isinstance(other, stdlib.OTelHandler) for other in others) or (exported and others):
        return
    stdlib.accept_fields()
    known = _configured.settings or settings.read()
    processors = [structlog.contextvars.merge_contextvars, *(_configured.shared or _shared(known))]
    if _configured.bridge is not None and not exported:
        processors.append(_configured.bridge)
    root.addHandler(stdlib.OTelHandler(processors, None if others else _renderer(known)))
    if not others:
        console.use_utf8()
        root.setLevel(known.level)
        stdlib.quieten()


def get_registered_services() -> set[str]:
    """Give the names that `configure_logging` was called with so far."""
    return _configured.services.copy()


def get_ingestion_stats() -> dict[str, Any]:
    """Tell whether records are exported, and how many were dropped."""
    queues = _configured.pipeline.queues if _configured.pipeline else ()
    if not queues:
        return {"active": False}
    totals = Counter[str]()
    for queue in queues:
        totals.update(queue.drops.totals)
    return {
        "active": True,
        "dropped_logs": sum(totals[reason] for reason in _DROPPED_BY_CALLS),
        "worker_errors": sum(totals[reason] for reason in _DROPPED_BY_WORKER),
    }


def _configure(service_name: str | None, *, json: bool | None) -> None:
    """Set up structlog, and what it exports to."""
    console.use_utf8()
    known = settings.read(service_name, json=json)
    correlation = Correlation(known.span_attributes)
    built = pipeline.build(known, correlation)
    shared = _shared(known)
    bridge = None if built.provider is None else OTelProcessor(built.provider, correlation)
    if settings.POSTGRES in built.exporters:
        domains.set_db_min_level("INFO")  # as the direct writer always had it
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.TimeStamper(fmt="iso", key="timestamp"),
            structlog.processors.add_log_level,
            *shared,
            *([] if bridge is None else [bridge]),
            _renderer(known),
        ],
        # structlog has loggers for Python's own levels only
        wrapper_class=structlog.make_filtering_bound_logger(min(known.level // 10 * 10, 50)),
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    stdlib.accept_fields()
    _configured.named, _configured.shared, _configured.bridge = service_name, shared, bridge
    _configured.pipeline, _configured.settings = built, known


def _shared(known: Settings) -> list[Processor]:
    """Give the processors before an event is exported and rendered."""
    return [
        domains.filter_levels,
        Filter(known.exclude_paths, known.sample_paths, known.sample_provider_status),
        Redaction(),
        structlog.processors.StackInfoRenderer(),
        exceptions.render_exception,
    ]


def _is_opentelemetrys(handler: logging.Handler) -> bool:
    """Tell whether *handler* is one of OpenTelemetry's SDK or instrumentation."""
    kind = type(handler)
    return kind.__name__ == "LoggingHandler" and kind.__module__.startswith("opentelemetry.")


def _renderer(known: Settings) -> Any:
    return console.JSONRenderer() if known.json else console.CleanConsoleRenderer()


def _tell(logger: FilteringBoundLogger, known: Settings) -> None:
    """Log how logging was set up, the first line of a service."""
    built = _configured.pipeline
    assert built is not None  # noqa: S101  by the caller
    logger.info(
        "logger_initialized",
        format="json" if known.json else "human",
        exporters=list(built.exporters),
    )
    for name, reason in built.problems.items():
        logger.warning("log_exporter_unavailable", exporter=name, reason=reason)
