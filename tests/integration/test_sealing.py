"""The index for searches of text, against a real Postgres."""

from __future__ import annotations

import asyncio
import datetime as dt
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psycopg
import pytest
from structlog.testing import capture_logs

from storage import database, encoding, filters, migrate, pages, partitions, sealing
from storage import search as s
from storage.reader import Reader
from tests import postgres
from tests.builders import NOON, record
from tests.stored import store

HOUR = dt.timedelta(hours=1)
LATER = NOON + dt.timedelta(days=2)
DAY = "log_entries_20251113"
WAITING = "SELECT true FROM pg_stat_progress_create_index WHERE phase ~ 'waiting for old snap'"


@pytest.fixture(name="sealer")
async def _sealer(pool):
    """Seals partitions of any size, once those of November 10 to 15 are there."""
    await partitions.maintain(pool, dt.date(2025, 11, 11), ahead=4)
    return sealing.Sealer(pool, small=0)


def noise(number, **fields):
    return (record(msg=f"heartbeat {n}", **fields) for n in range(number))


async def indexes(pool, leaf=DAY):
    found = await pool.fetch(sealing.INDEXES, leaf, f"^{leaf}_text")
    return sorted(row[0] for row in found)


async def explained(pool, search, now=LATER):
    where = filters.where(search, now)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
        rows = await connection.fetch(
            f"EXPLAIN SELECT * FROM log_entries WHERE {where} ORDER BY timestamp DESC LIMIT 100",
            *where.arguments,
        )
    return "\n".join(row[0] for row in rows)


async def found(pool, search, now=LATER):
    page = await pages.first(Reader(pool), search, now=now, limit=100)
    return sorted(entry.msg for entry in page.entries)


SEARCHES = {
    "text": s.Text("needle"),
    "and": s.All((s.Text("needle"), s.Equals("service", ("api",)))),
    "or with an index": s.AnyOf((s.Text("needle"), s.Equals("job_id", (7,)))),
    "a column's": s.Contains("msg", "needle"),
    "a key's": s.Contains("extra.tool", "needle"),
    "quoted in extra": s.Text('the "needle"'),
}


async def test_sealed_days_are_not_scanned(pool, sealer):
    """
    A search for text goes by the index through each day that is over, asked of the whole table.
    """
    await store(pool, *noise(3_000), *noise(3_000, timestamp=NOON - dt.timedelta(days=1)))
    await sealer.seal(LATER)
    plans = {name: await explained(pool, search) for name, search in SEARCHES.items()}

    for name, plan in plans.items():
        for leaf in (DAY, "log_entries_20251112"):
            assert f"Bitmap Index Scan on {leaf}_text" in plan, name
            assert f"Seq Scan on {leaf}" not in plan, name


NEEDLES = {
    "NEEDLE": ["column", "extra"],  # in any case
    "two needles": ["column"],
    "50%_of\\": ["pattern"],  # nothing in it is a pattern
    'say "hi"\n': ["escaped in extra", 'in msg say "hi"\n'],
    "größe": ["german"],
    "GRÖSSE ÄÖÜ": ["german"],
    "接続エ": ["japanese"],
    "lee": ["nested"],
    "42.5": ["number"],
    "secret_key": [],  # a key is no value
    "ee": ["column", "extra", "nested"],  # shorter than a trigram
    "bneedle": [],  # no text goes across two columns
}


@pytest.mark.parametrize("sealed", [False, True], ids=["open", "sealed"])
async def test_what_is_found(pool, sealer, sealed):
    """
    The index changes how a text is found, never what is.
    """
    await store(
        pool,
        record(msg="column", error="Two Needles!", stage="b", provider_id="needle"),
        record(msg="extra", extra={"secret_key": "Needle"}),
        record(msg="pattern", error="at 50%_of\\it"),
        record(msg="escaped in extra", extra={"a": 'say "hi"\n'}),
        record(msg='in msg say "hi"\n'),
        record(msg="german", error="Größe", extra={"a": "Grösse äöü"}),
        record(msg="japanese", error="接続エラー"),
        record(msg="nested", extra={"a": [{"b": "Sleep"}, 1]}),
        record(msg="number", extra={"a": 42.5}),
    )
    if sealed:
        await sealer.seal(LATER)

    assert {n: sorted(e) for n, e in NEEDLES.items()} == {
        needle: await found(pool, s.Text(needle)) for needle in NEEDLES
    }
    assert sealed == (f"{DAY}_text" in await indexes(pool))


