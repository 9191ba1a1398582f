"""
structlog and logging to OpenTelemetry, for pixsim's services; replaces pixsim_logging.

    from pixsim_otel import configure_logging

    logger = configure_logging("api")
    logger.info("job_started", job_id=123)
"""

from __future__ import annotations

from .bridge import OTelProcessor
from .configuration import (
    configure_logging,
    configure_stdlib_root_logger,
    get_ingestion_stats,
    get_registered_services,
)
from .console import CleanConsoleRenderer
from .context import (
    bind_artifact_context,
    bind_domain_context,
    bind_generation_context,
    bind_job_context,
    get_logger,
)
from .domains import (
    get_global_level_display,
    is_domain_enabled,
    set_db_min_level,
    update_domain_config,
    update_global_level,
)
from .redaction import Redaction, redact_sensitive
from .spec import CHANNELS, COMMON_FIELDS, DOMAINS, PROVIDERS, SERVICES, STAGES
from .stdlib import OTelHandler

__all__ = [
    "CHANNELS",
    "COMMON_FIELDS",
    "DOMAINS",
    "PROVIDERS",
    "SERVICES",
    "STAGES",
    "CleanConsoleRenderer",
    "OTelHandler",
    "OTelProcessor",
    "Redaction",
    "bind_artifact_context",
    "bind_domain_context",
    "bind_generation_context",
    "bind_job_context",
    "configure_logging",
    "configure_stdlib_root_logger",
    "get_global_level_display",
    "get_ingestion_stats",
    "get_logger",
    "get_registered_services",
    "is_domain_enabled",
    "redact_sensitive",
    "set_db_min_level",
    "update_domain_config",
    "update_global_level",
]
