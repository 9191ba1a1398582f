"""
Where records go: to the application's own LoggerProvider, or to ours with its exporters.

An application that set a global provider has decided where its records go: nothing is added
to it. Otherwise ours becomes the global one, so that records of OpenTelemetry's API, which
libraries may emit, take the same way as our own.
"""

from __future__ import annotations

import pkgutil
from importlib import metadata
from typing import TYPE_CHECKING, Any

import msgspec
from opentelemetry._logs import get_logger_provider, set_logger_provider
from opentelemetry._logs._internal import ProxyLoggerProvider
from opentelemetry.sdk.resources import Resource

from . import lifecycle, limits, settings
from .processor import QueueProcessor
from .provider import LoggerProvider
from .redaction import Redaction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry._logs import LoggerProvider as AnyLoggerProvider

    from .correlation import Correlation
    from .settings import Settings

# Found without the metadata of an installed distribution, which a checkout doesn't have.
EXPORTERS = {
    settings.OTLP_HTTP: "pixsim_otel.otlp:OTLPLogExporter",
    settings.PIXSIM: "pixsim_otel.native:PixsimLogExporter",
    settings.POSTGRES: "pixsim_otel.postgres:PostgresLogExporter",
}


class Pipeline(msgspec.Struct, frozen=True, kw_only=True):
    """What was built."""

    provider: Any = None  # a LoggerProvider of OpenTelemetry's API; None: nothing is exported
    exporters: tuple[str, ...] = ()
    queues: tuple[Any, ...] = ()  # each exporter's QueueProcessor
    problems: dict[str, str] = {}  # by exporter that could not be made


def build(known: Settings, correlation: Correlation) -> Pipeline:
    """Find the application's provider, or make ours as *known* says."""
    existing: AnyLoggerProvider = get_logger_provider()
    if not isinstance(existing, ProxyLoggerProvider):
        return Pipeline(provider=existing)
    problems: dict[str, str] = {}
    made = _make(known.exporters, problems) or _make(known.fallback, problems)
    if not made:
        return Pipeline(problems=problems)
    provider = LoggerProvider(
        Resource.create(
            {"service.name": known.service, "deployment.environment.name": known.environment}
        )
    )
    queues = tuple(_queue(known, correlation, *each) for each in made.items())
    for queue in queues:
        provider.add_log_record_processor(queue)
    set_logger_provider(provider)
    lifecycle.install(provider)
    return Pipeline(provider=provider, exporters=tuple(made), queues=queues, problems=problems)


def _queue(known: Settings, correlation: Correlation, name: str, exporter: Any) -> QueueProcessor:
    batching = known.batching.get(name, settings.Batching())
    return QueueProcessor(
        exporter,
        limits=limits.read_queue(batching.records, batching.seconds),
        value_limits=limits.read_values(),
        correlation=correlation,
        redaction=Redaction(),
    )


def _make(names: Iterable[str], problems: dict[str, str]) -> dict[str, Any]:
    """Make the exporters that can be made; why others can't is put in *problems*."""
    made = {}
    for name in names:
        try:
            made[name] = _class(name)()
        except Exception as error:  # noqa: BLE001  a service starts without its logs, if need be
            problems[name] = f"{type(error).__name__}: {error}"
    return made


def _class(name: str) -> Any:
    """Find an exporter's class: one of ours, or the entry point of that name."""
    if name in EXPORTERS:
        return pkgutil.resolve_name(EXPORTERS[name])
    for found in metadata.entry_points(group="opentelemetry_logs_exporter", name=name):
        return found.load()
    raise LookupError(f"no exporter {name!r} is installed")