async def test_late_rows_are_found(pool, sealer):
    """
    What comes for a day that has its index is found like the rest.
    """
    await store(pool, *noise(3_000))
    await sealer.seal(LATER)
    await store(pool, record(msg="late needle"))

    assert ["late needle"] == await found(pool, s.Text("needle"))
    assert f"Bitmap Index Scan on {DAY}_text" in await explained(pool, s.Text("needle"))


async def test_parts_of_the_day(pool, sealer):
    """
    Of a day that is not over the parts that are have an index each, and the rest is scanned.
    """
    midnight = NOON.replace(hour=0)
    await store(
        pool,
        *(r for n in range(12) for r in noise(500, timestamp=midnight + n * HOUR)),
        record(msg="needle of the night", timestamp=midnight + 4 * HOUR),
        record(msg="needle of noon", timestamp=NOON),
    )
    now = NOON + 2 * HOUR
    await sealer.seal(now)
    plan = await explained(pool, s.Text("needle"), now)

    assert [f"{DAY}_text_{hour}" for hour in ("00", "03", "06", "09")] == await indexes(pool)
    assert f"Bitmap Index Scan on {DAY}_text_03" in plan
    assert f"Seq Scan on {DAY}" not in plan
    assert ["needle of noon", "needle of the night"] == await found(pool, s.Text("needle"), now)


async def test_a_whole_day_takes_its_parts_place(pool, sealer):
    """
    When a day is over and has its index, those of its parts and its statistics go.
    """
    await store(pool, *noise(10))
    await sealer.seal(NOON + 2 * HOUR)
    statistics = await pool.fetchval(sealing.STATISTICS, f"{DAY}_text", DAY)
    done = await sealer.seal(LATER)
    cut_short = f"CREATE INDEX {DAY}_text_03 ON {DAY} (id)"  # where the dropping didn't come to it
    await pool.execute(cut_short)
    mended = await sealer.seal(LATER)

    assert statistics == 1
    assert any(line.startswith(f"made index {DAY}_text in ") for line in done)
    assert [f"dropped index {DAY}_text_03"] == mended
    assert [f"{DAY}_text"] == await indexes(pool)
    assert await pool.fetchval(sealing.STATISTICS, f"{DAY}_text", DAY) is None
    assert [] == await sealer.seal(LATER)


async def test_a_day_waits_while_it_is_filled(pool, sealer, monkeypatch):
    """
    While many records of an old day come in, its index is not built: it would slow them.
    """
    monkeypatch.setattr(sealing, "BULK", 5)
    await store(pool, *noise(10))
    received = await pool.fetchval("SELECT max(received_at) FROM ledger")
    meanwhile = await sealer.seal(received), await indexes(pool)
    await sealer.seal(received + 2 * sealing.SETTLED)

    assert [] == meanwhile[1]
    assert [f"{DAY}_text"] == await indexes(pool)


async def test_small_days_have_none(pool, sealer):
    """
    A day of few records is looked through as quickly as an index is.
    """
    await store(pool, *noise(10))
    await sealing.Sealer(pool).seal(LATER)

    assert [] == await indexes(pool)


async def test_a_day_that_is_dropped_meanwhile(pool, sealer, monkeypatch):
    """
    A day whose partition goes between being listed and being indexed is left out.
    """
    await store(pool, *noise(10))
    await sealer.seal(LATER)
    days = partitions.days

    async def before_it_goes(connection, table):
        return await days(connection, table) | {dt.date(2020, 1, 1)}

    monkeypatch.setattr(partitions, "days", before_it_goes)

    assert [] == await sealer.seal(LATER)


async def test_an_index_left_half_built_is_built_anew(pool, sealer):
    """
    An index whose building was cut short costs and helps nobody, so it is made again.
    """
    await store(pool, record(service=""))
    with pytest.raises(asyncpg.DivisionByZeroError):
        await pool.execute(f"CREATE INDEX CONCURRENTLY {DAY}_text ON {DAY} ((1 / length(service)))")
    left = dict(await pool.fetch(sealing.INDEXES, DAY, f"^{DAY}_text"))
    await sealer.seal(LATER)

    assert left == {f"{DAY}_text": False}
    assert dict(await pool.fetch(sealing.INDEXES, DAY, f"^{DAY}_text")) == {f"{DAY}_text": True}


