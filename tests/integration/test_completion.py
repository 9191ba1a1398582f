"""What recent records suggest, from a real Postgres."""

from __future__ import annotations

import datetime as dt

import pytest

from storage import suggestions
from storage.reader import Reader
from storage.records import Resource
from tests.builders import NOON, record
from tests.stored import store

SECOND = dt.timedelta(seconds=1)


@pytest.fixture(name="reader")
def _reader(pool):
    return Reader(pool)


async def test_keys(pool, reader):
    """
    Keys are those of the newest records' extra, and of their resources.
    """
    resources = {1: Resource(id=1, attributes='{"host.name": "atlas"}')}
    await store(pool, record(extra={"queue": 1}, resource_id=1), record(), resources=resources)
    await pool.execute("INSERT INTO log_entries (level, extra) VALUES ('info', '[1]')")

    assert ["extra.queue", "resource.host.name"] == await suggestions.keys(reader)


async def test_values(pool, reader):
    """
    Values come with their number in the newest records, most first, by their beginning.
    """
    await store(
        pool,
        *(record(service="worker", job_id=12) for _ in range(2)),
        record(service="Web", job_id=123, extra={"queue": "gpu"}),
        record(service="api", timestamp=NOON + SECOND),
    )
    asked = ("service", "w"), ("job_id", "12"), ("extra.queue", ""), ("queue", "x"), ("msg", "")
    found = {
        field: await suggestions.values(reader, field, beginning=beginning, limit=9)
        for field, beginning in asked
    }

    assert found == {
        "service": [("worker", 2), ("Web", 1)],
        "job_id": [("12", 2), ("123", 1)],
        "extra.queue": [("gpu", 1)],
        "queue": [],
        "msg": [],
    }
    assert 1 == len(await suggestions.values(reader, "service", beginning="", limit=1))
