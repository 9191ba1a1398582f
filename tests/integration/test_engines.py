"""The engines that all tests here run on, where they are installed."""

from __future__ import annotations

import pytest

from storage.layout import engine
from tests.integration.conftest import INSTALLED


async def test_tests_run_on_the_engine_they_are_named_for(pool, request):
    """
    What a test says it runs on keeps the rows.
    """
    name = request.node.callspec.params["server"]
    async with pool.acquire() as connection:
        found = await engine(connection)

    assert found == {"embedded": "postgres", "debian": "postgres"}.get(name, name)


@pytest.mark.parametrize("name", INSTALLED)
def test_engines_that_are_missing_are_told(name, request):
    """
    Tests run on each engine that is installed, and one that isn't is named with the reason.
    """
    binaries, reason = INSTALLED[name]
    if binaries is None:
        pytest.skip(reason=reason)
    with_servers = [each for each in request.session.items if hasattr(each, "callspec")]
    assert name in {each.callspec.params.get("server") for each in with_servers}
