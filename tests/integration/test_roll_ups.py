"""The roll-ups count what is stored, exactly and at every moment, in a real Postgres."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import random

import asyncpg
import pytest

from storage import counts, moments, partitions, roll_ups
from storage.deletion import Actor
from storage.expiry import Expiry
from storage.retention import Policy
from storage.where import Where
from tests.builders import NOON, record
from tests.stored import store

TODAY = NOON.date()
DAY, HOUR, MINUTE = dt.timedelta(days=1), dt.timedelta(hours=1), dt.timedelta(minutes=1)
CHANGES = [
    pytest.param("DELETE FROM {} WHERE msg = 'a'", id="delete"),
    pytest.param("UPDATE {} SET service = 'other' WHERE msg = 'a'", id="update"),
    pytest.param("UPDATE {} SET timestamp = timestamp - interval '1 hour'", id="another time"),
    pytest.param("TRUNCATE {}", id="truncate"),
]
ALWAYS = counts.Span(None, None)
SPANS = [
    (NOON - 3 * HOUR, None),
    (None, NOON),
    (NOON - 30 * MINUTE, NOON + 90 * MINUTE),
    (NOON - dt.timedelta(seconds=90), NOON + dt.timedelta(seconds=90)),
    (NOON + dt.timedelta(seconds=1), NOON + dt.timedelta(seconds=2)),
    (NOON + HOUR, NOON - HOUR),
    (dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)),
    (dt.datetime.max.replace(tzinfo=dt.UTC), None),
]


@pytest.fixture(autouse=True)
def _rolled_up(distributed):
    """Roll-ups, which not every engine has."""
    if distributed:
        pytest.skip(reason="with Citus nothing is rolled up, and all counts are of rows")


async def answers(connection, span=ALWAYS, *, hours=True):
    """Give the counts by minute, or hour, and kind: from the roll-ups, and of the rows."""
    found = await counts.rolled(connection)
    assert found is not None
    unit = "hour" if hours else "minute"
    value = "service || ' ' || level || ' ' || severity_number"

    def bucket(column):
        return f"date_trunc('{unit}', {column}, 'UTC')"

    result = []
    for counting in (
        lambda w: counts.summed(w, found, span, "true", bucket, value, hours=hours),
        lambda w: counts.scanned(w, span, "true", bucket, value),
    ):
        where = Where()
        rows = await connection.fetch(
            "SELECT bucket::text, value, sum(records)::bigint"
            f" FROM ({counting(where)}) counted GROUP BY 1, 2 HAVING sum(records) <> 0",
            *where.arguments,
        )
        result.append({tuple(row[:2]): row[2] for row in rows})
    return result


async def agreed(pool, span=ALWAYS):
    """Give the number of rows, after making sure that the roll-ups have them all."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.execute(roll_ups.STILL)
        for hours in (True, False):
            counted, stored = await answers(connection, span, hours=hours)

            assert stored == counted
        return sum(stored.values())


async def in_roll_ups(pool):
    return await pool.fetchval(
        "SELECT coalesce(sum(records), 0)::bigint FROM roll_ups WHERE seconds = 3600"
    )


@pytest.fixture(name="days")
async def _days(pool):
    """Partitions of two days, and roll-ups that are ready."""
    await partitions.maintain(pool, TODAY, ahead=0)
    await roll_ups.count(pool)


async def test_rows_that_were_here_before(pool, hypertable):
    """
    At first what is stored is counted partition by partition; no answer comes from the
    roll-ups before.
    """
    await store(pool, record(), record(timestamp=NOON - DAY), record(timestamp=NOON - 99 * DAY))
    await partitions.maintain(pool, TODAY, ahead=0)
    await store(pool, record(service="later"))
    before = await counts.rolled(pool)
    done = await roll_ups.count(pool)

    assert before is None
    assert 4 + hypertable == len(done)  # which has one of the far future
    assert (4, 4) == (await agreed(pool), await in_roll_ups(pool))
    assert [] == await roll_ups.count(pool)


@pytest.mark.usefixtures("days")
async def test_live_rows(pool):
    """
    Rows that aren't counted yet are in every answer, those of long ago too, and each once.
    """
    await store(pool, record(), record(timestamp=NOON - 99 * DAY))
    await pool.execute("INSERT INTO log_entries (timestamp, level) VALUES ($1, 'INFO')", NOON)
    live = await agreed(pool), await in_roll_ups(pool)
    await roll_ups.count(pool)
    await store(pool, record())

    assert (3, 0) == live
    assert (4, 3) == (await agreed(pool), await in_roll_ups(pool))


