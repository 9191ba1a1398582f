"""TimescaleDB as the engine: from a plain database to a compressed hypertable, and both sides."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psycopg
import pytest

from collector import cli
from storage import (
    chunks,
    counts,
    database,
    encoding,
    engines,
    filters,
    migrate,
    pages,
    partitions,
    restriction,
    roll_ups,
    timescale,
    writer,
)
from storage import reader as reading
from storage.errors import Unavailable, Unsuitable
from storage.pages import NEWEST
from storage.reader import Reader
from storage.search import Text
from storage.where import Where
from tests.builders import NOON, batch, record
from tests.stored import store

TODAY, DAY = NOON.date(), partitions.DAY
PLAIN = "SELECT tableoid::regclass::text, msg, level, severity_number FROM log_entries ORDER BY msg"


@pytest.fixture(name="plain")
def _plain(empty_database, hypertable):
    """A migrated database that is plain, on a server that has TimescaleDB."""
    if not hypertable:
        pytest.skip(reason="the server has no TimescaleDB")
    migrate.upgrade(empty_database)
    return empty_database


@pytest.fixture(name="chunked")
async def _chunked(pool, hypertable):
    """Connections to a hypertable with chunks of two days."""
    if not hypertable:
        pytest.skip(reason="the server has no TimescaleDB")
    await partitions.maintain(pool, TODAY, ahead=0)
    return pool


async def convert(dsn, compress_after=7):
    """Make the database *dsn* one of TimescaleDB; give what was told."""
    told = []
    await timescale.prepare(dsn, compress_after=compress_after, told=told.append)
    return told


async def compress(pool):
    """Do now what TimescaleDB's job does one day."""
    for (chunk,) in await pool.fetch("SELECT show_chunks('log_entries')::text"):
        await pool.execute(f"CALL convert_to_columnstore('{chunk}', if_not_columnstore => true)")


async def counted(pool):
    """Give the number of records, after making sure that the roll-ups have it."""
    number = await pool.fetchval("SELECT count(*) FROM log_entries")
    rolled = "SELECT coalesce(sum(records), 0)::bigint FROM roll_ups WHERE seconds = 3600"

    assert number == await pool.fetchval(rolled)
    return number


async def test_a_plain_database_becomes_a_hypertable(plain):
    """
    All rows stay, each in its day; what is on the table, its views and the roll-ups too.
    """
    times = {
        "1 ancient": dt.datetime(1, 1, 1, tzinfo=dt.UTC),
        "2 late": NOON - 40 * DAY,
        "3 today": NOON,
        "4 absurd": dt.datetime(2554, 7, 21, tzinfo=dt.UTC),
    }
    indexes = "SELECT indexname FROM pg_indexes WHERE tablename = 'log_entries' ORDER BY 1"
    async with database.connected(plain, size=2, init=encoding.prepare) as pool:
        await partitions.maintain(pool, TODAY, ahead=0)
        await store(pool, *(record(msg=msg, timestamp=time) for msg, time in times.items()))
        await pool.execute("INSERT INTO log_entries (level, msg) VALUES ('WARN', '5 direct')")
        await pool.execute(
            "CREATE VIEW mine WITH (security_invoker) AS SELECT msg FROM log_entries"
        )
        await pool.execute("GRANT INSERT ON log_entries TO PUBLIC")
        await roll_ups.count(pool)
        before = await pool.fetch(PLAIN), await pool.fetch(indexes)
        told = await convert(plain)
        after = await pool.fetch(PLAIN), await pool.fetch(indexes)
        await roll_ups.count(pool)

        assert [tuple(row[1:]) for row in after[0]] == [tuple(row[1:]) for row in before[0]]
        assert after[1] == before[1]
        assert [row[0] for row in after[0][:4:2]] == ["log_entries_default", "log_entries_20251113"]
        assert after[0][3][0] == "log_entries_future"
        assert [5, 5] == [
            await pool.fetchval(f"SELECT count(*) FROM {view}") for view in ("mine", "logs")
        ]
        assert await pool.fetchval("SELECT reloptions FROM pg_class WHERE relname = 'mine'")
        assert await pool.fetchval("SELECT has_table_privilege('public', 'log_entries', 'INSERT')")
        assert 5 == await counted(pool)
    assert told[0] == "log_entries is a hypertable"
    assert told[-1] == "days are compressed after 7"
    assert "moved log_entries_20251113, 1 of 3" in told


