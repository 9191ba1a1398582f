"""The names that services import from ``pixsim_logging.config``, under the same name here."""

from __future__ import annotations

from .configuration import (
    configure_logging,
    configure_stdlib_root_logger,
    get_ingestion_stats,
    get_registered_services,
)
from .context import get_logger
from .domains import set_db_min_level

__all__ = [
    "configure_logging",
    "configure_stdlib_root_logger",
    "get_ingestion_stats",
    "get_logger",
    "get_registered_services",
    "set_db_min_level",
]