@pytest.mark.usefixtures("days")
async def test_any_time_has_its_minute(pool):
    """
    Times that Python has no name for are counted like all others.
    """
    for time in ("infinity", "-infinity", "20000-01-01Z", "4713-01-01 00:00Z BC", "1970-01-01Z"):
        await pool.execute(f"INSERT INTO log_entries (timestamp, level) VALUES ('{time}', 'INFO')")
    before = await agreed(pool)
    await roll_ups.count(pool)

    assert 5 == before == await agreed(pool)


@pytest.mark.usefixtures("days")
async def test_slow_transactions(pool, database):
    """
    A transaction that is under way while others are counted is counted when it commits, and
    holds nobody up.
    """
    slow = await asyncpg.connect(database)
    transaction = slow.transaction()
    await transaction.start()
    await slow.execute("INSERT INTO log_entries (timestamp, level) VALUES ($1, 'INFO')", NOON)
    await store(pool, record())
    await roll_ups.count(pool)
    during = await agreed(pool), await in_roll_ups(pool)
    await transaction.commit()
    after = await agreed(pool), await in_roll_ups(pool)
    await roll_ups.count(pool)
    await slow.close()

    assert (1, 1) == during
    assert (2, 1) == after
    assert (2, 2) == (await agreed(pool), await in_roll_ups(pool))


@pytest.mark.usefixtures("days")
@pytest.mark.parametrize("change", CHANGES)
async def test_changes(pool, change, hypertable):
    """
    Who deletes or changes rows, by whatever table, changes the counts of those counted.
    """
    tables = ("log_entries_20251113", "log_entries_default", "log_entries_days", "log_entries")
    if hypertable:  # of its chunks only the deleting is watched
        tables = (*tables[:2], tables[3]) if change.startswith("DELETE") else tables[3:]
    old = NOON - 99 * DAY
    for table in tables:
        await store(pool, record(msg="a"), record(msg="b"), record(msg="a", timestamp=old))
        await roll_ups.count(pool)
        await store(pool, record(msg="a", timestamp=NOON + HOUR), record(msg="a", timestamp=old))
        await pool.execute(change.format(table))
        if hypertable and change.startswith("TRUNCATE"):  # which drops the chunks
            await roll_ups.count(pool)
        before = await agreed(pool)
        await roll_ups.count(pool)

        assert before == await agreed(pool) == await in_roll_ups(pool)


@pytest.mark.usefixtures("days")
async def test_change_of_rows_just_stored(pool, hypertable):
    """
    Rows that their own transaction moves in time, or deletes, are counted as it leaves them.
    """
    unit = "hours" if hypertable else "days"
    async with pool.acquire() as connection, connection.transaction():
        for msg in "abc":
            await connection.execute(
                "INSERT INTO log_entries (timestamp, level, msg) VALUES ($1, 'INFO', $2)",
                NOON,
                msg,
            )
        await connection.execute(
            # no row of a hypertable can change its day
            f"UPDATE log_entries SET timestamp = timestamp - interval '9 {unit}' WHERE msg = 'a'"
        )
        await connection.execute("DELETE FROM log_entries WHERE msg = 'b'")
    before = await agreed(pool)
    await roll_ups.count(pool)

    assert 2 == before == await in_roll_ups(pool)


@pytest.mark.usefixtures("days")
@pytest.mark.parametrize("isolation", ["read_committed", "repeatable_read"])
async def test_counting_while_rows_are_deleted(pool, database, isolation):
    """
    Neither is a row counted that an open transaction has deleted, nor is it subtracted twice.
    """
    await store(pool, record(msg="a"), record(msg="b"))
    deleting = await asyncpg.connect(database)
    transaction = deleting.transaction(isolation=isolation)
    await transaction.start()
    await deleting.execute("DELETE FROM log_entries WHERE msg = 'a'")
    counting = asyncio.create_task(roll_ups.count(pool))
    waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
    while not await pool.fetchval(waits):  # noqa: ASYNC110  Postgres tells nobody
        await asyncio.sleep(0.01)
    before = await agreed(pool)
    await transaction.commit()
    await counting
    await deleting.close()

    assert 2 == before
    assert 1 == await agreed(pool) == await in_roll_ups(pool)


