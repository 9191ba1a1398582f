"""Records on their way to a destination, through a real database and over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import re
from collections import Counter
from contextlib import asynccontextmanager

import aiohttp
import pytest
from yarl import URL

from collector import cli, server, telemetry
from collector.api import Api, forwarders
from collector.body import InFlight
from collector.components import BUILT_IN, Catalog, Component
from collector.forwarding import delivery, feed, tenure
from collector.forwarding.forwarders import forwarding
from collector.forwarding.http import Body, HttpTarget
from collector.forwarding.settings import Batch, HttpForwarder, RetryOnFailure
from storage import dead_letters, destinations
from storage.follower import Follower
from storage.positions import BEGINNING
from tests.builders import record
from tests.scripted import CUT, Reply, scripted
from tests.stored import store
from tests.waiting import until_async

NAME = "lines/there"


def encode(records):
    lines = [stored.record.msg for stored in records]
    return Body(data="\n".join(lines).encode(), content_type="text/plain")


LINES = Component(
    config=HttpForwarder, create=lambda config: HttpTarget(config, encode), by_default=False
)
CATALOG = Catalog({**BUILT_IN, "exporters": {**BUILT_IN["exporters"], "lines": LINES}})


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """What is done every second or more is done at once."""
    for name, seconds in {"WATCH": 0.03, "PROBE": 0.3, "GRACE": 0.3, "LAG": 0.1}.items():
        monkeypatch.setattr(tenure, name, seconds)
    monkeypatch.setattr(delivery, "CLAIM", 0.03)
    monkeypatch.setattr(feed, "POLL", 0.03)


def settings(url, **changes):
    return HttpForwarder(
        endpoint=url,
        **{
            "start_at": "beginning",
            "batch": Batch(max_records=10, timeout=0.01),
            "retry_on_failure": RetryOnFailure(initial_interval=0.01, max_interval=0.02),
            "compression": "none",
            **changes,
        },
    )


def sending(database, url, **changes):
    return forwarding({NAME: settings(url, **changes)}, database, catalog=CATALOG)


def lines(sink):
    """The records that *sink* took, in the order in which they came."""
    return [line for request in sink.requests for line in request.body.decode().split("\n")]


def messages(*numbers):
    return [record(msg=f"line {n}") for n in numbers]


async def row(pool):
    return {each.name: each for each in await destinations.status(pool)}[NAME]


def reached(pool, **expected):
    """Give what waits for the destination's row to have *expected*."""

    async def found():
        there = await row(pool)
        values = {name: getattr(there, name) for name in expected}
        return there if values == expected else None

    return lambda: until_async(found)


async def test_what_is_stored_before_and_after_arrives(database, pool):
    """
    A destination that begins at the beginning has all that was stored, and then what is stored,
    each record once where nothing fails, in the order of its transactions.
    """
    await store(pool, *messages(*range(25)))
    async with scripted() as sink, sending(database, sink.url):
        await reached(pool, sent=25)()
        await store(pool, *messages(*range(25, 40)))
        there = await reached(pool, sent=40)()

    assert [f"line {n}" for n in range(40)] == lines(sink)
    assert ("running", 0, 0, 0) == (there.state, there.dead, there.skipped, there.rejected)


async def test_a_filter_passes_over_what_it_does_not_want(database, pool):
    """
    Only what the filter finds is sent, and the position passes over the rest.
    """
    await store(pool, *messages(*range(30)))
    async with scripted() as sink, sending(database, sink.url, filter='"line 7"'):
        there = await reached(pool, sent=1)()
        await store(pool, *messages(*range(100, 110)))
        await until_async(lambda: moved(pool, there.position))

    assert ["line 7"] == lines(sink)


async def moved(pool, position):
    return (await row(pool)).position != position


