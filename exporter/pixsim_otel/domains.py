"""
Least levels that may change while a service runs: of all events, and of a business domain's.

PIXSIM_LOG_DOMAINS (``generation:WARNING,cron:OFF``) gives the domains' levels at the start.
PIXSIM_LOG_LEVEL is no part of this: what it keeps from being logged never gets here.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import structlog

from . import levels, settings
from .spec import DOMAINS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from structlog.typing import EventDict, WrappedLogger

KNOWN_DOMAINS = frozenset(DOMAINS)
MOST_SEEN = 1_000  # domains


class _Thresholds:
    """What is in force."""

    least = logging.DEBUG
    domains: Mapping[str, int] = settings.domains()
    exported = logging.NOTSET


_now = _Thresholds()
_seen: set[str] = set()


def filter_levels(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Drop an event below the least level of all, or of its domain; a structlog processor."""
    domain = event.get("domain")
    if type(domain) is str and domain not in _seen and len(_seen) < MOST_SEEN:
        _seen.add(domain)
    if _now.least > logging.DEBUG or (_now.domains and domain is not None):
        number = levels.named(event.get("level", "info")).number
        if number < _now.least or number < _now.domains.get(str(domain).lower(), 0):
            raise structlog.DropEvent
    return event


def is_exported(number: int) -> bool:
    """Tell whether events of a level, Python's number, leave the process."""
    return number >= _now.exported


def update_global_level(level: str) -> None:
    """Set the least level of all events, `logging`'s included; what is no level is ignored."""
    if (number := levels.threshold(level)) is not None:
        _now.least = number
        logging.getLogger().setLevel(number)


def get_global_level_display() -> str:
    """Give the name of the least level of all events."""
    return logging.getLevelName(max(_now.least, logging.DEBUG))


def set_db_min_level(level: str) -> None:
    """
    Set the least level of events that are exported; what is no level is ignored.

    The console shows the others too. The name is of the days when a database was the only
    place to export to.
    """
    if (number := levels.threshold(level)) is not None:
        _now.exported = number


def update_domain_config(levels: Mapping[str, str]) -> None:
    """Replace all domains' levels; `OFF` silences a domain."""
    _now.domains = settings.domain_levels(levels or {})


def get_domain_config_display() -> dict[str, str]:
    """Give the names of the domains' levels."""
    return {
        domain: "OFF" if number == settings.OFF else logging.getLevelName(number)
        for domain, number in _now.domains.items()
    }


def is_domain_enabled(domain: str, at_level: str = "DEBUG") -> bool:
    """Tell whether events of *domain* and *at_level* are logged; of what is no level, DEBUG's."""
    number = levels.threshold(at_level)
    return (logging.DEBUG if number is None else number) >= _now.domains.get(domain.lower(), 0)


def get_active_domains() -> list[str]:
    """Give the domains that events had so far."""
    return sorted(_seen)
