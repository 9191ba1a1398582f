"""The engines that all tests here run on, where they are installed."""

from __future__ import annotations

import pytest

from tests.integration.conftest import ENGINES, INSTALLED


@pytest.mark.parametrize("engine", INSTALLED)
def test_an_engine_is_tested_where_it_is_installed(engine):
    """
    Every test of storage runs on each engine that is installed, and those that are not are named.
    """
    binaries, reason = INSTALLED[engine]
    if binaries is None:
        pytest.skip(reason=reason)
    assert engine in ENGINES
