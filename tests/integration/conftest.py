"""Everything about storage holds for all servers and engines that people run."""

from __future__ import annotations

import pytest

from tests import postgres

# Of each engine, the folder of its programs if it is here, and why it isn't.
INSTALLED = {
    "debian": (postgres.debian_binaries(), "no Postgres of the distribution on this machine"),
    "timescaledb": (
        postgres.timescale_binaries(),
        "PIXSIM_TEST_TIMESCALEDB names no Postgres that has TimescaleDB",
    ),
    "citus": (postgres.citus_binaries(), "PIXSIM_TEST_CITUS names no Postgres that has Citus"),
}
# One test says what is not here; all of them for each of those would only say it again.
ENGINES = ["embedded", *(name for name, (binaries, _) in INSTALLED.items() if binaries)]

# For a test of what HTTP makes of an answer, where the SQL behind it has tests of its own.
ON_ONE_ENGINE = pytest.mark.parametrize("server", ["embedded"], indirect=True, scope="session")


@pytest.fixture(name="server", scope="session", params=ENGINES)
def _server(request):
    """The DSN of a Postgres server with a migrated template."""
    engine = request.param
    if engine == "embedded":
        yield request.getfixturevalue("server")  # that of all other tests
        return
    binaries, _ = INSTALLED[engine]
    if engine == "citus":
        running = postgres.citus_cluster(binaries)
    else:
        settings = postgres.TIMESCALE if engine == "timescaledb" else ()
        running = postgres.installed_server(binaries, *settings)
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
