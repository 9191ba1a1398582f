"""Everything about storage holds for all servers and engines that people run."""

from __future__ import annotations

import pytest

from tests import postgres


@pytest.fixture(
    name="server", scope="session", params=["embedded", "debian", "timescaledb", "citus"]
)
def _server(request):
    """The DSN of a Postgres server with a migrated template."""
    engine = request.param
    if engine == "embedded":
        running = postgres.server()
    elif engine == "debian":
        if (binaries := postgres.debian_binaries()) is None:
            pytest.skip(reason="no Postgres of the distribution on this machine")
        running = postgres.installed_server(binaries)
    elif engine == "citus":
        if (binaries := postgres.citus_binaries()) is None:
            pytest.skip(reason="PIXSIM_TEST_CITUS names no Postgres that has Citus")
        running = postgres.citus_cluster(binaries)
    else:
        if (binaries := postgres.timescale_binaries()) is None:
            pytest.skip(reason="PIXSIM_TEST_TIMESCALEDB names no Postgres that has TimescaleDB")
        running = postgres.installed_server(binaries, *postgres.TIMESCALE)
    with running as dsn, postgres.template(dsn, engine):
        yield dsn


@pytest.fixture(name="hypertable")
def _hypertable(request):
    """Whether the test's database has a hypertable."""
    return request.node.callspec.params["server"] == "timescaledb"


@pytest.fixture(name="distributed")
def _distributed(request):
    """Whether the test's database is a Citus cluster's."""
    return request.node.callspec.params["server"] == "citus"