async def test_who_may_see_some_records_sees_them_still(plain):
    """
    What keys for some services see is then of the hypertable, its compressed days too, and no more.
    """
    only = restriction.Restriction(("worker",), ())
    async with database.connected(plain, size=2, init=encoding.prepare) as pool:
        await partitions.maintain(pool, TODAY, ahead=0)
        await restriction.prepare(pool)
        await store(pool, record(msg="mine", service="worker", job_id=7), record(job_id=7))
        await convert(plain)
        for step in (restriction.renew, compress):
            await step(pool)
            token = restriction.current.set(only)
            found = await Reader(pool).job(7)
            restriction.current.reset(token)
            assert ["mine"] == [entry.msg for entry in found.entries]


async def test_a_second_time_does_nothing(plain):
    """
    What is done already isn't done again, by how many ever at once.
    """
    first = await asyncio.gather(*(convert(plain) for _ in range(3)))

    assert sorted(map(bool, first)) == [False, False, True]
    assert await convert(plain) == []
    assert await convert(plain, 3) == ["days are compressed after 3"]
    assert await convert(plain, 0) == ["days are not compressed any more"]


async def test_interrupted(plain, monkeypatch):
    """
    After an interruption it goes on from there; rows that came meanwhile join those of their day.
    """
    async with database.connected(plain, size=2, init=encoding.prepare) as pool:
        for day in (0, 3, 5):
            await store(pool, record(msg=str(day), timestamp=NOON - day * DAY))
        await partitions.maintain(pool, TODAY, ahead=0)

        async def breaks(connection, name, start, end, *, attach=chunks.attach):
            if name == "log_entries_20251110":
                raise Unavailable("the power is out")
            await attach(connection, name, start, end)

        with monkeypatch.context() as patched:
            patched.setattr(chunks, "attach", breaks)
            with pytest.raises(Unavailable):
                await convert(plain)
        await store(pool, record(msg="3 meanwhile", timestamp=NOON - 3 * DAY))
        told = await convert(plain)
        found = [tuple(row[:2]) for row in await pool.fetch(PLAIN)]

    assert "log_entries is a hypertable" not in told
    assert found == [
        ("log_entries_20251113", "0"),
        ("log_entries_20251110", "3"),
        ("log_entries_20251110", "3 meanwhile"),
        ("log_entries_20251108", "5"),
    ]


async def test_a_writer_goes_on(plain):
    """
    Who writes while the table becomes a hypertable is told to try again, and needs no restart.
    """
    async with (
        database.connected(plain, size=3, init=encoding.prepare) as pool,
        writer.writing(pool, writer.WriterConfig(), lambda *_: None) as log_writer,
    ):
        await log_writer.submit(batch(record(msg="1")))
        await convert(plain)
        with pytest.raises(Unavailable):
            await log_writer.submit(batch(record(msg="2")))
        outcome = await log_writer.submit(batch(record(msg="2")))
        found = await pool.fetchval("SELECT count(*) FROM log_entries")
        entered = await pool.fetch("SELECT receiver, records FROM ledger")

    assert (1, 2) == (outcome.stored, found)
    assert [1, 1] == [row["records"] for row in entered]  # one a commit, none by the trigger


