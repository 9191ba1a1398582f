"""The writer, against a real Postgres."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from storage import writer
from storage.errors import Unavailable
from storage.records import Resource, Scope
from tests.builders import batch, record

# Postgres compresses what repeats, so this does not
TOO_LONG = "".join(map(str, range(20_000)))


@asynccontextmanager
async def writing(pool, **config):
    commits = []
    async with writer.writing(
        pool, writer.WriterConfig(**config), lambda seconds, records: commits.append(records)
    ) as log_writer:
        log_writer.commits = commits
        yield log_writer


async def test_submit_returns_after_commit(pool):
    """
    What `submit` acknowledged is in the table, with the id it was given.
    """
    async with writing(pool) as log_writer:
        sent = record(msg="hello", job_id=7, extra={"a": [1, None]})
        outcome = await log_writer.submit(batch(sent))
        found = await pool.fetch("SELECT id, msg, job_id, extra FROM log_entries")

    assert outcome.stored == 1
    assert [(sent.id, "hello", 7, '{"a": [1, null]}')] == [tuple(row) for row in found]


async def test_requests_share_commits(pool):
    """
    Requests that arrive while a commit runs go together in the next one.
    """
    async with writing(pool, connections=1) as log_writer:
        await asyncio.gather(*(log_writer.submit(batch(record())) for _ in range(50)))

        assert sum(log_writer.commits) == 50
        assert len(log_writer.commits) <= 3


@pytest.mark.parametrize(("more", "at_once"), [(5, 1), (writer.FEW, 2)])
async def test_few_records_wait_for_a_commit_of_few(pool, more, at_once):
    """
    While a commit of few records runs, no other begins until many wait; then all are stored.
    """
    async with writing(pool) as log_writer:
        await log_writer.submit(batch(record()))
        async with (
            asyncio.TaskGroup() as tasks,
            pool.acquire() as connection,
            connection.transaction(),
        ):
            await connection.execute("LOCK TABLE log_entries IN ACCESS EXCLUSIVE MODE")
            tasks.create_task(log_writer.submit(batch(record())))
            await asyncio.sleep(0.3)
            for _ in range(more):
                tasks.create_task(log_writer.submit(batch(record())))
            await asyncio.sleep(0.3)
            waiting = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock'"
            )
        assert at_once == waiting
        assert log_writer.commits in ([1, 1, more], [1, more, 1])


async def test_no_commit_takes_more_than_its_share(pool):
    """
    Of many records at once each connection's commits take a part, and one is kept waiting.
    """
    async with writing(pool) as log_writer:
        await asyncio.gather(
            *(log_writer.submit(batch(*(record() for _ in range(300)))) for _ in range(12))
        )

    assert sum(log_writer.commits) == 3_600
    assert max(log_writer.commits) <= 1_200


async def test_ids_ascend_in_order_of_arrival(pool):
    """
    Ids order records of the same time as they arrived, within and across requests.
    """
    async with writing(pool) as log_writer:
        batches = [batch(*(record(msg=f"{b}-{r}") for r in range(700))) for b in range(5)]
        await asyncio.gather(*map(log_writer.submit, batches))
        found = await pool.fetch("SELECT msg FROM log_entries ORDER BY timestamp, id")

    assert [f"{b}-{r}" for b in range(5) for r in range(700)] == [row["msg"] for row in found]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        pytest.param({"msg": "a\0b"}, "0x00", id="NUL in text"),
        pytest.param({"extra": {"a": "\0"}}, "Unicode", id="NUL in jsonb"),
        pytest.param({"msg": "\ud800"}, "surrogates", id="lone surrogate"),
        pytest.param({"request_id": TOO_LONG}, "index row", id="too long for an index"),
        pytest.param({"job_id": 2**63}, "out of int64 range", id="beyond int64"),
    ],
)
async def test_a_bad_row_costs_only_itself(pool, bad, reason):
    """
    A row that Postgres refuses is isolated; the others, its own request's too, are stored.
    """
    async with writing(pool, connections=1) as log_writer:
        mixed = batch(*(record(**(bad if n == 37 else {"msg": "fine"})) for n in range(100)))
        outcomes = await asyncio.gather(
            log_writer.submit(mixed), log_writer.submit(batch(record(msg="fine")))
        )
        stored = await pool.fetchval("SELECT count(*) FROM log_entries WHERE msg = 'fine'")
        ledger = await pool.fetchrow("SELECT sum(records), sum(refused) FROM ledger")

    assert [outcome.stored for outcome in outcomes] == [99, 1]
    assert [refusal.index for refusal in outcomes[0].refused] == [37]
    assert reason in outcomes[0].refused[0].reason
    assert stored == 100
    assert tuple(ledger) == (100, 1)


async def test_ledger_tells_which_rows_a_transaction_added(pool):
    """
    A ledger row has the transaction's id, which its rows have too, and their time range.
    """
    async with writing(pool) as log_writer:
        await log_writer.submit(batch(record(), record(), receiver="otlp", sender="sdk"))
        await log_writer.submit(batch(record(), receiver="pixsim", sender="old"))
        found = await pool.fetch("""
            SELECT l.receiver, l.sender, l.requests, l.records, count(*) AS rows
            FROM ledger l JOIN log_entries e ON e.xid = l.xid
                AND e.timestamp BETWEEN l.min_timestamp AND l.max_timestamp
            GROUP BY l.id, 1, 2, 3, 4 ORDER BY l.id""")

    assert [tuple(r) for r in found] == [("otlp", "sdk", 1, 2, 2), ("pixsim", "old", 1, 1, 1)]


@pytest.mark.parametrize("setting", ["on", "off"])
async def test_ledger_keeps_every_name_of_a_sender(pool, setting):
    """A User-Agent is kept as it came, whatever the server makes of backslashes."""
    sender = r"""curl/8.0 (O'Hara; \'; \x41) "é" -- $1 %s {}"""
    name = await pool.fetchval("SELECT quote_ident(current_database())")
    await pool.execute(f"ALTER DATABASE {name} SET standard_conforming_strings = {setting}")
    await pool.expire_connections()
    async with writing(pool) as log_writer:
        await log_writer.submit(batch(record(), receiver="otlp", sender=sender))
    assert await pool.fetchval("SELECT sender FROM ledger") == sender


async def test_resources_and_scopes_are_stored_once(pool):
    """
    A resource or scope is inserted with the first record that refers to it.
    """
    resource = Resource(id=-5, attributes='{"service.name":"api"}')
    scope = Scope(id=6, name="lib", version="1", attributes="{}")
    async with writing(pool) as log_writer:
        for _ in range(3):
            await log_writer.submit(
                batch(
                    record(resource_id=-5, scope_id=6),
                    resources={-5: resource},
                    scopes={6: scope},
                )
            )
        found = await pool.fetch("""
            SELECT r.attributes ->> 'service.name', s.name FROM log_entries
            JOIN resources r ON r.id = resource_id JOIN scopes s ON s.id = scope_id""")

    assert [tuple(row) for row in found] == [("api", "lib")] * 3


async def test_a_failed_transaction_does_not_mark_its_resources_as_stored(pool):
    """
    A resource whose transaction failed is inserted again with the next record.
    """
    resource = Resource(id=1, attributes="{}")
    async with writing(pool, connections=1) as log_writer:
        await pool.execute("ALTER TABLE ledger RENAME TO away")
        with pytest.raises(Unavailable):
            await log_writer.submit(batch(record(resource_id=1), resources={1: resource}))
        await pool.execute("ALTER TABLE away RENAME TO ledger")
        await log_writer.submit(batch(record(resource_id=1), resources={1: resource}))
        resources = await pool.fetchval("SELECT count(*) FROM resources")
        rows = await pool.fetchval("SELECT count(*) FROM log_entries")

    assert (resources, rows) == (1, 1)


async def test_a_slow_database_is_unavailable_and_stores_nothing(pool):
    """
    A commit that takes too long fails whole: the sender may send the same again.
    """
    async with writing(pool, commit_timeout=1.5, connections=1) as log_writer:
        await log_writer.submit(batch(record()))
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE log_entries IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(Unavailable):
                await log_writer.submit(batch(record()))
        again = await log_writer.submit(batch(record()))
        rows = await pool.fetchval("SELECT count(*) FROM log_entries")

    assert again.stored == 1
    assert rows == 2


async def test_the_log_says_when_commits_fail_and_when_they_succeed_again(pool):
    """
    However many requests an outage costs, the log has one line for its start and one for its
    end.
    """
    with capture_logs() as lines:
        async with writing(pool, connections=1) as log_writer:
            await pool.execute("ALTER TABLE ledger RENAME TO away")
            for _ in range(5):
                with pytest.raises(Unavailable):
                    await log_writer.submit(batch(record()))
            await pool.execute("ALTER TABLE away RENAME TO ledger")
            for _ in range(5):
                await log_writer.submit(batch(record()))

    assert ["commits_fail", "commits_succeed_again"] == [line["event"] for line in lines]
    assert "ledger" in lines[0]["error"]


async def test_killed_connections_are_replaced(pool):
    """
    After Postgres ended our connections, the writer goes on with new ones by itself.
    """
    async with writing(pool) as log_writer:
        await log_writer.submit(batch(record()))
        async with pool.acquire() as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        for _ in range(10):
            try:
                outcome = await log_writer.submit(batch(record()))
                break
            except Unavailable:
                await asyncio.sleep(0.05)

    assert outcome.stored == 1


async def test_closing_writes_what_waits_and_takes_no_more(pool):
    """
    At the end of the block all that was submitted is written; what comes later is refused.
    """
    async with writing(pool, connections=1) as log_writer:
        sent = [
            asyncio.create_task(log_writer.submit(batch(record(), record()))) for _ in range(20)
        ]
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*sent)

    assert [outcome.stored for outcome in outcomes] == [2] * 20
    with pytest.raises(Unavailable, match="stopping"):
        await log_writer.submit(batch(record()))


async def test_a_batch_without_records_is_stored_at_once(pool):
    """
    Nothing to store is no error, and no commit.
    """
    async with writing(pool) as log_writer:
        outcome = await log_writer.submit(batch())

        assert (outcome.stored, outcome.refused) == (0, ())
        assert log_writer.commits == []