@pytest.mark.parametrize("seed", [1])
async def test_a_sender_killed_at_any_moment_loses_nothing(database, pool, seed):
    """
    A sender that is killed at any moment, and a destination that is down, slow, out of order or
    cuts the connection, lose no record; a bad one among them is a dead letter with the reason.
    """
    chance = random.Random(seed)

    def rule(request):
        if b"line 77" in request.body and chance.random() < 0.7:
            return Reply(400, b"line 77 is bad")
        if b"line 77" in request.body:
            return Reply(500)
        again = [CUT, Reply(503), Reply(429, headers={"Retry-After": "0"}), Reply(413), Reply(500)]
        if chance.random() < 0.3:
            reply = chance.choice(again)
            single = b"\n" not in request.body
            return Reply() if single and reply == Reply(413) else reply
        accepted.extend(request.body.decode().split("\n"))
        return Reply(after=chance.choice((0, 0, 0.01)))

    accepted = []
    total = 80
    await store(pool, *messages(*range(40)))
    await destinations.register(pool, NAME, BEGINNING)
    async with scripted(rule) as sink:
        adding = asyncio.create_task(add(pool, 40, total))
        async with asyncio.timeout(40):
            for tries in itertools.count():  # more and more time, for a machine that is slow now
                running = asyncio.create_task(run(sending(database, sink.url, concurrency=3)))
                await asyncio.sleep(chance.choice((0.02, 0.1, 0.3)) * (1 + tries / 20))
                running.cancel()
                await asyncio.wait([running])
                there = await row(pool)
                if there.sent + there.dead >= total and adding.done():
                    break

    assert {f"line {n}" for n in range(total) if n != 77} == set(accepted)
    [letter] = await dead_letters.page(pool, NAME, limit=10)
    assert ("line 77", 400) == (letter.entry.msg, letter.status)
    assert "HTTP 400: line 77 is bad" == letter.reason
    assert (total - 1, 1) == (there.sent, there.dead)


async def add(pool, start, end):
    for n in range(start, end, 10):
        await store(pool, *messages(*range(n, n + 10)))


async def run(context):
    async with context:
        await asyncio.Event().wait()


async def test_of_two_collectors_one_sends_and_the_other_takes_over(database, pool):
    """
    However many collectors have a destination, one sends; when its connection is lost, it stops
    and another goes on from where it was.
    """
    await store(pool, *messages(*range(10)))
    async with scripted() as sink, sending(database, sink.url), sending(database, sink.url):
        first = await reached(pool, sent=10)()
        assert first.holder
        await pool.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND pid <> pg_backend_pid()"
        )
        await store(pool, *messages(*range(10, 20)))
        after = await reached(pool, sent=20)()

    assert after.epoch > first.epoch
    assert {f"line {n}" for n in range(20)} == set(lines(sink))


@asynccontextmanager
async def operating(pool):
    """A client of the API that tells of destinations and changes them."""
    api = Api(endpoint="127.0.0.1:0")
    routes = forwarders.routes(pool, Follower(pool), {NAME})
    listening = server.listening(
        [server.Listener(api, routes)], InFlight(1_000), shutdown_timeout=1
    )
    async with listening as (url,), aiohttp.ClientSession(url) as client:

        async def command(*arguments):
            given = ["forward", *arguments, "--url", url]
            assert 0 == await asyncio.to_thread(cli.main, given)

        async def ask(path="", method="GET", status=200, **options):
            where = f"/api/v1/forwarders/{NAME.replace('/', '%2F')}{path}"
            async with client.request(method, URL(where, encoded=True), **options) as answer:
                assert status == answer.status, await answer.text()
                return await answer.json()

        ask.command = command
        yield ask


async def test_paused_and_resumed(database, pool):
    """
    A destination that is paused gets nothing, until it is resumed: then all that was stored
    meanwhile. Pages of other sites can do neither.
    """
    async with (
        scripted() as sink,
        sending(database, sink.url),
        operating(pool) as ask,
    ):
        await until_async(lambda: held(pool))
        await until_async(sends)
        stranger = {"Origin": "https://elsewhere.example"}
        await ask("/pause", "POST", 403, headers=stranger)
        status = await ask("/pause", "POST", params={"reason": "they asked"})
        assert ("paused", "they asked", True) == (
            status["state"],
            status["reason"],
            status["configured"],
        )
        await until_async(rests)
        await store(pool, *messages(*range(15)))
        await asyncio.sleep(0.2)
        assert [] == sink.requests
        assert 15 == (await ask())["waiting"]["records"]
        await ask("/resume", "POST")
        await reached(pool, sent=15)()
        assert {"records": 0, "bytes": 0, "seconds": 0} == (await ask())["waiting"]

    assert 15 == len(lines(sink))


