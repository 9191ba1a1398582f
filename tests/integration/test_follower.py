"""Following the table: every record once, whatever is committed when."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import random

import asyncpg
import pytest

from storage import database as storage_database
from storage import destinations, extents, ledger_days, partitions, roll_ups, stored
from storage.follower import Follower, Foreign
from storage.moments import time
from storage.positions import BEGINNING, Position, Snapshot
from storage.records import Resource, Scope
from storage.search import All, Compare, Contains, Equals, Severity
from tests.builders import NOON, record
from tests.stored import filled, store

HOUR, SECOND = dt.timedelta(hours=1), dt.timedelta(seconds=1)
PLENTY = {"records": 10_000, "bytes": 10**8}
INSERT = (
    "INSERT INTO log_entries (timestamp, level, msg) VALUES ($1::text::timestamptz, 'INFO', $2)"
)
A_DAY = [f"2025-11-13 1{hour}:00:0{second}Z" for hour in (1, 2) for second in range(9)]
TIMES = [
    *A_DAY,
    "2025-12-24 12:00:00Z",
    "infinity",
    "-infinity",
    "4000-01-01 00:00:00Z BC",
    "20000-01-01 00:00:00Z",
]


@pytest.fixture(name="follower")
async def _follower(database):
    """A follower whose connections may read and nothing else."""
    async with storage_database.reading(database, size=3) as readers:
        yield Follower(readers)


@pytest.fixture(name="connections")
async def _connections(database):
    """Connections of services that insert for themselves, into a day that is there."""
    async with storage_database.connected(database, size=1) as pool:
        # TimescaleDB makes a day in the first transaction that needs it, and lets others wait.
        await partitions.maintain(pool, NOON.date(), ahead=1)
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for _ in range(4):
            found.append(await asyncpg.connect(database))
            stack.push_async_callback(found[-1].close)
        yield found


async def walk(follower, position=BEGINNING, search=None, **limits):
    """Give the pieces from *position* to the end."""
    for _ in range(1_000):
        piece = await follower.stored(position, search, now=NOON, **{**PLENTY, **limits})
        yield piece
        position = piece.position
        if not piece.more:
            return
    raise AssertionError("no end")


async def walked(follower, position=BEGINNING, search=None, **limits):
    """Give the messages from *position* to the end, and the position there."""
    found = []
    async for piece in walk(follower, position, search, **limits):
        found += [each.record.msg for each in piece.rows]
    return found, piece.position


async def walked_rows(follower, **limits):
    """Give all that there is."""
    return [each async for piece in walk(follower, **limits) for each in piece.rows]


async def run(connection, *messages, time="2025-11-13 12:00:00Z"):
    for msg in messages:
        await connection.execute(INSERT, time, msg)


async def test_late_commit(follower, pool, connections):
    """
    A transaction that commits after others with higher numbers is read then, and holds none of
    them up; of one that is rolled back nothing is.
    """
    slow, aborted, quick, _ = connections
    slow_one, aborted_one = slow.transaction(), aborted.transaction()
    await slow_one.start()
    await aborted_one.start()
    await run(slow, "slow")
    await run(aborted, "never")
    await run(quick, "quick")
    first, position = await walked(follower)
    await store(pool, record(msg="stored"))
    await slow_one.commit()
    await aborted_one.rollback()
    second, end = await walked(follower, position)

    assert ["quick"] == first
    assert ["slow", "stored"] == second
    assert ([], end) == await walked(follower, end)


class Services:
    """Services that insert by SQL of their own, each in the midst of a transaction or not."""

    def __init__(self, connections, rng, times):
        self.committed = []
        self._times = times
        self._idle, self._busy = list(connections), []
        self._rng = rng
        self._number = 0

    async def act(self):
        """Begin, insert, roll back to a savepoint, commit or abort."""
        act = self._rng.choice([self._begin, self._insert, self._insert, self._try, self._finish])
        await act()

    async def finish(self):
        """Commit what is open."""
        for _, transaction, inserted in self._busy:
            await transaction.commit()
            self.committed += inserted

    async def _begin(self):
        if self._idle:
            connection = self._idle.pop()
            transaction = connection.transaction()
            await transaction.start()
            self._busy.append((connection, transaction, []))

    async def _insert(self):
        if self._busy:
            connection, _, inserted = self._rng.choice(self._busy)
            inserted += await self._insert_some(connection)

    async def _try(self):
        if self._busy:
            connection, _, inserted = self._rng.choice(self._busy)
            savepoint = connection.transaction()
            await savepoint.start()
            tried = await self._insert_some(connection)
            if self._rng.random() < 0.5:
                await savepoint.rollback()
            else:
                await savepoint.commit()
                inserted += tried

    async def _finish(self):
        if self._busy:
            which = self._rng.randrange(len(self._busy))
            connection, transaction, inserted = self._busy.pop(which)
            self._idle.append(connection)
            if self._rng.random() < 0.3:
                await transaction.rollback()
            else:
                await transaction.commit()
                self.committed += inserted

    async def _insert_some(self, connection):
        first, self._number = self._number, self._number + self._rng.choice([1, 1, 3, 9])
        messages = [str(n) for n in range(first, self._number)]
        for msg in messages:
            await run(connection, msg, time=self._rng.choice(self._times))
        return messages


@pytest.mark.parametrize("seed", range(2))
async def test_any_interleaving(follower, pool, connections, seed, hypertable):
    """
    However transactions begin, insert, roll back to a savepoint, commit and abort, and whenever
    how much is read: each committed record comes once, and from each position on come just
    those that had not come before it.
    """
    rng = random.Random(seed)
    # TimescaleDB lets a transaction wait for another that makes the same chunk.
    services = Services(connections, rng, A_DAY if hypertable else TIMES)
    stored, read, position = [], [], BEGINNING
    positions = []  # each with how many were read before it
    for step in range(70):
        await services.act()
        if step % 10 == 0:
            names = [f"{step}.{n}" for n in range(rng.choice([1, 5, 20]))]
            await store(pool, *(record(msg=name) for name in names))
            stored += names
        if step % 3 == 0:
            limits = {"records": rng.choice([1, 2, 7, 100]), "bytes": rng.choice([1, 10**3, 10**6])}
            piece = await follower.stored(position, None, now=NOON, **limits)
            for each in piece.rows:
                read.append(each.record.msg)
                positions.append((each.position, len(read)))
            position = Position.parse(str(piece.position))
    await services.finish()
    rest, _ = await walked(follower, position, records=5)

    committed = sorted(stored + services.committed)
    assert committed == sorted(read + rest)
    for place, number in rng.sample(positions, 5):
        later, _ = await walked(follower, place, records=rng.choice([9, 1_000]))
        assert committed == sorted(read[:number] + later)


@pytest.mark.parametrize("spread", [dt.timedelta(), SECOND / 100, HOUR], ids=str)
async def test_large_transaction(follower, pool, spread):
    """
    A transaction larger than a piece comes piece by piece in the order of time and id, also
    where all its records are of one time, or each of another hour.
    """
    records = [record(msg=str(n), timestamp=NOON - n * spread) for n in range(250)]
    await store(pool, *records)
    await store(pool, *(record(msg="other", timestamp=NOON - n * HOUR) for n in range(9)))
    pieces = [piece async for piece in walk(follower, records=40)]

    rows = [each for piece in pieces for each in piece.rows]
    ordered = sorted(records, key=lambda each: (each.timestamp, each.id))
    assert [each.msg for each in ordered] == [each.record.msg for each in rows[:250]]
    assert ["other"] * 9 == [each.record.msg for each in rows[250:]]
    assert max(len(piece.rows) for piece in pieces) == 40
    assert 259 == sum(piece.passed for piece in pieces)
    assert not any(piece.gone for piece in pieces)


async def test_small_transactions_are_read_together(follower, pool):
    """
    Two hundred small transactions are one piece.
    """
    for n in range(200):
        await run(pool, str(n), time=f"2025-11-13 {n % 24:02}:{n % 60:02}:00Z")
    piece = await follower.stored(BEGINNING, None, now=NOON, **PLENTY)

    assert [str(n) for n in range(200)] == [each.record.msg for each in piece.rows]
    assert not piece.more
    assert (200, 0) == (piece.passed, piece.gone)


async def test_only_so_much_is_looked_through(pool, follower, monkeypatch):
    """
    One query looks through no more than an hour of others' records, but for a single extent.
    """
    monkeypatch.setattr(extents, "BREADTH", 2 * SECOND // dt.timedelta(microseconds=1))
    for n in range(8):
        await store(
            pool, *(record(msg=f"{n}{m}", timestamp=NOON + n * HOUR + m * SECOND) for m in (0, 1))
        )
    await store(
        pool,
        *(record(msg=f"9{n}", timestamp=NOON + n * HOUR) for n in range(8)),
        record(msg="9", timestamp=NOON - HOUR),
    )
    pieces = [piece async for piece in walk(follower)]

    found = [[each.record.msg for each in piece.rows] for piece in pieces]
    assert 2 == max(len({msg[0] for msg in piece} - {"9"}) for piece in found)
    assert 25 == len({msg for piece in found for msg in piece}) == sum(map(len, found))


async def test_more_of_the_ledger_than_is_looked_at(follower, pool):
    """
    A transaction with more rows in the ledger than are looked at once is read whole.
    """
    messages = [str(n) for n in range(520)]
    await run(pool, "first")
    async with pool.acquire() as connection, connection.transaction():
        times = [f"2025-11-13 {n // 30:02}:00:00Z" for n in range(520)]
        await connection.executemany(INSERT, zip(times, messages, strict=True))
    await run(pool, "last")
    found, _ = await walked(follower)

    assert ["first", *messages, "last"] == found


@pytest.mark.parametrize("held", [False, True], ids=["over", "somebody still writes"])
async def test_days_that_are_over(follower, pool, connections, monkeypatch, held):
    """
    Where a position has seen a day of the ledger to its end nobody looks there again, and a day
    in which a transaction is still running has no end.
    """
    monkeypatch.setattr(ledger_days, "OFTEN", 0)
    monkeypatch.setattr(ledger_days, "SELDOM", 0)
    monkeypatch.setattr(ledger_days, "MARGIN", partitions.DAY)
    late = connections[0].transaction()
    await late.start()
    await run(connections[0], "late")
    for days in (3, 2):
        await store(pool, record(msg=str(days)))
        await pool.execute(
            "UPDATE ledger SET received_at = received_at - $1::interval"
            " WHERE received_at > now() - interval '1 day'",
            days * partitions.DAY,
        )
    if not held:
        await late.commit()
    found, position = await walked(follower)
    for _ in range(3):
        await walked(follower, position)
    start = follower._days.start(position.seen)
    before = follower._days.start(position.seen.until(0))
    if held:
        await late.commit()
    again, _ = await walked(follower)

    assert (["3", "2"] if held else ["late", "3", "2"]) == found
    assert start.year == (1 if held else start.year)
    assert held or dt.timedelta() < dt.datetime.now(dt.UTC) - start < 2 * partitions.DAY
    assert before < start or held
    assert ["late", "3", "2"] == again


async def test_bytes(follower, pool):
    """
    A piece ends when it has as many bytes as it may, but has one record at least.
    """
    await store(pool, *(record(msg=str(n) + 1_000 * "x") for n in range(9)))
    pieces = [piece async for piece in walk(follower, bytes=3_000)]
    small = [piece async for piece in walk(follower, bytes=1)]

    assert [3, 3, 3] == [len(piece.rows) for piece in pieces if piece.rows]
    assert [1] * 9 == [len(piece.rows) for piece in small if piece.rows]
    assert 9 == sum(piece.passed for piece in pieces)


SEARCHES = [
    Equals("service", ("web",)),
    Contains("msg", "1"),
    Compare("extra.n", ">=", 40),
    Severity(17, None),
    All(()),
]


@pytest.mark.parametrize("size", [7, 1_000])
async def test_searches(follower, pool, size):
    """
    Several searches are answered by one reading, each record with the places of those it meets;
    the position goes past records that none wants.
    """
    for part in range(5):
        await store(
            pool,
            *(
                record(
                    msg=str(n),
                    service="web" if n % 3 else "api",
                    severity_number=9 + n % 10,
                    extra={"n": n},
                )
                for n in range(part * 10, part * 10 + 10)
            ),
        )
    meets = [
        lambda n: n % 3 != 0,
        lambda n: "1" in str(n),
        lambda n: n >= 40,
        lambda n: n % 10 >= 8,
    ]

    async def follow(searches, position):
        while True:
            piece = await follower.entries(position, searches, records=size, bytes=10**6, now=NOON)
            for each in piece.rows:
                yield int(each.entry.msg), each.wanted
            position = piece.position
            if not piece.more:
                return

    every = {n: wanted async for n, wanted in follow(SEARCHES, BEGINNING)}
    some = [n async for n, _ in follow(SEARCHES[1:3], BEGINNING)]
    none = [n async for n, _ in follow([], BEGINNING)]
    for place, meet in enumerate(meets):
        assert [n for n in range(50) if meet(n)] == [n for n in every if place in every[n]]
        found, _ = await walked(follower, BEGINNING, SEARCHES[place], records=size)
        assert [str(n) for n in range(50) if meet(n)] == found
    assert all(wanted[-1] == 4 for wanted in every.values())
    assert [n for n in range(50) if meets[1](n) or meets[2](n)] == some
    assert [] == none


async def test_all_that_was_kept(follower, pool):
    """
    A forwarder gets every column, and the resource and scope; of a time that Python doesn't
    have the nearest, and is told so.
    """
    resource = Resource(id=7, attributes='{"host.name": "web-1"}', schema_url="http://x")
    scope = Scope(id=-8, name="lib", version="1", attributes='{"a": 1}')
    full = record(
        msg="full",
        timestamp_ns=7,
        observed_timestamp=NOON,
        extra={"a": {"b": [1, None, "é"]}},
        otlp={"x": 1},
        resource_id=7,
        scope_id=-8,
        duration_ms=1.5,
        job_id=2**62,
    )
    await store(pool, full, resources={7: resource}, scopes={-8: scope})
    await run(pool, "end", time="infinity")
    huge = "[1" + 400 * "0" + ".5]"  # no number of Python's
    await pool.execute(
        "INSERT INTO log_entries (level, extra, created_at) VALUES ('x', $1, NULL)", huge
    )
    piece = await follower.stored(BEGINNING, None, now=NOON, **PLENTY)
    first, second, third = piece.rows

    assert full == first.record
    assert (resource, scope, False) == (first.resource, first.scope, first.clamped)
    assert abs(time(first.received_at) - dt.datetime.now(dt.UTC)) < HOUR
    assert (True, 9999) == (second.clamped, time(second.record.timestamp).year)
    assert {"extra": huge} == third.record.extra


async def test_readers_at_once(follower, pool, monkeypatch):
    """
    Several may read through one follower at once, and each gets all that belongs to its records.
    """
    monkeypatch.setattr(stored, "KEPT", 0)
    resource = Resource(id=7, attributes="{}")
    await store(pool, *(record(resource_id=7) for _ in range(50)), resources={7: resource})
    found = await asyncio.gather(*(walked_rows(follower, records=5) for _ in range(4)))

    assert all([resource] * 50 == [each.resource for each in rows] for rows in found)


async def test_rows_that_are_moved(follower, pool):
    """
    Records that were moved to the partition of their day come once, and from where they were.
    """
    await store(pool, *(record(msg=str(n), timestamp=NOON + n * SECOND) for n in range(20)))
    first = await follower.stored(BEGINNING, None, now=NOON, records=10, bytes=10**6)
    await partitions.maintain(pool, NOON.date(), ahead=0)
    second, _ = await walked(follower, first.position)

    assert list(map(str, range(20))) == [each.record.msg for each in first.rows] + second


async def test_changed_rows_are_not_new(follower, pool, distributed):
    """
    A record that is changed after it was read doesn't come again, with another time neither.
    """
    table = "log_entries_days" if distributed else "log_entries"
    await store(pool, record(msg="a"), record(msg="b"))
    _, position = await walked(follower)
    await pool.execute(f"UPDATE {table} SET msg = 'c', timestamp = '2025-11-13T11:00Z'")
    piece = await follower.stored(position, None, now=NOON, **PLENTY)

    assert ([], position, 0, 0) == (piece.rows, piece.position, piece.passed, piece.gone)


async def test_deleted_rows_are_told_of(follower, pool):
    """
    What was deleted before it could be read is counted, of small transactions and of large.
    """
    await store(pool, *(record(msg=str(n)) for n in range(3)))
    await store(pool, *(record(msg=f"large {n}") for n in range(30)))
    first = await follower.stored(BEGINNING, None, now=NOON, records=10, bytes=10**6)
    await pool.execute(f"DELETE FROM {await filled(pool)} WHERE msg IN ('large 5', 'large 29')")
    await store(pool, record(msg="none"))
    await pool.execute(f"DELETE FROM {await filled(pool)} WHERE msg = 'none'")
    pieces = [piece async for piece in walk(follower, first.position, records=10)]

    assert 28 == sum(len(piece.rows) for piece in pieces)
    assert 3 == sum(piece.gone for piece in pieces)


async def test_what_the_ledger_has_forgotten_is_told_of(follower, pool):
    """
    Days that were dropped from the ledger before a position had seen them count as gone, once;
    who begins at the beginning asks for no more than there is.
    """
    start = await follower.now()
    await store(pool, record(msg="a"), record(msg="b"))
    today = dt.datetime.now(dt.UTC).date()
    await partitions.maintain(pool, today, ahead=0)
    async with pool.acquire() as connection:
        dropped = await partitions.drop_ledger(connection, today + partitions.DAY)
    idle = [piece async for piece in walk(follower, start)]
    await store(pool, record(msg="c"))
    pieces = [piece async for piece in walk(follower, start)]
    after = [piece async for piece in walk(follower, pieces[-1].position)]
    beginning = [piece async for piece in walk(follower)]

    assert today in dropped
    assert 2 == sum(piece.gone for piece in idle) == sum(piece.gone for piece in pieces)
    assert 0 == sum(piece.gone for piece in after) == sum(piece.gone for piece in beginning)
    assert ["c"] == (await walked(follower, idle[-1].position))[0]


@pytest.mark.parametrize("known", [True, False], ids=["by its position", "by the counts"])
async def test_tables_of_another_server(follower, pool, known, distributed):
    """
    After a backup is restored elsewhere a destination goes on: what all destinations had read
    doesn't come again, and all else does, old and new.
    """
    if distributed:
        pytest.skip(reason="a Citus cluster is restored as a whole, with its coordinator's numbers")
    await destinations.register(pool, "archive", BEGINNING)
    await destinations.register(pool, "other", BEGINNING)
    for msg in "abcd":
        await store(pool, record(msg=msg))
    # As if the server had been at a higher number by a thousand million.
    for table in ("log_entries", "ledger"):
        await pool.execute(f"UPDATE {table} SET xid = (xid::text::bigint + 1000000000)::text::xid8")
    xids = [row[0] for row in await pool.fetch("SELECT xid FROM log_entries ORDER BY xid")]
    positions = {"archive": xids[2] + 1, "other": xids[0] + 1} if known else {}
    for name, xmax in positions.items():
        await destinations.skip(pool, name, Position(Snapshot(xmax)))
    if not known:
        await pool.execute("UPDATE roll_up_position SET counted = '1500000000:1500000000:'")
    await store(pool, record(msg="e"))
    await roll_ups.count(pool)
    found = await destinations.status(pool)
    await store(pool, record(msg="f"))

    for each in found:
        expected = [*"bcdef"] if known else [*"abcdef"]
        assert expected == (await walked(follower, each.position))[0]
    assert [*"abcdef"] == (await walked(follower))[0]


async def test_starts(follower, pool, connections):
    """
    One may begin with what comes from now on, or from a time on, or at the beginning.
    """
    await store(pool, record(msg="a"))
    between = dt.datetime.now(dt.UTC)
    before = await follower.now()
    await store(pool, record(msg="b"))
    await store(pool, record(msg="c"))

    assert ["b", "c"] == (await walked(follower, before))[0]
    assert [] == (await walked(follower, await follower.now()))[0]
    assert ["b", "c"] == (await walked(follower, await follower.since(between)))[0]
    assert ["a", "b", "c"] == (await walked(follower, await follower.since(NOON)))[0]
    assert [] == (await walked(follower, await follower.since(between + HOUR)))[0]
    with pytest.raises(Foreign, match="this server has not had"):
        await follower.stored(Position(Snapshot(2**40)), None, now=NOON, **PLENTY)


async def test_up_to_a_snapshot(follower, pool):
    """
    Who asks for what a snapshot sees gets that, and the rest of what was begun.
    """
    await store(pool, *(record(msg=msg) for msg in "abc"))
    middle = await follower.now()
    await store(pool, *(record(msg=msg) for msg in "def"))
    found, position = await walked(follower, BEGINNING, upto=middle.seen, records=2)
    begun = (await follower.stored(position, None, now=NOON, records=1, bytes=10**6)).position
    rest, _ = await walked(follower, begun, upto=middle.seen)

    assert [*"abc"] == found
    assert [*"ef"] == rest


async def test_lag(follower, pool):
    """
    How much a position has not seen is told in records, bytes and seconds.
    """
    await store(pool, *(record(msg=500 * "x") for _ in range(100)))
    await pool.execute("ANALYZE")  # all there is, on all servers
    piece = await follower.stored(BEGINNING, None, now=NOON, records=10, bytes=10**6)
    behind, ended = await follower.lag(piece.position), await follower.lag(await follower.now())

    assert 90 == behind.records
    assert 90 * 500 < behind.bytes < 90 * 2_000
    assert 0 < behind.seconds < 600
    assert (0, 0, 0) == (ended.records, ended.bytes, ended.seconds)
