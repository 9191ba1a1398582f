"""The saved views, over HTTP and on a real Postgres."""

from __future__ import annotations

import pytest

from storage import saved_views
from tests.integration.conftest import ON_ONE_ENGINE
from tests.integration.test_api_query import serving

VIEWS = "/api/v1/views"


async def test_a_view_is_saved_replaced_and_deleted(pool):
    """
    A view has a name, which another one takes, and is there until it is deleted.
    """
    async with serving(pool) as client:
        for name, query in (("b", "q=1"), ("a/é", "q=2"), ("b", "q=service%3Aapi&last=1h")):
            path = f"{VIEWS}/{name.replace('/', '%2F')}"
            async with client.put(path, json={"query": query}) as response:
                assert (200, query) == (response.status, (await response.json())["query"])
        async with client.get(VIEWS) as response:
            views = (await response.json())["views"]
        async with client.delete(f"{VIEWS}/b") as response:
            assert "b" == (await response.json())["name"]
        async with client.delete(f"{VIEWS}/b") as response:
            assert 404 == response.status
        async with client.get(VIEWS) as response:
            left = (await response.json())["views"]

    assert [("b", "q=service%3Aapi&last=1h")] == [(v["name"], v["query"]) for v in views[1:]]
    assert views[1]["created_at"] < views[1]["changed_at"]
    assert 1 == len(left)


@ON_ONE_ENGINE
@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        pytest.param("a", "{", 400, id="no JSON"),
        pytest.param("a", "{}", 422, id="no query"),
        pytest.param("a", '{"query": 5}', 422, id="query is no text"),
        pytest.param("a", '{"query": "a b"}', 422, id="query is no address"),
        pytest.param("a" * 201, '{"query": ""}', 422, id="long name"),
        pytest.param("%0A", '{"query": ""}', 422, id="name has a line's end"),
        pytest.param("a", '{"query": "' + "x" * 70_000 + '"}', 413, id="large"),
    ],
)
async def test_what_is_no_view(pool, name, body, status):
    """
    What cannot be a view is refused, with a reason.
    """
    async with (
        serving(pool) as client,
        client.put(f"{VIEWS}/{name}", data=body, headers={"Content-Type": "application/json"}) as r,
    ):
        assert status == r.status
        assert (await r.json())["detail"]


async def test_there_are_only_so_many(pool):
    """
    Beyond the most that there may be none is added, but those that are there can be replaced.
    """
    await pool.execute(
        "INSERT INTO saved_views (name, query) SELECT n::text, '' FROM generate_series(1, $1) n",
        saved_views.MOST,
    )
    async with serving(pool) as client:
        async with client.put(f"{VIEWS}/more", json={"query": ""}) as response:
            assert 400 == response.status
            assert "1000 saved views" in (await response.json())["detail"]
        async with client.put(f"{VIEWS}/7", json={"query": "q=a"}) as response:
            assert 200 == response.status
