"""
Secrets never leave the process, and neither do objects: values become plain, and masked.

What is a secret is told by a key's name, at any depth. Case, ``_`` and ``-`` don't matter:
``apiKey``, ``api_key`` and ``API-Key`` are one name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .values import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from structlog.typing import EventDict, WrappedLogger

MASK = "***redacted***"
NAMES = (
    "api_key",
    "x_api_key",
    "jwt_token",
    "access_token",
    "refresh_token",
    "authorization",
    "proxy_authorization",
    "password",
    "secret",
    "client_secret",
    "credentials",
    "cookie",
    "set_cookie",
)

FLAT = frozenset({str, int, float, bool, type(None)})
MOST_KNOWN = 10_000  # keys that are known to be harmless
# Not values but instructions to the processors after this one.
_INSTRUCTIONS = frozenset({"exc_info", "stack_info"})


class Redaction:
    """Masks secrets and makes values plain, in place; a structlog processor."""

    def __init__(self, names: Iterable[str] = NAMES) -> None:
        self._secret = frozenset(map(_normal, names))
        self._harmless: set[object] = set()

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Give *event* back; only the values that had to be others were replaced."""
        if not event.keys() <= self._harmless:
            for key in event:
                if self._is_secret(key):
                    event[key] = MASK
        if not FLAT.issuperset(map(type, event.values())):
            for key, value in event.items():
                if type(value) not in FLAT and key not in _INSTRUCTIONS:
                    event[key] = self.value(plain(value))
        return event

    def value(self, plain: Any) -> Any:
        """Mask, in place, what is secret in a plain value that is nobody else's."""
        if type(plain) is list:
            for item in plain:
                self.value(item)
        elif type(plain) is dict:
            for key, item in plain.items():
                if self._is_secret(key):
                    plain[key] = MASK
                else:
                    self.value(item)
        return plain

    def _is_secret(self, key: object) -> bool:
        if key in self._harmless:
            return False
        if _normal(key) in self._secret:
            return True
        if len(self._harmless) >= MOST_KNOWN:
            self._harmless.clear()  # keys that hold data: their like would never end
        self._harmless.add(key)
        return False


def _normal(key: object) -> str:
    return str(key).lower().replace("_", "").replace("-", "")


_redaction = Redaction()


def redact_sensitive(event: dict[str, Any]) -> dict[str, Any]:
    """Mask secrets of *event* in place, at any depth, and give it back."""
    _redaction(None, "", event)
    return event
