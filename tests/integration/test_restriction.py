"""Keys for some services or environments: what they send, and that they see nothing else."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import random

import pytest

from collector import telemetry
from collector.access import known
from storage import access_keys, restriction, roll_ups
from storage import database as connections
from storage.access_keys import Wanted
from storage.audit import Origin
from storage.errors import Unavailable
from storage.reader import Reader
from storage.records import Resource
from tests.builders import NOON, record
from tests.collecting import collecting
from tests.stored import store

LOGS = "/api/v1/logs"
US = Origin("local", "somebody@here")
SERVICES, ENVS = ("api", "worker", "it's, {odd}"), ("prod", "dev", None)
# Each key, and which records it is for.
KEYS = {
    "services": ({"services": ["worker", "it's, {odd}"]}, lambda r: r.service != "api"),
    "envs": ({"envs": ["prod"]}, lambda r: r.env == "prod"),
    "both": (
        {"services": ["api"], "envs": ["prod", "dev"]},
        lambda r: r.service == "api" and r.env is not None,
    ),
}


@pytest.fixture(name="quick", autouse=True)
def _quick(monkeypatch):
    """Keys are read again at once."""
    monkeypatch.setattr(known, "AGAIN", 0.05)


@pytest.fixture(name="restrictable")
def _restrictable(distributed):
    """An engine with which keys that query can be restricted; `test_citus` has what else is so."""
    if distributed:
        pytest.skip(reason="with Citus no key that queries is restricted: making one is refused")


async def made(pool, name, scope, **more):
    if scope == "query":
        await restriction.prepare(pool)
    token = await access_keys.create(pool, Wanted(name=name, scopes=[scope], **more), US)
    return {"X-API-Key": token}


def records():
    """Records of all services and environments, each with its own text in every place."""
    chosen = random.Random(5)
    pairs = [(service, env) for service in SERVICES for env in ENVS]
    found = []
    for n, (service, env) in enumerate(chosen.sample(3 * pairs, 3 * len(pairs))):
        own = f"{SERVICES.index(service)}{ENVS.index(env)}"
        found.append(
            record(
                timestamp=NOON.replace(second=n),
                service=service,
                env=env,
                msg=f"needle m{own}",
                level=chosen.choice(["INFO", "ERROR"]),
                severity_number=9,
                job_id=7,
                request_id="r",
                trace_id="t",
                stage=f"s{own}",
                duration_ms=n,
                resource_id=int(own) + 1,
                extra={f"k{own}": f"v{own}"},
            )
        )
    return found


def marks(permitted, stored):
    """The texts that only records have which are not permitted."""
    seen = {r.stage for r in stored if permitted(r)}
    return {r.stage[1:] for r in stored if r.stage not in seen}


async def filled(pool):
    stored = records()
    resources = {
        r.resource_id: Resource(id=r.resource_id, attributes=json.dumps({f"h{r.stage[1:]}": 1}))
        for r in stored
    }
    await store(pool, *stored, resources=resources)
    await roll_ups.count(pool)
    return stored


@pytest.mark.usefixtures("restrictable")
@pytest.mark.parametrize("name", KEYS)
async def test_sees_nothing_else(database, pool, name):  # noqa: C901  every path has its shape
    """
    Whatever is asked with such a key, the answer is that of a database with nothing but its
    records: every path tells of all of them, and of no other.
    """
    given, permitted = KEYS[name]
    stored = await filled(pool)
    key = await made(pool, name, "query", **given)
    mine = [r for r in stored if permitted(r)]
    ids = {r.id for r in mine}
    day = "start_time=2025-11-13T00:00:00Z&end_time=2025-11-14T00:00:00Z"
    async with collecting(database) as client:

        async def ask(path, expected=200):
            async with client.get(f"{LOGS}{path}", headers=key) as response:
                text = await response.text()
                assert expected == response.status, text
            for mark in marks(permitted, stored):
                assert f"m{mark}" not in text, path
                for letter in "skvh":
                    assert f'"{letter}{mark}"' not in text, path
                    assert f'.{letter}{mark}"' not in text, path
            return text

        def of(text):
            return {entry["id"] for entry in json.loads(text)}

        for search in ("", "q=needle", "job_id=7", f"{day}", "q=-service:nobody"):
            answer = json.loads(await ask(f"/query?limit=100&{search}"))
            assert ids == {entry["id"] for entry in answer["logs"]}, search
            assert len(ids) == answer["total"], search
            # One more page than fits, so that it is counted apart.
            answer = json.loads(await ask(f"/query?limit=1&{search}"))
            assert len(ids) == answer["total"], search
        for path in ("job/7", "request/r", "trace/t"):
            assert ids == of(await ask(f"/trace/{path}")), path
        assert ids == of(await ask("/trace/job/7?expand=trace"))
        answer = json.loads(await ask("/fields"))
        assert {k for r in mine for k in r.extra} == set(answer["dynamic"])
        for path in ("/distinct?field=service", "/distinct/service"):
            assert sorted({r.service for r in mine}) == json.loads(await ask(path))["values"]
        assert {r.env for r in mine} - {None} == set(
            json.loads(await ask("/distinct?field=env"))["values"]
        )
        for typed, field in (("service:", "service"), ("env:", "env"), ("stage:", "stage")):
            answer = json.loads(await ask(f"/completion?q={typed}"))
            counts = {each["text"].strip('"'): each["count"] for each in answer["items"]}
            assert len([r for r in mine if getattr(r, field) is not None]) == sum(counts.values())
        await ask("/completion?q=k")
        await ask("/completion?q=resource.")
        for by in ("level", "service", "env"):
            answer = json.loads(await ask(f"/histogram?{day}&by={by}"))
            assert len(ids) == answer["total"], by
            assert len(ids) == sum(answer["counts"]), by
        answer = json.loads(await ask(f"/facets?{day}&fields=service,env,stage,resource.h"))
        assert len(ids) == answer["records"]
        answer = json.loads(await ask(f"/stats?{day}&of=duration_ms&by=service"))
        assert len(ids) == answer["records"]
        for each in stored:
            answer = await ask(f"/context/{each.id}?scope=all", 200 if permitted(each) else 404)
            if permitted(each):
                found = json.loads(answer)
                around = [found["line"], *found["before"], *found["after"]]
                assert ids == {entry["id"] for entry in around}
        lines = (await ask("/export?format=jsonl")).splitlines()
        assert ids == {json.loads(line)["id"] for line in lines if '"id"' in line}
        rows = list(csv.DictReader(io.StringIO(await ask("/export?format=csv"))))
        assert ids == {int(row["id"]) for row in rows if row.get("id", "").isdecimal()}
        for path in (f"{LOGS}/text-index", "/api/v1/views", "/metrics", "/api/v1/forwarders"):
            async with client.get(path, headers=key) as response:
                assert 403 == response.status, path


@pytest.mark.usefixtures("restrictable")
async def test_tail_tells_nothing_else(database, pool):
    """
    Who follows live with such a key has its records alone, though one reading is for all, and
    whatever search is set; those stored before too.
    """
    stored = await filled(pool)
    given, permitted = KEYS["both"]
    some = await made(pool, "some", "query", **given)
    every = {"X-API-Key": await access_keys.create(pool, Wanted(name="a", scopes=["query"]), US)}
    mine = [r.msg for r in stored if permitted(r)]
    async with (
        asyncio.timeout(30),
        collecting(database) as client,
        client.get(f"{LOGS}/tail?from=beginning", headers=every) as of_all,
        client.get(f"{LOGS}/tail?from=beginning", headers=some) as of_some,
        client.ws_connect(f"{LOGS}/tail?q=service:worker", headers=some) as socket,
    ):
        assert len(stored) == len(await messages(of_all, len(stored)))
        assert sorted(mine) == sorted(await messages(of_some, len(mine)))
        await socket.send_json({"type": "search", "q": "needle"})
        while (message := await socket.receive_json())["type"] != "caught_up":
            assert message.get("records") is None  # how many there are, whoever may see them
        more = [record(service=s, env=e, msg=f"needle {s} {e}") for s in SERVICES for e in ENVS]
        await store(pool, *more)
        theirs = {r.msg for r in more if permitted(r)}
        assert theirs == set(await messages(of_some, len(theirs)))
        found = set()
        while len(found) < len(theirs):
            message = await socket.receive_json()
            if message["type"] == "record":
                found.add(message["record"]["msg"])
        assert theirs == found
        assert len(more) == len(await messages(of_all, len(more)))


async def messages(response, number):
    found = []
    while len(found) < number:
        line = await response.content.readline()
        if line.startswith(b'data: {"id"'):
            found.append(json.loads(line.removeprefix(b"data: "))["msg"])
    return found


@pytest.mark.usefixtures("restrictable")
async def test_one_connection_for_all(pool, database):
    """
    A connection that has served such a key sees everything again for the next one.
    """
    stored = await filled(pool)
    await restriction.prepare(pool)
    only = restriction.Restriction(("worker",), ())
    async with connections.reading(database, size=1) as readers:
        reader = Reader(readers)
        for expected in (None, only, None, only):
            token = restriction.current.set(expected)
            found = await reader.job(7)
            restriction.current.reset(token)
            mine = [r for r in stored if expected is None or r.service == "worker"]
            assert len(mine) == len(found.entries)


@pytest.mark.usefixtures("restrictable")
async def test_database_that_is_not_ready(pool, database):
    """
    Where the database isn't made ready, or somebody took that back, nothing is told at all.
    """
    await filled(pool)
    token = restriction.current.set(restriction.Restriction(("worker",), ()))
    try:
        for statement in ("SELECT 1", "GRANT SELECT ON log_entries TO PUBLIC"):
            await pool.execute(statement)
            with pytest.raises(Unavailable, match="restrict"):
                await Reader(pool).job(7)
        await restriction.prepare(pool)
        assert (await Reader(pool).job(7)).entries
        await pool.execute("DROP VIEW public_restricted.log_entries")
        with pytest.raises(Unavailable, match="restrict"):
            await Reader(pool).job(7)
    finally:
        restriction.current.reset(token)


@pytest.mark.usefixtures("restrictable")
async def test_no_right_beside_the_views(pool):
    """
    The role of such keys reads no table that has more than they may see, and can change none.
    """
    await restriction.prepare(pool)
    rows = await pool.fetch(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm')"
        " AND relnamespace = 'public'::regnamespace"
        " AND has_table_privilege('pixsim_restricted', oid, 'SELECT')"
    )
    writing = await pool.fetchval(
        "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p', 'v')"
        " AND relnamespace::regnamespace::text IN ('public', 'public_restricted')"
        " AND has_table_privilege('pixsim_restricted', oid, 'INSERT, UPDATE, DELETE, TRUNCATE')"
    )

    assert {"resources", "scopes"} == {row[0] for row in rows}
    assert 0 == writing


@pytest.mark.usefixtures("restrictable")
async def test_renewed(pool):
    """
    After a migration such keys see the columns that it has added.
    """
    await restriction.renew(pool)
    assert not await pool.fetchval("SELECT to_regnamespace('public_restricted') IS NOT NULL")
    await restriction.prepare(pool)
    await pool.execute("ALTER TABLE log_entries ADD COLUMN newest text")
    await restriction.renew(pool)

    assert await pool.fetchval(
        "SELECT count(*) FROM pg_attribute WHERE attname = 'newest'"
        " AND attrelid = 'public_restricted.log_entries'::regclass"
    )


def otlp(service=None, env=None, msg="a"):
    """A record as a resource of its own."""
    given = {"service.name": service, "deployment.environment.name": env}
    attributes = [
        {"key": key, "value": {"stringValue": value}} for key, value in given.items() if value
    ]
    return {
        "resource": {"attributes": attributes},
        "scopeLogs": [{"logRecords": [{"body": {"stringValue": msg}, "timeUnixNano": "1"}]}],
    }


async def test_sends_nothing_else(database, pool):
    """
    A record that says another service or environment than its key is refused, alone, with the
    reason, and counted; one that says none has those of the key, if they are one.
    """
    one = await made(pool, "one", "ingest", services=["worker"], envs=["prod"])
    two = await made(pool, "two", "ingest", services=["a", "b"])
    refused = telemetry.records_refused.labels("pixsim", "not_permitted")._value
    before = refused.get()
    native = [
        {"level": "INFO", "msg": "filled"},
        {"level": "INFO", "msg": "said", "service": "worker", "env": "prod"},
        {"level": "INFO", "msg": "no", "service": "api"},
        {"level": "INFO", "msg": "no", "service": "worker", "env": "dev"},
        {"level": "INFO", "msg": "no", "service": ["worker"]},
    ]
    async with collecting(database) as client:

        async def send(path, body, key, expected=200):
            async with client.post(path, json=body, headers=key) as response:
                assert expected == response.status, await response.text()
                return await response.json()

        answer = await send(f"{LOGS}/ingest/batch", {"logs": native}, one)
        assert (2, 3) == (answer["count"], answer["rejected"])
        assert [(2, "service"), (3, "env"), (4, "service")] == [
            (each["index"], each["field"]) for each in answer["errors"]
        ]
        assert "env is dev, which key one may not send" == answer["errors"][1]["reason"]
        answer = await send(f"{LOGS}/ingest", native[2], one, 403)
        assert {"detail": "service is api, which key one may not send"} == answer
        await send(f"{LOGS}/ingest", {"level": "INFO", "msg": "single"}, one)
        answer = await send(f"{LOGS}/ingest/batch", {"logs": native[:1]}, two)
        assert ["service is unknown, which key two may not send"] == [
            each["reason"] for each in answer["errors"]
        ]
        assert 5 == refused.get() - before

        resources = [otlp(msg="otlp"), otlp("api", msg="theirs"), otlp("worker", "dev", "no")]
        answer = await send("/v1/logs", {"resourceLogs": resources}, one)
        assert "2" == answer["partialSuccess"]["rejectedLogRecords"]
        assert (
            "service is api, which key one may not send" in answer["partialSuccess"]["errorMessage"]
        )
        assert 1 == await pool.fetchval("SELECT count(*) FROM log_entries WHERE msg = 'otlp'")
        assert 0 == await pool.fetchval("SELECT count(*) FROM resources")
        # The same bytes by who may send all of it are no repetition.
        every = await access_keys.create(pool, Wanted(name="e", scopes=["ingest"]), US)
        async with asyncio.timeout(10):
            while await _status(client, every) == 401:  # noqa: ASYNC110  until it is read
                await asyncio.sleep(0.1)
        assert {} == await send("/v1/logs", {"resourceLogs": resources}, {"X-API-Key": every})
    stored = await pool.fetch("SELECT msg, service, env FROM log_entries ORDER BY id")

    assert [
        ("filled", "worker", "prod"),
        ("said", "worker", "prod"),
        ("single", "worker", "prod"),
        ("otlp", "worker", "prod"),
    ] == [tuple(row) for row in stored][:4]
    assert {"otlp", "theirs", "no"} == {row["msg"] for row in stored[4:]}


async def _status(client, token):
    async with client.get(f"{LOGS}/query", headers={"X-API-Key": token}) as response:
        return response.status
