"""Which events are too many to keep."""

from __future__ import annotations

import random

import pytest
import structlog
from pixsim_otel.filters import Filter


def passes(chosen, **event):
    try:
        return chosen(None, "info", event) is event
    except structlog.DropEvent:
        return False


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        pytest.param({"event": "http_request", "path": "/health"}, False, id="excluded"),
        pytest.param({"event": "http_request", "path": "/health/x"}, True, id="other path"),
        pytest.param({"event": "http_request", "path": "/health?full"}, True, id="with a query"),
        pytest.param({"event": "health_checked", "path": "/health"}, True, id="other event"),
        pytest.param({"event": "http_request"}, True, id="no path"),
        pytest.param({"event": "http_request", "path": ["/health"]}, True, id="path is no text"),
        pytest.param({}, True, id="empty"),
    ],
)
def test_excluded_paths(event, expected):
    """Of requests those of an excluded path are dropped, and no other event is."""
    assert expected == passes(Filter(), **event)


def test_dropped_is_not_emptied():
    """What is dropped reaches nobody: it is no event without fields."""
    with pytest.raises(structlog.DropEvent):
        Filter()(None, "info", {"event": "http_request", "path": "/health"})


@pytest.mark.parametrize(
    ("chosen", "event"),
    [
        (Filter(sample_paths={"/status": 4}), {"event": "http_request", "path": "/status"}),
        (Filter(sample_provider_status=4), {"event": "x", "stage": "provider:status"}),
    ],
)
def test_sampling(chosen, event):
    """One in N is kept, of sampled paths and of a provider's status."""
    random.seed(1)
    kept = sum(passes(chosen, **event) for _ in range(4_000))

    assert 900 < kept < 1_100


def test_nothing_else_is_sampled():
    """Rates are for their path and stage only."""
    chosen = Filter(sample_paths={"/status": 10**9}, sample_provider_status=10**9)

    assert passes(chosen, event="http_request", path="/other", stage="provider:submit")


def test_exclusion_goes_first():
    """A path that is both excluded and sampled is excluded."""
    chosen = Filter(exclude_paths={"/x"}, sample_paths={"/x": 1})

    assert not any(passes(chosen, event="http_request", path="/x") for _ in range(20))
