"""
The levels in force, as a route of a FastAPI application.

    app.include_router(create_debug_router(), prefix="/_debug")  # GET /_debug/logging
"""

from __future__ import annotations

import importlib
from typing import Any

from . import domains


def create_debug_router() -> Any:
    """Give a FastAPI router; FastAPI is the application's, not a dependency of ours."""
    router = importlib.import_module("fastapi").APIRouter(tags=["debug"])
    router.get("/logging")(get_logging_state)
    return router


async def get_logging_state() -> dict[str, Any]:
    """Give the least levels, and the domains that events had so far."""
    return {
        "level": domains.get_global_level_display(),
        "domains": domains.get_domain_config_display(),
        "active_domains": domains.get_active_domains(),
    }
