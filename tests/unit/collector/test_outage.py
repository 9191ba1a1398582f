"""What has to wait while the database is away, and which spool is whose."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from collector import outage
from collector.exporters.postgres import Postgres, Spool
from collector.forwarding.pace import Courtesy
from storage import repeats, spool
from storage.errors import Unavailable
from storage.spool_file import SpoolConfig, SpoolFile
from tests.builders import batch, record


async def test_nothing_is_forgotten_that_may_be_asked_for(monkeypatch):
    """
    Keys of what came before an outage are known until what came again in it is stored: here while
    the spool has something, elsewhere for as long as keys are known.
    """
    now, waiting, away, forgotten = 0.0, True, False, []

    async def forget(_pool, window):
        if away:
            raise Unavailable("away")
        forgotten.append(window)
        return []

    monkeypatch.setattr(repeats, "forget", forget)
    forgetting = outage.Forgetting(None, 600.0, lambda: waiting, lambda: now)
    await forgetting.forget()
    assert [] == forgotten
    waiting = False
    await forgetting.forget()
    assert [600.0] == forgotten
    away = True
    with pytest.raises(Unavailable):
        await forgetting.forget()
    away, now = False, 599.0
    await forgetting.forget()
    assert [600.0] == forgotten
    now = 600.0
    await forgetting.forget()
    assert [600.0, 600.0] == forgotten


async def test_what_needs_the_database_begins_when_it_is_there(monkeypatch):
    """
    Where something spools meanwhile, what needs the database begins later, and ends with all
    else; where nothing does, it is an error.
    """
    monkeypatch.setattr(outage, "AGAIN", 0.001)
    away, entered, left = True, asyncio.Event(), []

    @asynccontextmanager
    async def house():
        if away:
            raise Unavailable("away")
        entered.set()
        yield
        left.append(True)

    with pytest.raises(Unavailable):
        async with outage.when_there(house, spools=False):
            pass
    async with outage.when_there(house, spools=True):
        await asyncio.sleep(0.01)
        assert not entered.is_set()
        away = False
        async with asyncio.timeout(10):
            await entered.wait()
        assert [] == left


async def test_what_another_database_left_is_told(tmp_path):
    """
    Where requests wait in a spool of the same folder that is another database's, the log says so.
    """
    for name, number in (("full", 3), ("empty", 0)):
        config = SpoolConfig(file=tmp_path / f"{name}.sqlite3", min_free_bytes=0)
        async with spool.spooling(config) as spooled:
            await spooled.call(SpoolFile.check)
            for _ in range(number):
                await spooled.put(batch(record()))
    postgres = Postgres(dsn="postgresql:///none?host=/nowhere", spool=Spool(folder=str(tmp_path)))
    with capture_logs() as lines:
        async with outage.draining(postgres, postgres.dsn, Courtesy()) as waiting:
            async with asyncio.timeout(10):
                while waiting():  # noqa: ASYNC110  it has no event
                    await asyncio.sleep(0.01)

    assert [("full.sqlite3", 3)] == [
        (Path(line["file"]).name, line["requests"])
        for line in lines
        if line["event"] == "spool_of_another_database"
    ]


def test_a_spool_is_for_one_database():
    """
    The spool has the name of its database: of the same whatever the password and the options, of
    another where the host, the port, the name or the folder is; a pooler makes no difference.
    """
    same = ["postgresql://a:b@h/logs", "postgresql://c:d@h/logs?sslmode=require"]
    behind = Postgres(dsn="postgresql://pooler/logs", direct_dsn=same[0])
    others = [
        "postgresql://a:b@h:1/logs",
        "postgresql://a:b@h,i/logs",
        "postgresql://a:b@h/other",
        "postgresql://a@/logs?host=/run",
        "postgresql://a@/?host=/run&dbname=more",
        "embedded",
    ]
    files = {dsn: Postgres(dsn=dsn).spool_file for dsn in (*same, *others)}

    assert files[same[0]] == files[same[1]] == behind.spool_file
    assert 1 + len(others) == len(set(files.values()))
    assert files["embedded"] != Postgres(dsn="embedded", data_folder="x").spool_file
    assert "logs-" in files[same[0]].name
    assert all(str(file.parent) == "data/spool" for file in files.values())