@pytest.mark.parametrize(
    ("made", "name"),
    [
        ("CREATE MATERIALIZED VIEW old AS SELECT msg FROM log_entries", "materialized view old"),
        (
            "CREATE FUNCTION old() RETURNS text RETURN (SELECT min(msg) FROM log_entries)",
            r"function old\(\)",
        ),
        ("CREATE VIEW old AS SELECT msg FROM log_entries_days", "view old"),
        ("CREATE POLICY old ON log_entries USING (true)", "row security policy old"),
        ("CREATE RULE old AS ON DELETE TO log_entries DO ALSO SELECT 1", "rule old"),
        ("CREATE PUBLICATION old FOR TABLE log_entries", "publication old"),
        ("CREATE STATISTICS old ON service, level FROM log_entries", "statistics old"),
        ("GRANT SELECT (msg) ON log_entries TO PUBLIC", "rights on column msg"),
        (
            (
                "CREATE TRIGGER old AFTER DELETE ON log_entries REFERENCING OLD TABLE AS gone"
                " FOR EACH STATEMENT EXECUTE FUNCTION roll_ups_deleted()"
            ),
            "trigger old",
        ),
    ],
)
async def test_what_would_stay_with_the_old_table(plain, made, name):
    """
    What depends on the table and can't be moved is named, and nothing is changed.
    """
    with psycopg.connect(plain) as connection:
        connection.execute(made)
    with pytest.raises(Unsuitable, match=name):
        await convert(plain)

    await engines.check(plain, wanted="postgres")


async def test_engine_and_tables_must_agree(plain):
    """
    A plain table is no engine timescaledb, and a hypertable no engine postgres.
    """
    await engines.check(plain, wanted="postgres")
    with pytest.raises(Unsuitable, match="migrate upgrade"):
        await engines.check(plain, wanted="timescaledb")
    await convert(plain)
    await engines.check(plain, wanted="timescaledb")
    with pytest.raises(Unsuitable, match="is a hypertable"):
        await engines.check(plain, wanted="postgres")


async def test_a_server_without_it(empty_database, hypertable):
    """
    A server that has no TimescaleDB, or doesn't load it, is told in a line.
    """
    if hypertable:
        pytest.skip(reason="the server has TimescaleDB")
    migrate.upgrade(empty_database)
    with pytest.raises(Unsuitable) as caught:
        await convert(empty_database)

    assert "TimescaleDB" in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_compressed_days(chunked):
    """
    Rows of a compressed day are found, added late, changed and deleted like all others, and the
    roll-ups know.
    """
    reader = Reader(chunked)
    await store(
        chunked,
        *(
            record(
                msg=f"no {n}",
                job_id=n % 7 if n != 11 else None,
                trace_id=f"t{n % 5}",
                timestamp=NOON + n * dt.timedelta(seconds=1),
                level=("INFO", "ERROR")[n % 2],
                extra={"job_id": f"text-{n}"} if n == 11 else None,
            )
            for n in range(70)
        ),
    )
    await roll_ups.count(chunked)
    await compress(chunked)
    found = [
        len(trace.entries)
        for trace in (
            await reader.job(3),
            await reader.job("text-11"),
            await reader.job(3, expand=True),
            await reader.trace("t3"),
        )
    ]
    await store(chunked, record(msg="late", job_id=3))
    await chunked.execute(
        "INSERT INTO log_entries (timestamp, level, job_id) VALUES ($1, 'WARN', 3)", NOON
    )
    late = [each.severity_number for each in (await reader.job(3)).entries]
    await roll_ups.count(chunked)
    added = await counted(chunked)
    changed = await chunked.execute("UPDATE log_entries SET service = 'x' WHERE job_id = 4")
    await counted(chunked)
    whole = await chunked.execute("DELETE FROM log_entries WHERE level = 'ERROR'")
    few = await chunked.execute("DELETE FROM log_entries_20251113 WHERE job_id = 3")

    assert [10, 1, 70, 14] == found
    assert 12 == len(late)
    assert 13 in late
    assert 72 == added
    assert ("UPDATE 9", "DELETE 35", "DELETE 7") == (changed, whole, few)
    assert 30 == await counted(chunked)


@pytest.mark.parametrize("job", [3, "text-11"])
async def test_compressed_jobs_are_found_by_bloom_filters(chunked, job):
    """
    No lookup of a job looks into compressed rows but those that may have it.
    """
    await store(
        chunked,
        *(record(job_id=n if n != 11 else None, extra={"job_id": f"text-{n}"}) for n in range(99)),
    )
    await compress(chunked)
    where = Where()
    ways = filters.job(where, job)
    found = " UNION ALL ".join(f"SELECT * FROM log_entries WHERE {way}" for way in ways)
    plan = await chunked.fetch(f"EXPLAIN {found}", *where.arguments)

    scans, filtered = (
        sum(word in row[0] for row in plan) for word in ("ColumnarScan", "bloom1_contains")
    )

    assert scans == filtered > 0