async def test_dead_letters_are_shown_sent_again_and_deleted(database, pool):
    """
    A dead letter has its record and the reason, can be sent again, counts once more what is
    said then, and can be deleted; the record stays in any case.
    """
    bad = {b"line 3", b"line 5"}

    def rule(request):
        wrong = [line for line in request.body.split(b"\n") if line in bad]
        return Reply(400, b"no " + wrong[0]) if wrong else Reply()

    await store(pool, *messages(*range(10)))
    async with (
        scripted(rule) as sink,
        sending(database, sink.url),
        operating(pool) as ask,
    ):
        await reached(pool, sent=8, dead=2)()
        found = await ask("/dead-letters")
        letters = {each["entry"]["msg"]: each for each in found["dead_letters"]}
        assert {
            "line 3": ("HTTP 400: no line 3", 400, 1),
            "line 5": ("HTTP 400: no line 5", 400, 1),
        } == {
            line: (each["reason"], each["status"], each["attempts"])
            for line, each in letters.items()
        }
        three = letters["line 3"]["id"]
        [first] = (await ask("/dead-letters", params={"limit": 1}))["dead_letters"]
        [second] = (await ask("/dead-letters", params={"before": first["id"]}))["dead_letters"]
        assert [first["id"], second["id"]] == sorted(
            (each["id"] for each in letters.values()), reverse=True
        )

        bad.remove(b"line 5")
        assert {"dead_letters": 2} == await ask("/dead-letters/retry", "POST")
        await reached(pool, sent=9, letters=1)()
        [left] = await until_async(lambda: retried(pool))
        assert (three, 2, False) == (left.id, left.attempts, left.retry)

        await ask(f"/dead-letters/{three}", "DELETE")
        await ask(f"/dead-letters/{three}", "DELETE", 404)
        assert [] == (await ask("/dead-letters"))["dead_letters"]
        await ask(f"/dead-letters/{2**64}", "DELETE", 422)

    assert 10 == await pool.fetchval("SELECT count(*) FROM log_entries")
    assert "dead letters" in await pool.fetchval("SELECT reason FROM log_deletions")


async def retried(pool):
    letters = await dead_letters.page(pool, NAME, limit=10)
    return None if any(letter.retry for letter in letters) else letters


async def test_an_operator_does_all_that_at_a_terminal(database, pool, capsys):
    """
    The command shows what waits and what is wrong, and says to a destination what is asked of it.
    """

    def said():
        """What the command said, without our own log."""
        return [line for line in capsys.readouterr().out.splitlines() if not line.startswith("20")]

    await store(pool, *messages(*range(10)))
    async with (
        scripted(lambda request: Reply(400 if b"line 3" in request.body else 200)) as sink,
        sending(database, sink.url),
        operating(pool) as ask,
    ):
        await reached(pool, sent=9, letters=1)()
        await ask.command("dead-letters", NAME)
        assert ["HTTP 400", "line 3"] == re.findall("HTTP 400|line 3", " ".join(said()))
        await ask.command("retry-dead-letters", NAME, "--json")
        assert ['{"dead_letters":1}'] == said()
        await ask.command("replay", NAME, "--from", "2020-01-01")
        assert [f"replay 1 of {NAME} has begun"] == said()
        await reached(pool, sent=18)()
        await ask.command("pause", NAME, "--reason", "they upgrade")
        assert f"{NAME} is paused: they upgrade" == said()[2]
        await ask.command("replay", NAME, "--from", "2020-01-01")
        await ask.command("status")
        assert f"{NAME} replays: 0 sent, number 2" == said()[-1]
        await ask.command("cancel", NAME, "2")
        assert f"{NAME} is paused: they upgrade" == said()[-1]
        await ask.command("skip", NAME)
        await ask.command("resume", NAME)
        said()
        await ask.command("status")
        head, row = said()
        values = dict(zip(head.split(), row.split(), strict=True))
        assert (NAME, "running", "0", "18") == (
            values["name"],
            values["state"],
            values["waiting"],
            values["sent"],
        )


