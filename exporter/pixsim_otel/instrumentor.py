"""
Logging without a line of code: ``opentelemetry-instrument python service.py``.

OTEL_SERVICE_NAME or PIXSIM_SERVICE_NAME should be set, for nobody calls `configure_logging`
with a name.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import structlog
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from .configuration import configure_logging, configure_stdlib_root_logger
from .stdlib import OTelHandler

if TYPE_CHECKING:
    from collections.abc import Collection


class PixsimInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """What the entry point ``opentelemetry_instrumentor`` names."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """Give what must be installed: nothing but ourselves."""
        return ()

    def _instrument(self, **_options: Any) -> None:
        alone()
        configure_logging()
        configure_stdlib_root_logger()

    def _uninstrument(self, **_options: Any) -> None:
        """Leave structlog and `logging` as they are without us."""
        structlog.reset_defaults()
        root = logging.getLogger()
        root.handlers[:] = [each for each in root.handlers if not isinstance(each, OTelHandler)]


def alone() -> None:
    """
    Take OpenTelemetry's own structlog instrumentation out, where that is installed too.

    Else each event would be exported twice. It may come before ours or after it, so that this
    is also what the entry point ``opentelemetry_post_instrument`` names.
    """
    try:
        from opentelemetry.instrumentation.structlog import (  # noqa: PLC0415  rarely there
            StructlogInstrumentor,
        )
    except ImportError:
        return
    other = StructlogInstrumentor()
    if other.is_instrumented_by_opentelemetry:
        other.uninstrument()
