"""Following records live over HTTP, on a real Postgres."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import random
import socket

import aiohttp
import pytest

from collector import server, telemetry
from collector.api import Api, routes
from collector.body import InFlight
from collector.sections import Cors
from collector.tail import feed, handlers, hub, sse
from collector.terminal.tail import events as told
from storage import database as connections
from storage import partitions
from storage.follower import Follower
from storage.reader import Reader
from tests.builders import NOON, record
from tests.integration.conftest import ON_ONE_ENGINE
from tests.stored import store

LOGS = "/api/v1/logs"
TAIL = f"{LOGS}/tail"


def narrow(address):
    """Make a socket of which the system keeps little, so that a slow reader soon is one."""
    made = socket.socket(address[0], address[1], address[2])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    made.setblocking(False)
    return made


class Often:
    """Commits are looked for every few milliseconds."""

    async def changed(self, _timeout):
        await asyncio.sleep(0.005)


class Events:
    """The Server-Sent Events of an answer."""

    def __init__(self, response):
        self.response = response
        self.position = None

    async def next(self):
        """Give the name and the decoded data of the next event; of a record, the name is empty."""
        name, data = "", None
        while True:
            line = (await self.response.content.readline()).decode()
            if not line:
                raise EOFError
            field, _, value = line.rstrip("\n").partition(": ")
            match field:
                case "event":
                    name = value
                case "id":
                    self.position = value
                case "data":
                    data = json.loads(value)
                case "" if data is not None:
                    return name, data

    async def until(self, wanted):
        """Pass over events up to the one of a name."""
        while (await self.next())[0] != wanted:
            pass

    async def messages(self, number):
        """Give the messages of the next records."""
        found = []
        while len(found) < number:
            name, data = await self.next()
            if not name:
                found.append(data["msg"])
        return found


class Service:
    """A collector's tail; `stop` is what its end begins with."""

    def __init__(self, client, found):
        self.client = client
        self.hub = found

    @contextlib.asynccontextmanager
    async def events(self, headers=None, **params):
        async with (
            asyncio.timeout(20),
            self.client.get(TAIL, params=params, headers=headers) as response,
        ):
            assert 200 == response.status, await response.text()
            yield Events(response)


@contextlib.asynccontextmanager
async def serving(database, *, most=100, shutdown_timeout=2):
    api = Api(endpoint="127.0.0.1:0", cors=Cors(allowed_origins=("http://ours.example",)))
    async with connections.reading(database, size=4) as pool:
        found = hub.Hub(Follower(pool), Often(), now=lambda: NOON)
        offered = [
            *routes(api, Reader(pool), now=lambda: NOON),
            *handlers.routes(found, most, lambda: NOON),
        ]
        listening = server.listening(
            [server.Listener(api, offered)], InFlight(1_000), shutdown_timeout=shutdown_timeout
        )
        connector = aiohttp.TCPConnector(limit=0, socket_factory=narrow)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            listening as (url,),
        ):
            session._base_url = aiohttp.client.URL(url)
            yield Service(session, found)


@pytest.fixture(name="service")
async def _service(database, monkeypatch):
    """A tail that reads without a pause."""
    monkeypatch.setattr(hub, "APART", 0.0)
    async with serving(database) as service:
        yield service


async def test_records_come_as_they_are_stored(pool, service):
    """
    Whoever follows has what is stored from then on, as /query gives it, and nothing else.
    """
    await store(pool, record(msg="before"))
    async with service.events(service="api") as events:
        await events.until("caught_up")
        await store(pool, record(msg="no", service="b"), record(msg="a", extra={"k": [1, None]}))
        name, entry = await events.next()
    async with service.client.get(f"{LOGS}/query", params={"q": "msg:a"}) as response:
        (asked,) = (await response.json())["logs"]

    assert ("", asked) == (name, entry)