async def test_pages_and_lookups_go_by_indexes(chunked, monkeypatch):
    """
    A page is read along an index that has its order, and no lookup is: where much is
    compressed, Postgres hopes in vain to find soon what it looks for.
    """
    await chunked.execute("""
        INSERT INTO log_entries (id, timestamp, level, service, request_id)
        SELECT n, '2025-11-12Z'::timestamptz + n * interval '4 s', 'INFO', 'api', md5(n::text)
        FROM generate_series(1, 40000) n""")
    await chunked.execute("CALL convert_to_columnstore('log_entries_20251112')")
    await chunked.execute("VACUUM ANALYZE log_entries")
    page = await chunked.fetch(f"EXPLAIN SELECT * FROM log_entries e ORDER BY {NEWEST} LIMIT 9")
    monkeypatch.setattr(reading, "MOST_ENTRIES", 1000)
    connection = Explained()
    async with chunked.acquire() as real:
        connection.real = real
        reader = Reader(chunked)
        reader.reading = connection.reading
        await reader.request("none")

    along = "using log_entries_20251113_log_entries_timestamp"
    assert any(f"Index Scan Backward {along}" in row[0] for row in page)
    assert not any(along in line for line in connection.plan)
    assert any("log_entries_20251113_log_entries_request_id" in line for line in connection.plan)


class Explained:
    """Reads as a reader does, and keeps the plan."""

    @asynccontextmanager
    async def reading(self, *_):
        async with self.real.transaction():
            await self.real.execute("SET LOCAL plan_cache_mode = force_generic_plan")
            yield self

    async def fetch(self, statement, *arguments):
        self.plan = [row[0] for row in await self.real.fetch(f"EXPLAIN {statement}", *arguments)]
        return await self.real.fetch(statement, *arguments)

    async def fetchval(self, statement, *arguments):
        return await self.real.fetchval(statement, *arguments)


async def test_text_is_found_in_compressed_days(chunked):
    """
    A search of text finds what is compressed.
    """
    await store(chunked, record(msg="a Needle there"), record(msg="hay"))
    await compress(chunked)
    page = await pages.first(Reader(chunked), Text("needle"), now=NOON, limit=9)

    assert ["a Needle there"] == [each.msg for each in page.entries]


async def test_a_day_that_a_row_has_made(chunked):
    """
    A row of a day without a chunk is counted at once; housekeeping gives the chunk its name.
    """
    await roll_ups.count(chunked)
    await store(chunked, record(timestamp=NOON - 40 * DAY))
    before = await counts.rolled(chunked)
    done = await partitions.maintain(chunked, TODAY, ahead=0)
    await roll_ups.count(chunked)

    assert before is not None
    assert "named log_entries_20251004" in done
    assert TODAY - 40 * DAY in await partitions.days(chunked, "log_entries")
    assert 1 == await counted(chunked)


async def test_truncated(chunked):
    """
    After TRUNCATE, which drops all chunks, housekeeping makes them again.
    """
    await store(chunked, record())
    await chunked.execute("TRUNCATE log_entries")
    await store(chunked, record(timestamp=dt.datetime(1999, 1, 1, tzinfo=dt.UTC)))
    await partitions.maintain(chunked, TODAY, ahead=0)
    await roll_ups.count(chunked)

    assert 1 == await counted(chunked)
    assert 1 == await chunked.fetchval("SELECT count(*) FROM log_entries_default")


