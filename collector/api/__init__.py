"""The query API: reading what was stored, over HTTP."""

from collector.api.handlers import Api, routes

__all__ = ["Api", "routes"]