async def test_a_connection_that_is_cut_is_gone_on_with(pool, service, monkeypatch, distributed):
    """
    Whoever connects again with the last id it has seen gets each record once, wherever it was
    cut, in whatever order transactions commit, and whether it reads along or by itself.
    """
    monkeypatch.setattr(hub, "RECORDS", 5)
    monkeypatch.setattr(feed, "MOST_RECORDS", 15)
    # TimescaleDB makes a day in the first transaction that needs it, and lets others wait.
    for day in (NOON.date(), dt.datetime.now(dt.UTC).date()):
        await partitions.maintain(pool, day, ahead=1)
    chance = random.Random(4)
    # Three servers on few cores take ten times as long to read anything.
    slow, quick = ([0.1, 0.3, 1], 18, 20), ([0.01, 0.05, 0.2], 60, 100)
    moments, commits, wanted = slow if distributed else quick
    done = asyncio.Event()
    sent = []

    async def write():
        async with pool.acquire() as late, late.transaction():
            for n in range(commits):
                if n % 6 == 0:
                    sent.append(f"late {n}")
                    await late.execute(
                        "INSERT INTO log_entries (level, msg) VALUES ('info', $1)", sent[-1]
                    )
                messages = [f"{n} {i}" for i in range(chance.choice([1, 1, 2, 12]))]
                sent.extend(messages)
                # Of one moment, so that ids alone tell them apart.
                await store(pool, *(record(msg=each) for each in messages))
        done.set()

    async def cut(position, number):
        headers = {} if position is None else {"Last-Event-ID": position}
        body = b""
        async with service.client.get(
            TAIL, headers=headers, params={"from": "beginning"}
        ) as response:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(chance.choice(moments)):
                    while piece := await response.content.read(number - len(body)):
                        body += piece
        return told(line for line in body.splitlines(keepends=True) if line.endswith(b"\n"))

    found, position, cuts = [], None, 0
    writing = asyncio.create_task(write())
    async with asyncio.timeout(60):
        # Whole, the events of a connection are some 300 bytes to its first record.
        while not done.is_set() or len(found) < len(sent) or cuts < wanted:
            for event in await cut(position, 40 if cuts % 3 == 0 else chance.randint(40, 6_000)):
                position = event.id or position
                if not event.name:
                    found.append(json.loads(event.data)["msg"])
            cuts += 1
    await writing

    assert sorted(sent) == sorted(found)


async def test_each_reader_has_what_its_search_finds(pool, service):
    """
    Sixty readers with ten searches have, each, exactly what /query finds for it.
    """
    searches = [
        "service:a", "service:b", "level>=error", "-stage:x", "msg:*1*", "extra.n>3",
        '"text 2"', "job_id:1 OR job_id:2", "last:1h", "stage:x service:a",
    ]  # fmt: skip

    async def read(search, number, ready):
        async with service.events(q=search) as events:
            await events.until("caught_up")
            ready.release()
            return sorted(await events.messages(number))

    levels = [("INFO", 9), ("ERROR", 17)]
    rows = [
        record(
            msg=f"text {n}",
            service="ab"[n % 2],
            level=levels[n % 3 == 0][0],
            severity_number=levels[n % 3 == 0][1],
            stage="x" if n % 4 else None,
            job_id=n % 5,
            extra={"n": n % 7},
        )
        for n in range(30)
    ]
    await store(pool, *rows)
    expected = []
    for search in searches:
        params = {"q": search, "limit": 100}
        async with service.client.get(f"{LOGS}/query", params=params) as response:
            expected.append(sorted(entry["msg"] for entry in (await response.json())["logs"]))
    ready = asyncio.Semaphore(0)
    async with asyncio.TaskGroup() as tasks:
        readers = [
            tasks.create_task(read(searches[n % 10], len(expected[n % 10]), ready))
            for n in range(60)
        ]
        for _ in readers:
            await ready.acquire()
        assert 60 == telemetry.tail_clients._value.get()
        await store(pool, *rows)

    assert all(expected)
    assert [expected[n % 10] for n in range(60)] == [reader.result() for reader in readers]


async def test_a_slow_reader_harms_nobody(pool, service):
    """
    Whoever takes nothing holds up neither others nor who writes, is told that it is behind when
    it goes on, and misses nothing.
    """
    behind = telemetry.tail_behind._value.get()
    large = [f"{n}" for n in range(800)]
    async with service.events() as slow, service.events() as quick:
        await slow.until("caught_up")
        await quick.until("caught_up")
        for start in range(0, 800, 100):
            await store(
                pool,
                *(record(msg=msg, extra={"k": "x" * 10_000}) for msg in large[start : start + 100]),
            )
            assert large[start : start + 100] == await quick.messages(100)
        found, names = [], []
        while len(found) < 800 or names[-1] != "caught_up":
            name, data = await slow.next()
            if name:
                names.append(name)
            else:
                found.append(data["msg"])
        await store(pool, record(msg="more"))

        assert ["more"] == await slow.messages(1)

    assert large == found
    assert {"behind", "position", "caught_up"} >= set(names)
    assert "behind" in names
    assert behind < telemetry.tail_behind._value.get()


@ON_ONE_ENGINE
async def test_a_reader_that_takes_nothing_is_cut_off(pool, service, monkeypatch):
    """
    A reader that takes nothing for a minute is cut off, so that it costs nothing more.
    """
    monkeypatch.setattr(sse, "STALLED", 0.3)
    await store(pool, *(record(extra={"k": "x" * 10_000}) for _ in range(800)))
    async with service.events(**{"from": "beginning"}) as events:
        while telemetry.tail_clients._value.get():  # noqa: ASYNC110  a gauge has no event
            await asyncio.sleep(0.05)
        with pytest.raises((EOFError, aiohttp.ClientError)):
            await events.messages(800)


