"""Exports over HTTP, on a real Postgres."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
import sys
from contextlib import asynccontextmanager

import aiohttp
import pyarrow as pa
import pytest
from backports import zstd
from pyarrow import parquet

from collector import server
from collector.api import Api, export, routes
from collector.api import parquet as parquet_format
from collector.body import InFlight
from storage import database as connections
from storage import export as storage_export
from storage import pages
from storage.entries import Entry
from storage.reader import Reader
from storage.search import EVERYTHING
from tests.builders import NOON, record
from tests.integration.conftest import ON_ONE_ENGINE
from tests.stored import filled, store

LOGS = "/api/v1/logs"
EXPORT = f"{LOGS}/export"
LARGE = {"k": "x" * 10_000}  # of 2,000 such the sockets' buffers don't hold the half
READING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'pixsim-collector reader' AND state <> 'idle'"
)


@asynccontextmanager
async def serving(database, **config):
    api = Api(endpoint="127.0.0.1:0", **config)
    async with connections.reading(database, size=4) as pool:
        offered = routes(api, Reader(pool), now=lambda: NOON)
        listening = server.listening(
            [server.Listener(api, offered)], InFlight(1_000), shutdown_timeout=2
        )
        async with (
            listening as (url,),
            aiohttp.ClientSession(
                url, auto_decompress=False, headers={"Accept-Encoding": "identity"}
            ) as client,
        ):
            yield client


async def until(pool, running):
    """Wait for the number of connections that read to be *running*."""
    async with asyncio.timeout(10):
        while await pool.fetchval(READING) != running:  # noqa: ASYNC110  Postgres has no event
            await asyncio.sleep(0.01)


@pytest.fixture(name="get")
async def _get(database):
    """Export by parameters and headers; give the answer and its body."""

    async def get(status=200, headers=None, **params):
        async with (
            serving(database) as client,
            client.get(EXPORT, params=params, headers=headers) as response,
        ):
            body = await response.read()
            assert status == response.status, body
            return response, body

    return get


def records(number, **fields):
    return (record(msg=str(n), **fields) for n in range(number))


@ON_ONE_ENGINE
async def test_json_lines(pool, get):
    """
    JSON lines are the entries as /query gives them, all of them, oldest first.
    """
    await store(pool, *records(1_500, extra={"a": [1, None]}), record(msg="no", service="b"))
    response, body = await get(service="api")
    lines = [json.loads(line) for line in body.splitlines()]

    assert "application/x-ndjson" == response.headers["Content-Type"]
    assert [str(n) for n in range(1_500)] == [line["msg"] for line in lines]
    assert list(Entry.__struct_fields__) == list(lines[0])
    assert [1, None] == lines[0]["extra"]["a"]


async def test_a_complete_file_says_so(pool, get):
    """
    The last record, and no other, has the number of all; so no reader has a record too many.
    """
    await store(pool, *records(3))
    _, lines = await get()
    _, table = await get(format="csv")
    *others, last = [json.loads(line) for line in lines.splitlines()]
    rows = list(csv.DictReader(io.StringIO(table.decode())))

    assert {"count": 3} == last.pop("_complete")
    assert others[0].keys() == last.keys()
    assert ["", "", "3"] == [row["_complete"] for row in rows]


@ON_ONE_ENGINE
@pytest.mark.parametrize("accepted", ["zstd, gzip", ""])
async def test_nothing_found(get, accepted):
    """
    Of no records there is an empty file, whose length is known, so that it can't be cut either.
    """
    headers = {"Accept-Encoding": accepted}
    empty, lines = await get(headers=headers)
    _, table = await get(headers=headers, format="csv")
    _, columns = await get(headers=headers, format="parquet")

    assert ("0", b"") == (empty.headers["Content-Length"], lines)
    assert [] == list(csv.DictReader(io.StringIO(table.decode())))
    assert 0 == parquet.read_table(pa.BufferReader(columns)).num_rows


@ON_ONE_ENGINE
async def test_csv(pool, get):
    """
    CSV has a column for each field, and tells an empty text from none; values are as stored.
    """
    await store(
        pool,
        record(msg='a "b", c\r\nd', error="", job_id=7, duration_ms=1.5, extra={"k": "v,"}),
        record(msg="=1+1"),
    )
    response, body = await get(format="csv")
    first, second = csv.DictReader(io.StringIO(body.decode(), newline=""))

    assert "text/csv" == response.headers["Content-Type"]
    assert response.headers["Content-Disposition"].endswith('.csv"')
    assert ('a "b", c\r\nd', "7", "1.5") == (first["msg"], first["job_id"], first["duration_ms"])
    assert {"k": "v,"} == json.loads(first["extra"])
    assert "=1+1" == second["msg"]
    assert 'c\r\nd",,' in body.decode()
    assert ',"",' in body.decode()


@ON_ONE_ENGINE
async def test_spreadsheet(pool, get):
    """
    For a spreadsheet text that it would take for a formula has an apostrophe before it.
    """
    texts = ["=1+1", "+1", "-1", "@a", "\tx", "plain", "a=b"]
    await store(pool, *(record(msg=text, duration_ms=-1) for text in texts))
    _, body = await get(format="spreadsheet")
    rows = list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline="")))

    assert body.startswith("\ufeff".encode())
    assert ["'=1+1", "'+1", "'-1", "'@a", "'\tx", "plain", "a=b"] == [row["msg"] for row in rows]
    assert {"-1.0"} == {row["duration_ms"] for row in rows}


@ON_ONE_ENGINE
async def test_parquet(pool, get, monkeypatch):
    """
    Parquet has times as times and numbers as numbers, in groups of rows, and the count.
    """
    monkeypatch.setattr(parquet_format, "ROWS", 100)
    await store(pool, *records(450, job_id=2**40, duration_ms=0.5, extra={"k": "v"}))
    response, body = await get(format="parquet", headers={"Accept-Encoding": "gzip"})
    file = parquet.ParquetFile(pa.BufferReader(body))
    rows = file.read().to_pylist()

    assert "Content-Encoding" not in response.headers
    assert [str(n) for n in range(450)] == [row["msg"] for row in rows]
    assert (NOON, 2**40, 0.5) == tuple(rows[0][k] for k in ("timestamp", "job_id", "duration_ms"))
    assert {"k": "v"} == json.loads(rows[0]["extra"])
    assert 3 <= file.num_row_groups <= 5
    assert b"450" == file.metadata.metadata[b"pixsim.records"]


@ON_ONE_ENGINE
async def test_parquet_is_optional(get, monkeypatch):
    """
    Where pyarrow isn't installed, Parquet is 501, and told how to have it.
    """
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    _, body = await get(501, format="parquet")

    assert "pip install 'pixsim-collector[parquet]'" in json.loads(body)["detail"]


@ON_ONE_ENGINE
@pytest.mark.parametrize(
    ("accepted", "encoding", "read"),
    [
        ("gzip, deflate, br, zstd", "zstd", zstd.decompress),
        ("gzip;q=1.0, zstd;q=0.5", "gzip", gzip.decompress),
        ("*", "zstd", zstd.decompress),
        ("gzip;q=0", None, bytes),
        ("br", None, bytes),
        ("", None, bytes),
        ("identity, gzip;q=0.5", None, bytes),
        ("gzip;q=loud", None, bytes),
    ],
)
async def test_compression(pool, get, accepted, encoding, read):
    """
    The answer is compressed as its reader likes it best.
    """
    await store(pool, *records(300))
    response, body = await get(headers={"Accept-Encoding": accepted})

    assert encoding == response.headers.get("Content-Encoding")
    assert 300 == len(read(body).splitlines())


async def test_no_limit(pool, get, monkeypatch):
    """
    The limit on the bytes of other answers is none of an export.
    """
    monkeypatch.setattr(pages, "MOST_BYTES", 1_000)
    await store(pool, *records(50, error="x" * 100))
    _, body = await get()

    assert 50 == len(body.splitlines())


@ON_ONE_ENGINE
async def test_limit(pool, get):
    """
    With a limit there are only the oldest, and the file is complete all the same.
    """
    await store(pool, *records(5))
    _, body = await get(limit="2")
    lines = [json.loads(line) for line in body.splitlines()]

    assert ["0", "1"] == [line["msg"] for line in lines]
    assert {"count": 2} == lines[-1]["_complete"]


@ON_ONE_ENGINE
@pytest.mark.parametrize("params", [{"format": "xml"}, {"limit": "0"}, {"q": "level:("}])
async def test_unprocessable(get, params):
    """
    A wrong parameter is 422, as with every other question.
    """
    _, body = await get(422, **params)

    assert ["query", *params] == json.loads(body)["detail"][0]["loc"]


@ON_ONE_ENGINE
async def test_headers(pool, get):
    """
    A streamed answer has the headers of every answer: its id, and what a browser's page needs.
    """
    await store(pool, record())
    sent = {"Origin": "http://localhost:5173", "X-Request-ID": "r1", "X-Trace-ID": "t1"}
    response, _ = await get(headers=sent)

    assert "http://localhost:5173" == response.headers["Access-Control-Allow-Origin"]
    assert ("r1", "t1") == (response.headers["X-Request-ID"], response.headers["X-Trace-ID"])
    assert {"Origin", "Accept-Encoding"} == set(response.headers["Vary"].split(", "))


async def test_one_snapshot(pool, database):
    """
    What is stored or deleted while an export runs is no part of it.
    """
    await store(pool, *records(2_000, extra=LARGE))
    async with serving(database) as client, client.get(EXPORT) as response:
        first = await response.content.readline()
        await store(pool, record(msg="meanwhile"))
        await pool.execute(f"DELETE FROM {await filled(pool)} WHERE msg = '1999'")
        rest = await response.content.read()
    lines = [json.loads(line) for line in (first, *rest.splitlines())]

    assert [str(n) for n in range(2_000)] == [line["msg"] for line in lines]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
async def test_an_export_ends_with_its_reader(pool, database, form, monkeypatch):
    """
    When its reader hangs up in the middle, the export is gone from Postgres, and makes room.
    """
    monkeypatch.setattr(parquet_format, "ROWS", 100)
    await store(pool, *records(2_000, extra=LARGE))
    async with serving(database, exports=1) as client:
        async with client.get(EXPORT, params={"format": form}) as response:
            await response.content.read(1)
            await until(pool, 1)
            response.close()
        await until(pool, 0)
        async with client.get(EXPORT, params={"limit": "1"}) as again:
            assert 1 == len((await again.read()).splitlines())


async def test_a_search_ends_with_its_reader(pool, database):
    """
    When its reader hangs up before anything was found, the query is cancelled in Postgres.
    """
    async with serving(database) as client, pool.acquire() as locking, locking.transaction():
        await locking.execute("LOCK TABLE log_entries")
        asking = asyncio.create_task(client.get(EXPORT))
        await until(pool, 1)
        asking.cancel()
        await until(pool, 0)


async def test_a_reader_that_takes_nothing_is_waited_for_and_then_cut_off(
    pool, database, monkeypatch
):
    """
    No more is read from the database than is taken; who takes nothing for long is cut off.
    """
    monkeypatch.setattr(export, "STALLED", 0.5)
    taken = []
    monkeypatch.setattr(
        storage_export, "size", lambda each: taken.append(each) or len(each.msg or "")
    )
    await store(pool, *records(2_000, extra=LARGE))
    async with serving(database) as client, client.get(EXPORT) as response:
        await until(pool, 1)
        await until(pool, 0)
        with pytest.raises(aiohttp.ClientError):
            await response.read()

    assert len(taken) < 1_500


@ON_ONE_ENGINE
async def test_few_at_a_time(pool, database):
    """
    Beyond the number of exports that may run another is 503, to be tried again.
    """
    await store(pool, *records(2_000, extra=LARGE))
    async with serving(database, exports=1) as client, client.get(EXPORT) as running:
        async with client.get(EXPORT) as second:
            refused = second.status, (await second.json())["detail"]
        async with client.get(f"{LOGS}/query", params={"limit": "1"}) as question:
            answered = question.status
        running.close()

    assert (503, "1 exports are running, the most is 1") == refused
    assert answered == 200


@ON_ONE_ENGINE
async def test_one_after_another(pool, database, monkeypatch):
    """
    Who has a whole file finds a place for the next one, however long the database is let go.
    """

    @asynccontextmanager
    async def slow(*arguments, **options):
        async with storage_export.exporting(*arguments, **options) as blocks:
            yield blocks
        await asyncio.sleep(0.1)

    monkeypatch.setattr(export, "exporting", slow)
    await store(pool, *records(3))
    async with (
        serving(database, exports=1) as client,
        aiohttp.ClientSession(client._base_url) as another,
    ):
        found = []
        for each in (client, another, client):
            async with each.get(EXPORT) as response:
                await response.read()
                found.append(response.status)

    assert [200, 200, 200] == found


async def test_a_failure_on_the_way_is_seen(pool, database):
    """
    When the database goes away on the way, the transfer has no end: nobody takes it for whole.
    """
    await store(pool, *records(2_000, extra=LARGE))
    async with serving(database) as client, client.get(EXPORT) as response:
        await response.content.readline()
        await pool.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND application_name = 'pixsim-collector reader'"
        )
        with pytest.raises(aiohttp.ClientError):
            await response.content.read()


async def test_blocks_are_small(pool, monkeypatch):
    """
    Large records come in small blocks, so that memory stays flat.
    """
    monkeypatch.setattr(storage_export, "MOST_BYTES", 50_000)
    await store(pool, *records(300), *records(200, error="x" * 20_000))
    async with storage_export.exporting(Reader(pool), EVERYTHING, now=NOON) as blocks:
        sizes = [len(block) async for block in blocks]

    assert 500 == sum(sizes)
    assert 100 == max(sizes)
    assert 2 == max(sizes[-10:])
