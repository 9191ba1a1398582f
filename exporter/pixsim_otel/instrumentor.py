"""
Logging without a line of code: ``opentelemetry-instrument python service.py``.

OTEL_SERVICE_NAME or PIXSIM_SERVICE_NAME should be set, for nobody calls `configure_logging`
with a name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from .configuration import configure_logging, configure_stdlib_root_logger

if TYPE_CHECKING:
    from collections.abc import Collection


class PixsimInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """What the entry point ``opentelemetry_instrumentor`` names."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """Give what must be installed: nothing but ourselves."""
        return ()

    def _instrument(self, **_options: Any) -> None:
        configure_logging()
        configure_stdlib_root_logger()

    def _uninstrument(self, **_options: Any) -> None:
        """Stop exporting what `logging` has; structlog's processors stay."""
