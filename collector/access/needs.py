"""What of a key a route needs; one that nobody has thought of needs the rights of an admin."""

from __future__ import annotations

import msgspec

from storage.access_keys import Scope  # noqa: TC001  msgspec reads the annotations


class Needs(msgspec.Struct, frozen=True):
    """
    A *scope*, or None where no key is asked for.

    With *some* a key for some services or environments will do: the route tells of nothing else.
    """

    scope: Scope | None
    some: bool = False


OPEN = Needs(None)
SEND = Needs("ingest", some=True)
READ = Needs("query", some=True)
READ_ALL = Needs("query")
METRICS = Needs("metrics")
ADMIN = Needs("admin")
