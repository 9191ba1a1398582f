"""From the spool into the table: each request once, whatever became of the transaction before."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import asyncpg
import pytest
from structlog.testing import capture_logs

from storage import database as storage_database
from storage import drain, encoding, fallback, repeats, spool, writer
from storage.errors import Faulty, SpoolFailed, Unavailable
from storage.fallback import Fallback
from storage.spool_file import Attempt, SpoolConfig, SpoolFile
from tests.builders import NOON, batch, record
from tests.stored import filled, store
from tests.waiting import until_async

# Postgres compresses what repeats, so this does not
TOO_LONG = "".join(map(str, range(20_000)))
PATIENT = 0.3  # seconds until a request goes into the spool


class Way:
    """The way in, by *fallback*, and the one out of the spool."""

    def __init__(self, fallback, spooled, pool):
        self.fallback, self.spool, self._pool = fallback, spooled, pool
        self.drained, self.lines = [], []

    @asynccontextmanager
    async def draining(self):
        """Take out what is in the spool, as a process that is new does."""
        settings = writer.WriterConfig(connections=1, straight=False)
        async with writer.writing(self._pool, settings, lambda *_: None) as log_writer:
            drainer = drain.Drain(
                self.spool, self._pool, log_writer, lambda _: None, self.drained.append
            )
            task = asyncio.create_task(drainer.run())
            try:
                yield drainer
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def drain(self):
        async with self.draining():
            await self.emptied()

    async def emptied(self):
        async def empty():
            return not (await self.waits()).requests

        await until_async(empty)

    async def waits(self):
        return await self.spool.call(SpoolFile.waits)


@pytest.fixture(name="way")
async def _way(database, tmp_path, monkeypatch):
    """The way into a database that hangs after a moment."""
    monkeypatch.setattr(drain, "POLL", 0.02)
    monkeypatch.setattr(fallback, "TRY", 0.2)
    config = SpoolConfig(file=tmp_path / "x.sqlite3", min_free_bytes=0)
    async with (
        connected(database) as pool,
        connected(database) as draining,
        spool.spooling(config) as spooled,
    ):
        log_writer = writer.LogWriter(pool, writer.WriterConfig(patience=PATIENT), lambda *_: None)
        running = asyncio.create_task(log_writer.run())
        found = Way(Fallback(log_writer.submit, spooled), spooled, draining)
        with capture_logs() as found.lines:
            yield found
        log_writer.close()
        await running


def connected(dsn):
    return storage_database.connected(dsn, size=2, init=encoding.prepare)


@asynccontextmanager
async def locked(dsn, table):
    """Nobody comes to *table* inside the block."""
    connection = await asyncpg.connect(dsn)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    try:
        yield
    finally:
        await transaction.rollback()
        await connection.close()


async def messages(pool):
    return [row[0] for row in await pool.fetch("SELECT msg FROM log_entries ORDER BY id")]


async def test_what_cannot_be_stored_waits(way, pool, database):
    """
    While a table is locked requests are taken all the same, without ids, and all but the first at
    once; then they are stored, and new ones go straight into the table again.
    """
    async with locked(database, await filled(pool)):
        first = record(msg="0")
        outcomes = [await way.fallback.submit(batch(first, record(msg="1")))]
        outcomes += [await way.fallback.submit(batch(record(msg=f"{n}"))) for n in range(2, 9)]
        away, waits = way.fallback.away, await way.waits()
    await way.drain()

    assert [True] * 8 == [outcome.spooled for outcome in outcomes]
    assert (away, first.id, waits.requests, waits.records) == (True, None, 8, 9)
    assert [f"{n}" for n in range(9)] == sorted(await messages(pool))
    assert 9 == await pool.fetchval("SELECT sum(records) FROM ledger")
    assert 1 == len([line for line in way.lines if line["event"] == "spool_fills"])
    await asyncio.sleep(fallback.TRY)
    assert not (await way.fallback.submit(batch(record()))).spooled
    assert not way.fallback.away


async def test_what_is_stored_is_looked_for_by_time_alone(pool, distributed):
    """
    Whether some of the records that wait are stored is never found by the index of ids, not even
    where there is no other: it would compare each range of blocks with each id, for minutes.
    """
    if distributed:
        pytest.skip(reason="the plan is made by the workers, of their own indexes")
    (number,) = await store(pool, record())
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("DROP INDEX log_entries_timestamp")
        await connection.execute(drain.INDEXED)
        plan = await connection.fetch(f"EXPLAIN {drain.STORED}", [NOON], [number])

    assert "_id_idx" not in "\n".join(row[0] for row in plan)


@pytest.mark.parametrize("ghost", [True, False])
async def test_a_commit_of_which_nobody_knows(way, pool, database, hypertable, distributed, ghost):
    """
    A transaction that we no longer wait for commits after all, or would: it is found, or ended
    before it does. Either way its records are there once.
    """
    if ghost and (hypertable or distributed):
        pytest.skip(reason="only into plain tables anything commits that we don't wait for")

    async def tried_again():
        (entry,) = (await way.spool.call(SpoolFile.piece, 0, 1)).entries
        return entry.attempt.backend == 0

    async def committed():
        return await messages(pool)

    async with AsyncExitStack() as draining:
        async with locked(database, "ledger"):
            outcome = await way.fallback.submit(batch(record(msg="a"), record(msg="b")))
            if not ghost:
                await draining.enter_async_context(way.draining())
                await until_async(tried_again)
        await until_async(committed)
        if ghost:
            await draining.enter_async_context(way.draining())
        await way.emptied()

    assert outcome.spooled
    assert ["a", "b"] == await messages(pool)
    assert [ghost] == [each.outcome is None for each in way.drained]


async def test_what_the_server_has_undone_is_certain(way, pool):
    """
    A transaction that the server itself has ended with an error is not looked for, nor its
    process, which has the next one already, ended.
    """
    await way.fallback.submit(batch(record(msg="before")))
    await pool.execute("ALTER TABLE ledger RENAME TO away")
    outcome = await way.fallback.submit(batch(record(msg="a")))
    (entry,) = (await way.spool.call(SpoolFile.piece, 0, 1)).entries
    await pool.execute("ALTER TABLE away RENAME TO ledger")
    await way.drain()

    assert outcome.spooled
    assert Attempt() == entry.attempt
    assert ["before", "a"] == await messages(pool)


async def test_who_drains_may_die_after_the_commit(way, pool, monkeypatch):
    """
    What was stored, and is in the spool still, is found in the table by who comes next.
    """
    await way.spool.put(batch(record(msg="a")))
    await way.spool.put(batch(record(msg="b"), record(msg="c")))
    with monkeypatch.context() as patch:
        patch.setattr(SpoolFile, "settle", _fails)
        async with way.draining():
            await until_async(lambda: _are(pool, 3))
    left = await way.waits()
    await way.drain()

    assert left.requests == 2
    assert ["a", "b", "c"] == await messages(pool)


async def _are(pool, number):
    return len(await messages(pool)) == number


def _fails(*_):
    raise SpoolFailed("gone")


async def test_what_is_sent_again_is_stored_once(way, pool, database):
    """
    A request that comes again is stored once, if it is still in the spool, or comes again there.
    """
    await way.fallback.submit(_keyed("before"))
    async with locked(database, await filled(pool)):
        for message in ("before", "a", "a", "b"):
            await way.fallback.submit(_keyed(message))
    await asyncio.sleep(fallback.TRY)
    again = await way.fallback.submit(_keyed("a"))
    await way.drain()
    once_more = await way.fallback.submit(_keyed("b"))

    assert (False, 1) == (again.spooled, once_more.repeated)
    assert ["a", "b", "before"] == sorted(await messages(pool))


async def test_a_key_that_was_taken_meanwhile(way, pool):
    """
    A request that was acknowledged is stored, though another has used its key since.
    """
    await way.spool.put(_keyed("a", name="n"))
    await way.fallback.submit(_keyed("b", name="n"))
    await way.drain()

    assert ["a", "b"] == sorted(await messages(pool))


def _keyed(message, name=None):
    key = (
        repeats.named("test", name, message.encode())
        if name
        else repeats.of_body("test", message.encode())
    )
    return batch(record(msg=message), key=key)


async def test_what_is_refused_for_ever_is_kept(way, pool):
    """
    A record that the database refuses costs only itself, and is kept with the reason.
    """
    await way.spool.put(batch(record(msg="a"), record(msg="bad", request_id=TOO_LONG)))
    await way.spool.put(batch(record(msg="b")))
    await way.drain()
    ((receiver, reason, kept),) = await way.spool.call(
        lambda file: file._connection.execute(
            "SELECT receiver, reason, record FROM refused"
        ).fetchall()
    )

    assert ["a", "b"] == await messages(pool)
    assert receiver == "test"
    assert "index row" in reason
    assert '"msg":"bad"' in kept
    assert ["spool_refused"] == [
        line["event"] for line in way.lines if line["log_level"] == "error"
    ]


async def test_one_that_always_fails_holds_up_no_other(way, pool, monkeypatch):
    """
    A request that the database does not take, though it takes all others, stays in the spool.
    """
    submit = writer.LogWriter.submit

    async def failing(self, given):
        if given.records[0].msg == "bad":
            raise Unavailable("a page is broken")
        return await submit(self, given)

    monkeypatch.setattr(writer.LogWriter, "submit", failing)
    for message in ("a", "bad", "b", "c"):
        await way.spool.put(batch(record(msg=message)))

    async def told():
        return any(line["event"] == "spool_entry_fails" for line in way.lines)

    async with way.draining():
        await until_async(told)
        await until_async(lambda: _are(pool, 3))

    assert ["a", "b", "c"] == await messages(pool)
    assert 1 == (await way.waits()).requests


async def test_faults_of_ours_are_not_spooled(way):
    """
    What we can't write ourselves would not be stored later either: who sent it is told.
    """

    class Odd:
        pass

    with pytest.raises(Faulty):
        await way.fallback.submit(batch(record(extra={"a": Odd()})))
    with pytest.raises(Faulty):
        await way.spool.put(batch(record(extra={"a": Odd()})))

    assert (await way.fallback.submit(batch(record()))).stored == 1
    assert (await way.waits()).requests == 0


async def test_connections_that_are_cut_all_the_time(way, pool, database):
    """
    Whenever connections are cut, at a commit too: who sends once, and has an answer, has each
    record stored once.
    """
    cutter = await asyncpg.connect(database)
    cutting = asyncio.Lock()

    async def cut():
        async with cutting:
            await cutter.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    async def send(number):
        outcome = await way.fallback.submit(batch(record(msg=f"{number:03}")))
        if number % 10 == 0:
            await cut()
        return outcome

    async with way.draining():
        async with asyncio.TaskGroup() as tasks:
            sent = []
            for number in range(200):
                sent.append(tasks.create_task(send(number)))
                await asyncio.sleep(0.002)
        await way.emptied()
    found = [row[0] for row in await cutter.fetch("SELECT msg FROM log_entries ORDER BY 1")]
    await cutter.close()

    assert {1} == {task.result().stored for task in sent}
    assert [f"{number:03}" for number in range(200)] == found
