"""What is sent again is stored once, and answered as before."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager

import asyncpg
import pytest
from structlog.testing import capture_logs

from storage import database as storage_database
from storage import encoding, repeats, writer
from storage.errors import KeyReused, Unavailable
from tests.builders import batch, record

# Postgres compresses what repeats, so this does not
TOO_LONG = "".join(map(str, range(20_000)))


@asynccontextmanager
async def writing(pool, **config):
    async with writer.writing(pool, writer.WriterConfig(**config), lambda *_: None) as log_writer:
        yield log_writer


def request(*messages, key="a", **fields):
    """A batch as a retry makes it anew: with the same key, and records without ids."""
    records = [record(msg=msg, **fields) for msg in messages]
    return batch(*records, key=repeats.of_body("test", key.encode()))


async def stored(pool):
    return sorted(row[0] for row in await pool.fetch("SELECT msg FROM log_entries"))


async def test_a_request_that_comes_again_is_stored_once(pool):
    """
    A request with a key that was stored is stored no more, by this writer or another one, gets
    the same outcome, and the same id; the ledger counts its records once.
    """
    async with writing(pool) as first, writing(pool) as second:
        before = request("a", "b")
        assert (2, 0) == _numbers(await first.submit(before))
        for log_writer in (first, second):
            again = request("a", "b")
            assert (2, 2) == _numbers(await log_writer.submit(again))
            assert before.records[0].id == again.records[0].id

    assert ["a", "b"] == await stored(pool)
    assert 2 == await pool.fetchval("SELECT sum(records) FROM ledger")


async def test_what_is_new_beside_a_repeat_is_stored(pool):
    """
    Of requests that share a commit only the repeated ones are left out.
    """
    async with writing(pool, connections=1) as log_writer:
        await log_writer.submit(request("a", key="a"))
        outcomes = await asyncio.gather(
            log_writer.submit(request("b", key="b")),
            log_writer.submit(request("a", key="a")),
            log_writer.submit(request("c", key="c")),
            log_writer.submit(batch(record(msg="d"))),
        )

    assert [(1, 0), (1, 1), (1, 0), (1, 0)] == list(map(_numbers, outcomes))
    assert ["a", "b", "c", "d"] == await stored(pool)


async def test_the_same_request_many_times_at_once(pool):
    """
    Of equal requests that arrive together, at one writer or at several, one is stored.
    """
    async with writing(pool) as first, writing(pool) as second:
        outcomes = await asyncio.gather(
            *(each.submit(request("a", "b")) for _ in range(20) for each in (first, second))
        )

    assert ["a", "b"] == await stored(pool)
    assert 39 * 2 == sum(outcome.repeated for outcome in outcomes)


async def test_a_repeat_is_refused_what_was_refused(pool):
    """
    A record that the database has refused is told again, at the same place and for its reason.
    """
    async with writing(pool) as log_writer:
        outcomes = [
            await log_writer.submit(
                batch(
                    record(msg="a"),
                    record(msg="bad", stage="x", request_id=TOO_LONG),
                    record(msg="c"),
                    key=repeats.of_body("test", b"a"),
                )
            )
            for _ in range(2)
        ]

    assert ["a", "c"] == await stored(pool)
    assert [(2, 0), (2, 2)] == list(map(_numbers, outcomes))
    assert outcomes[0].refused == outcomes[1].refused
    assert [1] == [each.index for each in outcomes[1].refused]


async def test_records_are_known_by_their_uid(pool):
    """
    A record with a uid is stored once, whatever request it comes in, also twice in one; others
    of its request are stored.
    """

    def one(msg, uid):
        return record(msg=msg, extra={repeats.UID: uid} if uid else None)

    async with writing(pool) as log_writer:
        first = batch(one("a", "1"), one("a again", "1"), one("b", None))
        assert (3, 1) == _numbers(await log_writer.submit(first))
        second = batch(one("c", None), one("a once more", "1"), one("d", "2"))
        assert (3, 1) == _numbers(await log_writer.submit(second))

    assert ["a", "b", "c", "d"] == await stored(pool)
    assert first.records[0].id == second.records[1].id


async def test_a_key_of_another_body_is_refused(pool):
    """
    A name that a sender has given to another body is not taken for a repeat in silence.
    """

    def named(msg):
        return batch(record(msg=msg), key=repeats.named("test", "n", msg.encode()))

    async with writing(pool) as log_writer:
        await log_writer.submit(named("a"))
        with pytest.raises(KeyReused):
            await log_writer.submit(named("b"))
        assert (1, 1) == _numbers(await log_writer.submit(named("a")))

    assert ["a"] == await stored(pool)


async def test_keys_are_forgotten_after_a_while(pool):
    """
    What comes again after the window is stored again.
    """
    async with writing(pool) as log_writer:
        await log_writer.submit(request("a", extra={repeats.UID: "1"}))
        await repeats.forget(pool, 600)
        await log_writer.submit(request("a", extra={repeats.UID: "1"}))
        assert ["a"] == await stored(pool)
        await pool.execute("UPDATE seen SET received_at = received_at - interval '601 s'")
        await repeats.forget(pool, 600)
        await log_writer.submit(request("a", extra={repeats.UID: "1"}))

    assert ["a", "a"] == await stored(pool)


async def test_a_sender_who_retries_has_each_record_once(database, pool, distributed):
    """
    Whenever connections are cut, at a commit too, or the sender goes before its answer: who sends
    again until there is one has everything stored, once.
    """
    with capture_logs():
        found = await _cut_again_and_again(database, random.Random(1))
    if distributed:  # which does so within a minute; what is prepared keeps a database from going
        await pool.execute("SELECT recover_prepared_transactions()")

    assert [f"{number:03}" for number in range(200)] == found


async def _cut_again_and_again(database, rng):
    async with (
        database_pool(database) as pool,
        database_pool(database) as second,
        writing(pool) as one,
        writing(second) as two,
    ):
        killer = await asyncpg.connect(database)
        cutting = asyncio.Lock()

        async def cut():
            async with cutting:
                await killer.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
                    " AND application_name = 'pixsim-collector' AND state <> 'idle'"
                )

        async def send(number):
            while True:
                patience = rng.choice((0.01, 5))
                try:
                    async with asyncio.timeout(patience):
                        await rng.choice((one, two)).submit(
                            request(f"{number:03}", key=str(number))
                        )
                except (Unavailable, TimeoutError):
                    await asyncio.sleep(0.01)
                    continue
                if number % 10 == 0:
                    await cut()
                return

        async with asyncio.TaskGroup() as tasks:
            for number in range(200):
                tasks.create_task(send(number))
                await asyncio.sleep(0.002)
        found = [row[0] for row in await killer.fetch("SELECT msg FROM log_entries ORDER BY 1")]
        await killer.close()
    return found


def database_pool(dsn):
    return storage_database.connected(dsn, size=2, init=encoding.prepare)


def _numbers(outcome):
    return outcome.stored, outcome.repeated
