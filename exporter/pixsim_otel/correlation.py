"""
What a span or its baggage says of a request or a job, said by its log records too.

Only a record that doesn't say itself gets it, and only under the chosen names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import baggage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.context import Context
    from opentelemetry.trace import Span


class Correlation:
    """Copies chosen attributes of a span, then entries of its baggage."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def add(self, attributes: dict[str, object], span: Span, context: Context) -> None:
        """Add to *attributes* what *span*, the current one of *context*, and its baggage know."""
        known = getattr(span, "attributes", None)  # a remote caller's has none
        for source in (known, baggage.get_all(context)):
            if source:
                # One pass over what there is: a look-up takes the span's lock.
                for name in self._names.intersection(source):
                    attributes.setdefault(name, source[name])
