"""Everything about storage holds for both servers that people run."""

from __future__ import annotations

import pytest

from tests import postgres


@pytest.fixture(name="server", scope="session", params=["embedded", "debian"])
def _server(request):
    """The DSN of a Postgres server with a migrated template."""
    if request.param == "embedded":
        running = postgres.server()
    elif (binaries := postgres.debian_binaries()) is not None:
        running = postgres.debian_server(binaries)
    else:
        pytest.skip(reason="no Postgres of the distribution on this machine")
    with running as dsn, postgres.template(dsn):
        yield dsn
