"""
What can go wrong with a request, told by what its sender should do.

* RequestError              the same request will always fail: do not retry it
  + BadRequest          400 it cannot be decoded
  + Unauthorized        401 it has no key that is known
  + Forbidden           403 its key is not for this
  + TooSlow             408 its body did not come to its end in time
  + Unprocessable       422 it is JSON, but not of the endpoint's shape (native and query API)
  + TooLarge            413 it, or what it inflates to, is over the limit
  + UnsupportedMedia    415 its Content-Type or Content-Encoding is not one we read
  + TooMany             429 its key has sent more than it may; later it may again
  + NotInstalled        501 it wants an optional part that this collector lacks

Storage's own errors (`storage.errors`) say the rest; `collector.server` turns all of
them into answers, in the shape that the path's protocol wants.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import msgspec


class Violation(msgspec.Struct, frozen=True):
    """One thing wrong, and where: ``field`` is a path such as ``resourceLogs[0].schemaUrl``."""

    field: str
    description: str


class RequestError(Exception):
    """A request that will always fail; the message is for its sender."""

    status: ClassVar[int]
    reason: str  # the value of the counter's label


class BadRequest(RequestError):
    """The body cannot be decoded."""

    status = 400
    reason = "undecodable"

    def __init__(self, message: str, violations: tuple[Violation, ...] = ()) -> None:
        super().__init__(message)
        self.violations = violations


class Unauthorized(RequestError):
    """There is no key, or none that is known."""

    status = 401
    headers: ClassVar[dict[str, str]] = {"WWW-Authenticate": "Bearer"}

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class Forbidden(RequestError):
    """The key is known, and not for this."""

    status = 403

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class Unprocessable(RequestError):
    """
    The body or a parameter is not of the endpoint's shape.

    ``details`` are what FastAPI would answer: ``{"type", "loc", "msg", "input"}`` each.
    """

    status = 422
    reason = "invalid"

    def __init__(self, details: list[dict[str, Any]]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, d['loc']))}: {d['msg']}" for d in details))
        self.details = details


class TooLarge(RequestError):
    """The body, or what it inflates to, is over the limit."""

    status = 413
    reason = "too_large"


class TooSlow(RequestError):
    """The body did not come to its end in time."""

    status = 408
    reason = "too_slow"


class UnsupportedMedia(RequestError):
    """The Content-Type or Content-Encoding is not one that this path reads."""

    status = 415
    reason = "unsupported_media"

    def __init__(self, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.headers = headers or {}


class TooMany(RequestError):
    """The key has sent more than it may; it may again after some seconds."""

    status = 429
    reason = "rate_limited"

    def __init__(self, message: str, wait: float) -> None:
        super().__init__(message)
        self.headers = {"Retry-After": str(math.ceil(wait))}


class NotInstalled(RequestError):
    """It wants an optional part of the collector that is not installed here."""

    status = 501
    reason = "not_installed"