async def test_what_was_sent_is_sent_once_more_beside_what_is_new(database, pool):
    """
    A replay sends what was received in a range of time once more, and holds up nothing new, even
    where the destination doesn't take it; it can be cancelled.
    """
    refused = []

    def rule(request):
        return Reply(503 if any(line in refused for line in request.body.split(b"\n")) else 200)

    await store(pool, *messages(*range(10)))
    async with (
        scripted(rule) as sink,
        sending(database, sink.url),
        operating(pool) as ask,
    ):
        await reached(pool, sent=10)()
        day = {"start_time": "2020-01-01"}
        number = (await ask("/replay", "POST", params=day))["replay"]
        await reached(pool, sent=20)()
        await until_async(lambda: replayed(ask, number))
        await store(pool, *messages(*range(10, 15)))
        await reached(pool, sent=25)()
        counts = Counter(lines(sink))
        assert {2: 10, 1: 5} == Counter(counts.values())

        refused.append(b"line 3")
        number = (await ask("/replay", "POST", params=day))["replay"]
        await until_async(lambda: failing(pool))
        await store(pool, *messages(99))
        await until_async(lambda: arrived(sink, "line 99"))
        status = await ask(f"/replays/{number}", "DELETE")
        assert [(number, "cancelled")] == [
            (each["id"], each["state"]) for each in status["replays"] if each["id"] == number
        ]
        await ask("/replays/12345", "DELETE", 404)
        await ask("/replay", "POST", 422)


async def replayed(ask, number):
    replays = (await ask())["replays"]
    return next(each for each in replays if each["id"] == number)["state"] == "done"


async def arrived(sink, line):
    return line in lines(sink)


async def sends():
    return telemetry.forwarding_running.labels(NAME)._value.get() == 1


async def rests():
    """Whether the one that sends knows that it is not to."""
    return not await sends()


async def held(pool):
    with contextlib.suppress(KeyError):
        return (await row(pool)).holder


async def test_a_destination_that_refuses_us_is_stopped_and_tried_now_and_then(database, pool):
    """
    A destination whose token is wrong is stopped with the reason; it is tried with one batch now
    and then, and goes on by itself when it takes that.
    """
    await store(pool, *messages(*range(30)))
    allowed = []
    async with (
        scripted(lambda _: Reply(200 if allowed else 401, b"bad token")) as sink,
        sending(database, sink.url, concurrency=1),
    ):
        if True:
            there = await reached(pool, state="stopped")()
            assert ("HTTP 401: bad token", 0) == (there.reason, there.sent)
            tried = len(sink.requests)
            await asyncio.sleep(0.1)
            assert tried == len(sink.requests)
            allowed.append(True)
            there = await reached(pool, state="running", sent=30)()

    assert (0, None) == (there.dead, there.reason)


async def test_skipped_by_hand(database, pool):
    """
    Skipped to now, a destination that hangs on what it can't take goes on with what is new.
    """
    await store(pool, *messages(*range(5)))

    def rule(request):
        return Reply(503 if b"line 1" in request.body else 200)

    async with (
        scripted(rule) as sink,
        sending(database, sink.url),
        operating(pool) as ask,
    ):
        await until_async(lambda: failing(pool))
        await ask("/skip", "POST", 422, params={"position": "nonsense"})
        before = await ask("/skip", "POST")
        assert (0, 5) == (before["sent"], before["skipped"])
        await store(pool, *messages(50, 51))
        await reached(pool, sent=2)()

    assert {"line 50", "line 51"} <= set(lines(sink))


async def failing(pool):
    return (await row(pool)).last_error