@pytest.mark.usefixtures("days")
async def test_deleting_by_an_old_snapshot(pool, database):
    """
    A delete whose snapshot is from before the counting fails, for it can't tell what is counted.
    """
    await store(pool, record())
    deleting = await asyncpg.connect(database)
    transaction = deleting.transaction(isolation="repeatable_read")
    await transaction.start()
    await deleting.fetchval("SELECT count(*) FROM log_entries")
    await roll_ups.count(pool)
    with pytest.raises(asyncpg.SerializationError):
        await deleting.execute("DELETE FROM log_entries")
    await transaction.rollback()
    await deleting.close()

    assert 1 == await agreed(pool)


@pytest.mark.usefixtures("days")
async def test_moving_strays_changes_no_count(pool):
    """
    Rows that are moved out of the default partition are counted once, before and after.
    """
    old = NOON - 40 * DAY
    await store(pool, record(timestamp=old), record(timestamp=old))
    await roll_ups.count(pool)
    await store(pool, record(timestamp=old))
    await partitions.maintain(pool, TODAY, ahead=0)
    moved = await agreed(pool)
    done = await roll_ups.count(pool)
    await pool.execute("DELETE FROM log_entries_default")

    assert [] == done
    assert 3 == moved == await agreed(pool) == await in_roll_ups(pool)


async def expired(pool, today):
    """Keep a day beside *today*."""
    applied = Expiry(Policy(days=1), Actor("me", "a test"))
    await applied.apply(pool, partitions.start(today), lambda _: None)


@pytest.mark.usefixtures("days")
async def test_dropped_partition(pool):
    """
    With a partition go its counts, by the housekeeping at once, by hand at the next counting.
    """
    await store(pool, record(), record(timestamp=NOON - DAY), record(timestamp=NOON + DAY))
    await partitions.maintain(pool, TODAY, ahead=1)
    await roll_ups.count(pool)
    await expired(pool, TODAY + DAY)
    dropped = await agreed(pool)
    await pool.execute("DROP TABLE log_entries_20251113")
    while_unknown = await counts.rolled(pool)
    await roll_ups.count(pool)

    assert 2 == dropped
    assert while_unknown is None
    assert 1 == await agreed(pool) == await in_roll_ups(pool)


@pytest.mark.usefixtures("days")
async def test_attached_partition(pool, hypertable):
    """
    A partition that somebody attaches is counted, and watched from then on.
    """
    if hypertable:
        pytest.skip(reason="of a chunk that somebody attaches only the counting is promised")
    await pool.execute("""
        CREATE TABLE "Elder" (LIKE log_entries INCLUDING DEFAULTS);
        INSERT INTO "Elder" (timestamp, level) VALUES ('2025-10-05Z', 'INFO'), ('2025-10-06Z', 'x');
        ALTER TABLE log_entries_days ATTACH PARTITION "Elder"
            FOR VALUES FROM ('2025-10-01Z') TO ('2025-11-01Z')
    """)
    before = await counts.rolled(pool)
    await roll_ups.count(pool)
    attached = await agreed(pool)
    await pool.execute("""DELETE FROM "Elder" WHERE level = 'x'""")

    assert (None, 2) == (before, attached)
    assert 1 == await agreed(pool) == await in_roll_ups(pool)


@pytest.mark.usefixtures("days")
async def test_tables_of_another_server(pool):
    """
    After a backup is restored elsewhere, where transactions have lower numbers, all is counted
    anew, and nothing of before is taken for a row of tomorrow.
    """
    await store(pool, record(), record(timestamp=NOON - DAY))
    await pool.execute("UPDATE log_entries SET xid = '1000000000'")
    await pool.execute("UPDATE ledger SET xid = '1000000000'")
    await pool.execute("UPDATE roll_up_position SET counted = '1000000000:1000000000:'")
    before = await counts.rolled(pool)
    await store(pool, record())
    await roll_ups.count(pool)

    assert before is None
    assert 3 == await agreed(pool) == await in_roll_ups(pool)


@pytest.mark.usefixtures("days")
async def test_only_one_counts(pool, database):
    """
    Of many collectors one counts at a time; the others do nothing.
    """
    await store(pool, record())
    other = await asyncpg.connect(database)
    await other.fetchval("SELECT pg_advisory_lock($1)", roll_ups.LOCK)
    await roll_ups.count(pool)
    await other.close()

    assert 0 == await in_roll_ups(pool)


