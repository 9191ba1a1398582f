"""What each route asks of a key."""

from __future__ import annotations

import pytest

from collector.access.needs import ADMIN
from collector.api import operations
from collector.api.operations import OPERATIONS
from collector.api.responses import FORWARDERS, PREFIX

OPEN = {"/", "/docs", "/openapi.json", "/health", "/ready", "/api/v1/session"}
SEND = {f"{PREFIX}/ingest", f"{PREFIX}/ingest/batch", "/v1/logs"}
# What may be told to who has a key for some services: each is tried in test_restriction.py.
READ = {
    f"{PREFIX}/{path}"
    for path in (
        "query",
        "trace/job/{job_id}",
        "trace/request/{request_id}",
        "trace/trace/{trace_id}",
        "fields",
        "distinct",
        "distinct/{column}",
        "completion",
        "histogram",
        "facets",
        "stats",
        "context/{id}",
        "export",
        "tail",
        "console-fields",
    )
}
READ_ALL = {
    f"{PREFIX}/text-index",
    "/api/v1/views",
    "/api/v1/views/{name}",
    "/api/v1/alerts",
    "/api/v1/alerts/history",
    "/api/v1/alerts/silences",
}


def expected(operation):
    """What a route needs: whoever adds one has to say it here, or it is for admins."""
    if (operation.method, operation.path) == ("post", "/api/v1/alerts/silences"):
        return "admin", False  # what holds may be read by others
    for scope, some, paths in (
        (None, False, OPEN),
        ("ingest", True, SEND),
        ("query", True, READ),
        ("query", False, READ_ALL),
        ("metrics", False, {"/metrics"}),
    ):
        if operation.path in paths:
            return scope, some
    return "admin", False


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: f"{o.method} {o.path}")
def test_each_route_needs_a_scope(operation):
    """
    A route is open, or needs a scope; those that nobody has thought of are for admins.
    """
    needs = operations.needs(operation.method.upper(), operation.path)

    assert expected(operation) == (needs.scope, needs.some)


def test_what_changes_things_is_for_admins():
    """
    Who may read can save views, and change nothing else.
    """
    changing = {o.path for o in OPERATIONS if o.method != "get" and o.needs is not ADMIN}

    assert SEND | {"/api/v1/views/{name}", "/api/v1/session"} >= changing
    assert all(o.needs is ADMIN for o in OPERATIONS if o.path.startswith(FORWARDERS))
    assert ADMIN is operations.needs("GET", "/of/another/package")
