"""Which events are too many to keep: requests of probes, polls of a provider's status."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from structlog.typing import EventDict, WrappedLogger

HTTP_REQUEST = "http_request"
PROVIDER_STATUS = "provider:status"


class Filter:
    """
    Drops an event, for the console too; a structlog processor.

    Of ``http_request`` events those whose path is excluded go, and all but one in N of
    those whose path is sampled; of events of the stage ``provider:status`` all but one in N.
    """

    def __init__(
        self,
        exclude_paths: AbstractSet[str] = frozenset({"/health"}),
        sample_paths: Mapping[str, int] | None = None,
        sample_provider_status: int = 1,
    ) -> None:
        self._excluded = exclude_paths
        self._sampled = sample_paths or {}
        self._statuses = sample_provider_status

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Give *event* back, or raise `structlog.DropEvent`."""
        if event.get("event") == HTTP_REQUEST:
            path = event.get("path")
            if type(path) is str and (path in self._excluded or _miss(self._sampled.get(path, 1))):
                raise structlog.DropEvent
        if event.get("stage") == PROVIDER_STATUS and _miss(self._statuses):
            raise structlog.DropEvent
        return event


def _miss(rate: int) -> bool:
    """Tell, at random, whether this is none of the one in *rate* that is kept."""
    return rate > 1 and random.randrange(rate) != 0  # noqa: S311  no secret