async def test_only_one_builds(pool, database, sealer):
    """
    Of many collectors one builds at a time; the others do nothing.
    """
    await store(pool, record())
    other = await asyncpg.connect(database)
    await other.fetchval("SELECT pg_advisory_lock($1)", sealing.LOCK)
    while_locked = await sealer.seal(LATER)
    await other.close()

    assert while_locked == []


@asynccontextmanager
async def building(pool, dsn):
    """Begin to build an index that has to wait for an older snapshot; give the task."""
    await store(pool, *noise(10))
    other = await asyncpg.connect(dsn)
    async with other.transaction(isolation="repeatable_read"):
        await other.execute("SELECT count(*) FROM log_entries")
        async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as own:
            task = asyncio.create_task(sealing.Sealer(own, small=0).seal(LATER))
            while not await pool.fetchval(WAITING):  # noqa: ASYNC110  no event tells of it
                await asyncio.sleep(0.01)
            yield task
            await other.execute("COMMIT; BEGIN")
            await asyncio.wait([task])
    await other.close()


async def test_building_holds_up_no_reader_by_position(pool, database, sealer):
    """
    While an index is built, what is committed is behind the horizon of those who follow by it.
    """
    async with building(pool, database):
        await store(pool, record(msg="meanwhile"))
        behind = await pool.fetchval(
            "SELECT max(xid) < pg_snapshot_xmin(pg_current_snapshot()) FROM ledger"
        )

    assert behind
    assert [f"{DAY}_text"] == await indexes(pool)


async def test_a_stop_ends_the_building(pool, database, sealer):
    """
    A collector that stops waits for no index; another builds it anew.
    """
    async with building(pool, database) as task:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(task), 5)
        left = await indexes(pool)
    await sealer.seal(LATER)

    assert [f"{DAY}_text"] == left
    assert {f"{DAY}_text": True} == dict(await pool.fetch(sealing.INDEXES, DAY, f"^{DAY}_text"))


async def test_without_trigrams(pool, sealer):
    """
    A server without pg_trgm is told of once, and searched row by row.
    """
    await pool.execute("DROP EXTENSION pg_trgm")
    await store(pool, record(msg="needle"))
    with capture_logs() as lines:
        done = [await sealer.seal(LATER), await sealer.seal(LATER)]
    state = await sealing.state(Reader(pool))

    assert [[], []] == done
    assert ["searches_of_text_have_no_index"] == [line["event"] for line in lines]
    assert ["needle"] == await found(pool, s.Text("needle"))
    assert not state.available


async def test_state(pool, sealer):
    """
    Which days have their index can be seen.
    """
    await store(pool, *noise(10))
    await sealer.seal(LATER)
    state = await sealing.state(Reader(pool))
    days = {each.day: each for each in state.days}

    assert state.available
    assert sorted(days, reverse=True) == list(days)
    assert days[NOON.date()].indexed
    assert days[NOON.date()].index_bytes > 0
    assert not days[LATER.date()].indexed


async def test_an_owner_without_rights_beyond_the_database_has_it(server, empty_database):
    """
    Who owns the database, and is no superuser, gets the index: pg_trgm is a trusted extension.
    """
    name = empty_database.split("?")[0].rpartition("/")[2]
    owner = f"{name}_owner"
    postgres.admin(server, f"CREATE ROLE {owner} LOGIN")
    postgres.admin(server, f"ALTER DATABASE {name} OWNER TO {owner}")
    parts = urlsplit(empty_database)
    dsn = urlunsplit(parts._replace(netloc=f"{owner}@"))
    try:
        await asyncio.to_thread(migrate.upgrade, dsn)
        async with database.connected(dsn, size=2, init=encoding.prepare) as pool:
            await partitions.maintain(pool, NOON.date(), ahead=1)
            await store(pool, record(msg="needle"))
            await sealing.Sealer(pool, small=0).seal(LATER)

            assert [f"{DAY}_text"] == await indexes(pool)
            assert ["needle"] == await found(pool, s.Text("needle"))
    finally:
        postgres.admin(server, f"ALTER DATABASE {name} OWNER TO CURRENT_USER")
        with psycopg.connect(empty_database, autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY {owner} CASCADE")
        postgres.admin(server, f"DROP ROLE {owner}")
