"""What a record costs stays what it was, unless somebody changes it on purpose."""

from __future__ import annotations

import pytest

from tests import costs

COSTS = costs.costs()


@pytest.mark.parametrize("name", COSTS)
def test_a_record_costs_what_it_did(name):
    """
    No way of a record, and no request, takes a twentieth more or fewer bytecodes, or calls of C
    functions, than is written in costs.json.
    """
    known = costs.known().get(costs.PYTHON)
    if known is None:
        pytest.skip(reason=f"costs.json has no counts of Python {costs.PYTHON}")

    assert pytest.approx(known[name], rel=0.05, abs=0.5) == COSTS[name]()