async def test_old_days_are_compressed(chunked):
    """
    TimescaleDB's job compresses the days that are old enough, and no other.
    """
    today = dt.datetime.now(dt.UTC)
    await store(chunked, *(record(timestamp=today - n * DAY) for n in (0, 6, 9)))
    (job,) = await chunked.fetchrow(
        "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = 'policy_compression'"
    )
    await chunked.execute(f"CALL run_job({job})")
    rows = await chunked.fetch(
        "SELECT is_compressed FROM timescaledb_information.chunks"
        " WHERE range_start > now() - interval '11 days' AND range_end < now() + interval '1 day'"
        " ORDER BY range_start"
    )

    assert [True, False, False] == [row[0] for row in rows]


def test_an_owner_who_is_no_superuser(server, empty_database, hypertable):
    """
    The database's owner needs no more rights for all of this.
    """
    if not hypertable:
        pytest.skip(reason="the server has no TimescaleDB")
    role = f"pixsim_chunks_{os.getpid()}"
    parts = urlsplit(empty_database)
    name = parts.path.removeprefix("/")
    owned = urlunsplit(parts._replace(netloc=f"{role}@"))
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN")
        connection.execute(f"ALTER DATABASE {name} OWNER TO {role}")
    try:
        migrate.upgrade(owned)
        asyncio.run(_used(owned))
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} OWNER TO postgres")
        with psycopg.connect(empty_database, autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY {role} CASCADE")
            connection.execute(f"DROP ROLE {role}")


async def _used(dsn):
    await convert(dsn)
    async with database.connected(dsn, size=2, init=encoding.prepare) as pool:
        await partitions.maintain(pool, TODAY, ahead=0)
        await store(pool, record(msg="x", timestamp=NOON - 40 * DAY), record())
        await partitions.maintain(pool, TODAY, ahead=0)
        await roll_ups.count(pool)
        await compress(pool)
        await pool.execute("DELETE FROM log_entries WHERE msg = 'x'")

        assert 1 == await counted(pool)


def test_the_command_says_in_a_line_what_is_missing(empty_database, hypertable, tmp_path, capsys):
    """
    `migrate upgrade` ends with 2 and one line where the server has no TimescaleDB, or loads none.
    """
    if hypertable:
        pytest.skip(reason="the server has TimescaleDB")
    config = tmp_path / "config.yaml"
    config.write_text(f"exporters: {{postgres: {{dsn: '{empty_database}', engine: timescaledb}}}}")
    code = cli.main(["migrate", "upgrade", "--config", str(config)])
    (line,) = capsys.readouterr().err.splitlines()

    assert 2 == code
    assert "TimescaleDB" in line
    assert line.endswith("; see docs/timescaledb.md")


def test_the_command_says_what_it_does(empty_database, hypertable, tmp_path, capsys):
    """
    `migrate upgrade` tells each step, and its repetition nothing but the migration.
    """
    if not hypertable:
        pytest.skip(reason="the server has no TimescaleDB")
    config = tmp_path / "config.yaml"
    config.write_text(f"exporters: {{postgres: {{dsn: '{empty_database}', engine: timescaledb}}}}")
    first = cli.main(["migrate", "upgrade", "--config", str(config)])
    told = capsys.readouterr().out.splitlines()
    second = cli.main(["migrate", "upgrade", "--config", str(config)])

    assert (0, 0) == (first, second)
    assert ["log_entries is a hypertable", "moved log_entries_default, 1 of 1"] == told[:2]
    assert told[-1:] == capsys.readouterr().out.splitlines()


async def test_a_user_that_may_make_no_extension(server, plain):
    """
    Who isn't allowed the extension is told in a line what to do.
    """
    role = "pixsim_powerless"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN")
    try:
        dsn = plain.replace("postgres@", f"{role}@")
        with pytest.raises(Unsuitable, match="no extension timescaledb can be made"):
            await convert(dsn)
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP ROLE {role}")


async def test_readers_may_read_chunks(chunked, database):
    """
    The role of queries reads compressed and other chunks.
    """
    await store(chunked, record(msg="x"))
    await compress(chunked)
    connection = await asyncpg.connect(database)
    await connection.execute("SET ROLE pixsim_reader")
    found = await connection.fetchval("SELECT count(*) FROM log_entries WHERE msg IS NOT NULL")
    await connection.close()

    assert 1 == found