async def test_it_begins_where_one_says(pool, service):
    """
    One begins with what is stored from now on, with all, after a position or from a time on; a
    position that an event gave while nothing came is one too.
    """
    await store(pool, *(record(msg=f"{n}") for n in range(5)))
    async with service.events(**{"from": "beginning"}) as events:
        assert ["0", "1"] == await events.messages(2)
        second = events.position
        await events.until("caught_up")
        last = events.position
    await store(pool, record(msg="5"))

    for params, headers, expected in (
        ({"from": second}, {}, "2345"),
        ({"from": "beginning"}, {"Last-Event-ID": second}, "2345"),
        ({"from": last}, {}, "5"),
        ({"from": "2001-01-01"}, {}, "012345"),
        ({"from": "9000d"}, {}, "012345"),
        ({"from": "2101-01-01"}, {}, ""),
        ({}, {}, ""),
    ):
        async with service.events(headers, **params) as events:
            found = "".join(await events.messages(len(expected)))
            await events.until("caught_up")
            assert (expected, params) == (found, params)


@ON_ONE_ENGINE
async def test_it_ends_with_a_word_when_the_collector_stops(database):
    """
    A collector that stops says so to its readers, and doesn't wait for them.
    """
    async with serving(database, shutdown_timeout=30) as service:
        response = await service.client.get(TAIL)
        socket = await service.client.ws_connect(TAIL)
        events = Events(response)
        await events.until("caught_up")
        await socket.receive()
        stopped = asyncio.create_task(asyncio.sleep(0))
    await stopped

    async with asyncio.timeout(5):
        await events.until("bye")
        with pytest.raises(EOFError):
            await events.next()
        assert (aiohttp.WSMsgType.CLOSE, 1001) == (await socket.receive())[:2]


WEBSOCKET = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@ON_ONE_ENGINE
async def test_what_is_wrong_is_told_with_a_status(service):
    """
    What can't be followed is answered as all that is wrong with a question, and pages of sites
    that may not read are refused a WebSocket too.
    """
    for params, headers, status, said in (
        ({"q": "(a"}, {}, 422, '"column":1'),
        ({"from": "soon"}, {}, 422, "now, beginning, a position"),
        ({}, {"Last-Event-ID": "7;8"}, 422, "Last-Event-ID"),
        ({"from": "999999999999"}, {}, 400, "this server has not had"),
        ({}, WEBSOCKET | {"Origin": "http://theirs.example"}, 403, "theirs.example may not"),
        ({}, {"Upgrade": "websocket"}, 400, ""),
        ({"limit": "a key of extra"}, {}, 200, ""),
    ):
        async with service.client.get(TAIL, params=params, headers=headers) as response:
            body = "" if status == 200 else await response.text()
            assert (status, params) == (response.status, params)
            assert said in body


@ON_ONE_ENGINE
async def test_there_is_a_limit_to_readers(database):
    """
    One reader more than may be is told to come again later.
    """
    async with (
        serving(database, most=1) as service,
        service.events(),
        service.client.get(TAIL) as response,
    ):
        assert 503 == response.status
        assert "Retry-After" in response.headers


async def talk(socket, *kinds):
    """Give the messages up to the first of *kinds*."""
    found = []
    while not found or found[-1]["type"] not in kinds:
        found.append(await socket.receive_json(timeout=10))
    return found


@ON_ONE_ENGINE
async def test_a_websocket_says_the_same_and_can_be_told(pool, service):
    """
    Over a WebSocket come the same records. Its reader may change the search and pause, misses
    nothing by that, and a message that is none harms nothing.
    """
    headers = {"Origin": "http://ours.example"}
    async with service.client.ws_connect(f"{TAIL}?service=api&q=msg:a*", headers=headers) as socket:
        await talk(socket, "caught_up")
        await store(pool, record(msg="a1"), record(msg="b1"), record(msg="a", service="other"))
        first = await talk(socket, "record")
        for wrong in (
            "no",
            '{"type":"sing"}',
            '{"type":"search","q":"(a"}',
            '{"type":"pause","a":1}',
        ):
            await socket.send_str(wrong)
            errors = await talk(socket, "error")
            assert ["error"] == [each["type"] for each in errors]
        await socket.send_bytes(b"{}")
        await talk(socket, "error")
        await socket.send_json({"type": "search", "q": "msg:b*"})
        await talk(socket, "caught_up")
        await socket.send_json({"type": "pause"})
        await store(pool, record(msg="b2"), record(msg="a2"))
        await socket.send_json({"type": "search", "q": None})
        await socket.send_json({"type": "resume"})
        found = await talk(socket, "caught_up")
        await store(pool, record(msg="c"), record(msg="d", service="other"))
        last = await talk(socket, "record")
    async with service.events(**{"from": last[-1]["position"]}) as events:
        await store(pool, record(msg="z"))
        rest = await events.messages(2)

    assert ["a1"] == [each["record"]["msg"] for each in first]
    assert ["b2", "a2"] == [each["record"]["msg"] for each in found if each["type"] == "record"]
    assert ["c"] == [each["record"]["msg"] for each in last]
    assert ["d", "z"] == rest
