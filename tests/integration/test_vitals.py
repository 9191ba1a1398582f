"""How the database is, and the gauges that tell it."""

from __future__ import annotations

import datetime as dt

import pytest
from prometheus_client import REGISTRY

from collector import gauges
from storage import partitions, roll_ups, vitals
from storage.errors import Unavailable
from tests.builders import record
from tests.stored import store

DAY = dt.timedelta(days=1)


async def test_vitals(pool, hypertable, distributed):
    """
    Sizes, partitions, what lies in no day's partition, what isn't counted yet, and the age of the
    newest commit are told as they are.
    """
    now = dt.datetime.now(dt.UTC)
    before = await vitals.vitals(pool, now)
    await store(pool, *(record(timestamp=now + days * DAY) for days in (0, -1, 9)))
    stored = await vitals.vitals(pool, now)
    await partitions.maintain(pool, now.date(), ahead=3)
    await roll_ups.count(pool)
    after = await vitals.vitals(pool, now)

    assert (0, None) == (before.uncounted, before.newest)
    assert (0 if distributed else 3) == stored.uncounted
    assert stored.stray == (None if hypertable else 2)
    assert abs(stored.newest - now) < DAY
    assert (3, 0) == (after.days_ahead, after.uncounted)
    assert not after.stray
    assert after.partitions > before.partitions
    assert 0 < after.records_bytes < after.database_bytes
    assert 0 < after.connections < after.most_connections


def gauge(name, **labels):
    return REGISTRY.get_sample_value(name, labels)


async def test_gauges(pool, tmp_path, monkeypatch):
    """
    The gauges have what there is of the process, its connections, the database and the disk; a
    database that is away is told.
    """
    chore = gauges.database(pool, [tmp_path, tmp_path / "none"])
    async with pool.acquire(), gauges.gauging({"tests": pool}):
        await chore.do()
        used = {"db_client_connection_pool_name": "tests", "db_client_connection_state": "used"}
        assert 1 == gauge("pixsim_database_up")
        assert gauge("pixsim_database_bytes") > 0
        assert gauge("pixsim_disk_free_bytes", folder=str(tmp_path)) > 0
        assert gauge("db_client_connection_count", **used) >= 1
        assert gauge("process_memory_usage_bytes") > 1_000_000
        assert gauge("process_cpu_time_seconds") > 0

    async def fail(*_):
        raise Unavailable("away")

    monkeypatch.setattr(vitals, "vitals", fail)
    with pytest.raises(Unavailable):
        await chore.do()
    assert 0 == gauge("pixsim_database_up")