@pytest.mark.usefixtures("days")
async def test_many_late_rows_are_few_conditions(pool):
    """
    However many times the live rows are of, they are looked for in few spans, wide gaps left out.
    """
    late = [record(timestamp=NOON - n * n * HOUR) for n in range(40)]
    await store(pool, *late)
    found = await counts.rolled(pool)

    assert roll_ups.MOST_TIMES == len(found.live)
    assert 39 * 39 == (NOON - found.live[0][0]) / HOUR
    assert 40 == await agreed(pool)


@pytest.mark.usefixtures("days")
async def test_long_names(pool):
    """
    A level may be longer than any index takes.
    """
    long = "".join(map(str, random.Random(0).choices(range(10), k=20_000)))
    await store(pool, record(level=long), record(level=long + "1"))
    await roll_ups.count(pool)

    assert 2 == await agreed(pool) == await in_roll_ups(pool)


@pytest.mark.usefixtures("days")
async def test_spans(pool):
    """
    The parts of minutes at both ends are counted by rows, whole ones and hours by roll-ups.
    """
    some = random.Random(0)
    times = [NOON + some.uniform(-9, 9) ** 3 * MINUTE for _ in range(500)]
    await store(pool, *(record(timestamp=each) for each in times[:300]))
    await roll_ups.count(pool)
    await store(pool, *(record(timestamp=each) for each in times[300:]))
    found = [await agreed(pool, counts.Span(start, end)) for start, end in SPANS]

    assert found == [
        sum((not start or start <= t) and (not end or t < end) for t in times)
        for start, end in SPANS
    ]


async def test_at_every_moment(pool, database):  # noqa: C901
    """
    While rows are stored, late, slowly and in vain, changed, deleted and dropped, and somebody
    counts, the roll-ups give what counting the rows does.
    """
    some = random.Random(1)

    def anything(number):
        days = some.choice([0, 0, 0, -1, -3, -40])
        return [
            record(
                timestamp=NOON + days * DAY + some.uniform(0, 99) * MINUTE,
                service=some.choice("abc"),
                severity_number=some.choice([0, 9, 17]),
                job_id=some.randrange(20),
            )
            for _ in range(number)
        ]

    async def stores():
        await store(pool, *anything(some.randrange(1, 30)))

    async def stores_slowly():
        async with slow.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                for each in anything(3):
                    await connection.execute(
                        "INSERT INTO log_entries (timestamp, level, service, job_id)"
                        " VALUES ($1, 'INFO', $2, $3)",
                        moments.time(each.timestamp),
                        each.service,
                        each.job_id,
                    )
                    await asyncio.sleep(some.random() / 50)
                await (transaction.commit() if some.random() < 0.6 else transaction.rollback())
            except asyncpg.PostgresError:
                await transaction.rollback()
                raise

    async def changes():
        statement = some.choice(
            (
                "DELETE FROM log_entries WHERE job_id = $1",
                "DELETE FROM log_entries_default WHERE job_id = $1",
                "UPDATE log_entries SET service = 'd' WHERE job_id = $1",
                "UPDATE log_entries SET timestamp = timestamp - interval '1 day' WHERE job_id = $1",
            )
        )
        await pool.execute(statement, some.randrange(20))

    async def keeps():
        # today goes on, so that partitions are made of strays, and dropped
        today = TODAY + some.randrange(3) * DAY
        await partitions.maintain(pool, today, ahead=1)
        if some.random() < 0.5:
            await expired(pool, today - DAY)

    async def counting():
        await roll_ups.count(pool)

    async def does(what, times):
        for _ in range(times):
            # A row may be on its way to the default partition when its own one is made.
            with contextlib.suppress(asyncpg.CheckViolationError):
                await what()
            await asyncio.sleep(some.random() / 50)

    async def compares():
        while not stopped.is_set():
            checked.append(await agreed(checking) if await counts.rolled(checking) else None)
            await asyncio.sleep(0.005)

    checked, stopped = [], asyncio.Event()
    async with (
        asyncpg.create_pool(database, min_size=1, max_size=1) as checking,
        asyncpg.create_pool(database, min_size=1, max_size=1) as slow,
    ):
        async with asyncio.TaskGroup() as tasks:
            comparing = tasks.create_task(compares())
            acting = [
                tasks.create_task(does(what, 40))
                for what in (stores, stores, stores_slowly, changes, counting, keeps)
            ]
            await asyncio.wait(acting)
            stopped.set()
            await comparing
        await roll_ups.count(pool)

        assert await agreed(checking) == await in_roll_ups(pool)
    assert sum(each is not None for each in checked) > 10
