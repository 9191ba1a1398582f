"""Keys: who may, over real sockets, and what becomes of a key in the database."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import os
import re
import stat

import aiohttp
import pytest
from google.rpc import status_pb2

from collector import cli, own_log, telemetry
from collector.access import known as known_keys
from collector.access import sessions
from storage import access_keys, audit
from storage.access_keys import Wanted
from storage.audit import Origin
from storage.errors import Rejected
from tests.collecting import CONFIG, collecting
from tests.integration.conftest import ON_ONE_ENGINE
from tests.waiting import until_async

US = Origin("local", "somebody@here")
QUERY, INGEST = "/api/v1/logs/query", "/api/v1/logs/ingest"
LINE = {"level": "INFO", "service": "api", "msg": "hello"}


async def made(pool, name, *scopes, **more):
    """Make a key; give what it is sent by."""
    token = await access_keys.create(pool, Wanted(name=name, scopes=scopes, **more), US)
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(name="keys")
async def _keys(pool):
    """A key of each scope, by its name."""
    return {scope: await made(pool, scope, scope) for scope in access_keys.SCOPES}


@pytest.fixture(name="quick", autouse=True)
def _quick(monkeypatch):
    """Keys are read again at once."""
    monkeypatch.setattr(known_keys, "AGAIN", 0.05)


@contextlib.asynccontextmanager
async def refused(reason, route):
    """Counts in the block one request that is refused."""
    counter = telemetry.requests_refused.labels(route, reason)._value
    before = counter.get()
    yield
    assert 1 == counter.get() - before


async def status(client, headers=None, path=QUERY, method="GET", **options):
    async with client.request(method, path, headers=headers, **options) as response:
        await response.read()
        return response.status


@ON_ONE_ENGINE
async def test_who_may(database, pool, keys):
    """
    A key is taken in either header, and is for its scopes alone; admin is all of them.
    """
    body = {"json": LINE}
    table = {
        (QUERY, "GET"): {"query", "admin"},
        (INGEST, "POST"): {"ingest", "admin"},
        ("/metrics", "GET"): {"metrics", "admin"},
        ("/api/v1/forwarders", "GET"): {"admin"},
        ("/api/v1/audit", "GET"): {"admin"},
        ("/health", "GET"): {"ingest", "query", "metrics", "admin"},
    }
    async with collecting(database) as client:
        for (path, method), may in table.items():
            options = body if method == "POST" else {}
            for scope, key in keys.items():
                found = await status(client, key, path, method, **options)
                assert (200 if scope in may else 403) == found, (path, scope)
        token = keys["query"]["Authorization"].removeprefix("Bearer ")
        assert 200 == await status(client, {"X-API-Key": token})
        assert 200 == await status(client, {"authorization": f"bearer  {token} "})
        assert 404 == await status(client, path="/nowhere")


@ON_ONE_ENGINE
async def test_who_may_not(database, pool, keys):
    """
    Who has no key, one that is unknown or over, or one for something else, is refused before the
    body is read, in the shape of the path, and counted by reason.
    """
    over = await made(pool, "over", "ingest", expires_at=dt.datetime.now(dt.UTC))
    gone = await made(pool, "gone", "ingest")
    await access_keys.revoke(pool, "gone", US)
    odd = {"Authorization": "Basic cGl4c2lt"}
    async with collecting(database) as client:
        for headers, reason in (
            ({}, "no_key"),
            (odd, "no_key"),
            ({"X-API-Key": "pxc_" + 64 * "0"}, "unknown_key"),
            ({"X-API-Key": "\u00fc"}, "unknown_key"),
            (gone, "unknown_key"),
            (over, "expired_key"),
        ):
            async with (
                refused(reason, INGEST),
                client.post(INGEST, json=LINE, headers=headers) as response,
            ):
                assert 401 == response.status
                assert "Bearer" == response.headers["WWW-Authenticate"]
                assert ["detail"] == list(await response.json())
        async with refused("scope", "/v1/logs"):
            protobuf = {**keys["query"], "Content-Type": "application/x-protobuf"}
            async with client.post("/v1/logs", data=b"?", headers=protobuf) as response:
                answer = status_pb2.Status.FromString(await response.read())
        assert (403, 7) == (response.status, answer.code)
        assert "query" in answer.message
        async with client.post("/v1/logs", json={}) as response:
            assert (401, 16) == (response.status, (await response.json())["code"])
        assert 401 == await status(client, method="HEAD")
        assert 401 == await status(client, path="/api/v1/logs/tail?q=level:info")

        # Nothing of this body is ever sent.
        reader, writer = await asyncio.open_connection(client._base_url.host, client._base_url.port)
        writer.write(b"POST /v1/logs HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n")
        async with asyncio.timeout(10):
            assert b"HTTP/1.1 401 Unauthorized\r\n" == await reader.readline()
        writer.close()
        await writer.wait_closed()

    assert [] == await pool.fetch("SELECT FROM log_entries")


@ON_ONE_ENGINE
async def test_without_keys(database, pool):
    """
    Where nobody asks for keys everybody may do everything, with a wrong one too.
    """
    async with collecting(database, "auto") as client:
        assert 200 == await status(client, {"X-API-Key": "wrong"})
        assert 200 == await status(client, path="/api/v1/forwarders")
        async with client.get("/api/v1/session") as response:
            assert not (await response.json())["required"]


async def test_key_in_the_database(pool):
    """
    A key is 256 bits that are told once; the database has its SHA-256, and the audit its name.
    """
    token = await access_keys.create(
        pool, Wanted(name="a", scopes=["ingest"], services=["worker"]), US
    )
    with pytest.raises(Rejected, match="there is a key a already"):
        await access_keys.create(pool, Wanted(name="a", scopes=["query"]), US)
    with pytest.raises(Rejected, match="scope admin is of all services"):
        await access_keys.create(pool, Wanted(name="b", scopes=["admin"], envs=["prod"]), US)
    with pytest.raises(Rejected, match="there is no key b"):
        await access_keys.revoke(pool, "b", US)
    rows = str(
        await pool.fetch("SELECT access_keys::text, audit_log::text FROM access_keys, audit_log")
    )
    actions = await audit.page(pool, limit=10)

    assert token.startswith("pxc_")
    assert 256 == 4 * len(token.removeprefix("pxc_"))
    assert token not in rows
    assert token[4:] not in rows
    assert access_keys.digest(token).hex() in rows
    assert [("local", "somebody@here", "keys create", "a; scopes ingest; services worker")] == [
        (each.who, each.origin, each.action, each.detail) for each in actions
    ]


async def test_rotation(database, pool, monkeypatch):
    """
    Of a key that is rotated the former one holds as long as was said; and who uses a key is noted.
    """
    monkeypatch.setattr(known_keys, "NOTED", 0.0)
    first = await made(pool, "a", "query")
    async with collecting(database) as client:
        second = {"X-API-Key": await access_keys.rotate(pool, "a", US, keep=dt.timedelta(hours=1))}
        await until_async(lambda: _is(client, second, 200))
        assert 200 == await status(client, first)
        third = {"X-API-Key": await access_keys.rotate(pool, "a", US, keep=dt.timedelta())}
        await until_async(lambda: _is(client, third, 200))
        assert [401, 401] == [await status(client, key) for key in (first, second)]
        await until_async(lambda: pool.fetchval("SELECT last_used_at IS NOT NULL FROM access_keys"))


async def _is(client, key, expected):
    return expected == await status(client, key)


async def test_revoked_while_it_is_used(database, pool):
    """
    A live tail ends when its key is revoked, and its key is no more; others go on.
    """
    keys = [await made(pool, name, "query") for name in "ab"]
    async with collecting(database) as client, contextlib.AsyncExitStack() as stack:
        tails = [
            await stack.enter_async_context(client.get("/api/v1/logs/tail", headers=key))
            for key in keys
        ]
        for tail in tails:
            assert b"retry" in await tail.content.readline()
        await access_keys.revoke(pool, "a", US)
        async with asyncio.timeout(10):
            with contextlib.suppress(aiohttp.ClientError):
                await tails[0].content.read()
            await until_async(lambda: _is(client, keys[0], 401))

        assert tails[0].content.exception() or tails[0].content.at_eof()
        assert 200 == await status(client, keys[1])
        assert not tails[1].content.at_eof()


@ON_ONE_ENGINE
async def test_database_away(database, pool, monkeypatch):
    """
    While the keys can't be read again, those known last hold.
    """
    key = await made(pool, "a", "metrics")
    failed = asyncio.Event()

    async def away(_pool):
        failed.set()
        raise known_keys.Unavailable("gone")

    async with collecting(database) as client:
        assert 200 == await status(client, key, "/metrics")
        monkeypatch.setattr(access_keys, "known", away)
        await asyncio.wait_for(failed.wait(), 10)

        assert 200 == await status(client, key, "/metrics")


@ON_ONE_ENGINE
async def test_database_away_at_the_start(database, keys, tmp_path, monkeypatch):
    """
    A collector that starts while the keys can't be read knows those of its file, which is for its
    owner alone and has no key in it; all others, and these when it is old, are told to try again.
    """
    spool = f"exporters: {{postgres: {{spool: {{folder: {tmp_path}}}}}}}"
    config = CONFIG.format(access="keys") + spool
    ingest = {"path": INGEST, "method": "POST", "json": LINE}
    unknown = {"X-API-Key": "pxc_" + 64 * "0"}

    async def away(_pool):
        raise known_keys.Unavailable("gone")

    async with collecting(database, config=config):
        (file,) = tmp_path.glob("*.keys")
        mode, content = file.stat().st_mode, file.read_text()
    with monkeypatch.context() as patch:
        patch.setattr(access_keys, "known", away)
        async with collecting(database, config=config) as client:
            assert [200, 403, 503] == [
                await status(client, key, **ingest)
                for key in (keys["ingest"], keys["query"], unknown)
            ]
            patch.undo()
            await until_async(lambda: _is(client, unknown, 401))
    for change in (lambda: os.utime(file, (0, 0)), lambda: file.write_bytes(b"["), file.unlink):
        change()
        with monkeypatch.context() as patch:
            patch.setattr(access_keys, "known", away)
            async with (
                collecting(database, config=config) as client,
                client.post(INGEST, json=LINE, headers=keys["ingest"]) as response,
            ):
                assert (503, "1") == (response.status, response.headers["Retry-After"])

    assert 0o600 == stat.S_IMODE(mode)
    assert keys["ingest"]["Authorization"].removeprefix("Bearer pxc_") not in content


async def test_audit(database, pool, keys):
    """
    What an admin changes is written down: who, what, and from where; what is refused is not.
    """
    path = "/api/v1/forwarders/none/pause"
    async with collecting(database) as client:
        assert 404 == await status(client, keys["admin"], f"{path}?reason=why", "POST")
        assert 403 == await status(client, keys["query"], path, "POST")
        stranger = {**keys["admin"], "Origin": "https://elsewhere.example"}
        assert 403 == await status(client, stranger, path, "POST")
        async with client.get("/api/v1/audit?limit=1", headers=keys["admin"]) as response:
            answer = await response.json()
        last = answer["next_before"]
        async with client.get(f"/api/v1/audit?before={last}", headers=keys["admin"]) as response:
            before = await response.json()
    found = answer["actions"][0]

    assert ("admin", "127.0.0.1", f"POST {path}", "reason=why") == tuple(
        found[name] for name in ("who", "origin", "action", "detail")
    )
    assert ["keys create"] * 4 == [each["action"] for each in before["actions"]]


async def test_session(database, pool, keys):
    """
    A browser gives a key once, and has a cookie that no script reads and no other page may use; it
    ends with its key.
    """
    token = keys["query"]["Authorization"].removeprefix("Bearer ")
    async with collecting(database) as client:
        begin = {"method": "POST", "path": "/api/v1/session"}
        assert 401 == await status(client, **begin, json={"key": "wrong"})
        assert 400 == await status(client, **begin, json=[])
        assert 401 == await status(client)
        stranger = {"Origin": "https://elsewhere.example"}
        assert 403 == await status(client, stranger, **begin, json={"key": token})
        async with client.post("/api/v1/session", json={"key": f" {token}\n"}) as response:
            answer = await response.json()
            cookie = response.headers["Set-Cookie"]
        assert ("query", ["query"]) == (answer["name"], answer["scopes"])
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        assert token not in cookie

        own = f"http://{client._base_url.host}:{client._base_url.port}"
        assert [200, 200, 401, 401, 403] == [
            await status(client),
            await status(client, {"Origin": own, "Sec-Fetch-Site": "same-origin"}),
            # A page of this machine, which CORS lets read, but not with a browser's session.
            await status(client, {"Origin": "http://localhost:9"}),
            await status(client, {"Sec-Fetch-Site": "same-site"}),
            await status(client, path="/metrics"),
        ]
        value = cookie.partition(";")[0].removeprefix(f"{sessions.COOKIE}=")
        forged = value[:-1] + ("0" if value[-1] != "0" else "1")
        older = value.replace(f".{value.split('.')[1]}.", ".1.")
        for wrong in (forged, older, "", "1.2", "x.y.z", "9" * 50 + ".1.a"):
            jar = {"Cookie": f"{sessions.COOKIE}={wrong}"}
            async with _bare(client) as bare:
                assert 401 == await status(bare, jar), wrong
        await access_keys.revoke(pool, "query", US)
        await until_async(lambda: _is(client, None, 401))


async def test_signing_out(database, keys):
    """
    Who signs out of a session ends it in every process: a copy of its cookie is of no use, and what
    it follows ends. Other sessions of the same key go on.
    """
    token = keys["query"]["Authorization"].removeprefix("Bearer ")
    async with (
        collecting(database) as client,
        collecting(database) as other,
        _bare(client) as bare,
    ):
        first, second = [await _session(client, token) for _ in range(2)]
        async with _bare(other) as there, bare.get("/api/v1/logs/tail", headers=first) as tail:
            assert b"retry" in await tail.content.readline()
            assert [200, 200] == [await status(each, first) for each in (bare, there)]
            out = {"path": "/api/v1/session", "method": "DELETE"}
            assert 403 == await status(bare, {**first, "Origin": "https://else.example"}, **out)
            assert [200, 401, 200] == [
                await status(bare, first, **out),
                await status(bare, first),
                await status(bare, first, **out),
            ]
            await until_async(lambda: _is(there, first, 401))
            assert [200, 200] == [await status(each, second) for each in (bare, there)]
            async with asyncio.timeout(10):
                with contextlib.suppress(aiohttp.ClientError):
                    await tail.content.read()


async def _session(client, token):
    """Begin a session; give the header that its browser would send."""
    async with client.post("/api/v1/session", json={"key": token}) as response:
        return {"Cookie": response.headers["Set-Cookie"].partition(";")[0]}


@ON_ONE_ENGINE
async def test_keys_are_told_nowhere(database, pool, keys, monkeypatch, capsys):
    """
    A key that is sent, rightly, wrongly or where it doesn't belong, is in no answer, no line of our
    log, no counter and no row, whatever goes wrong with its request.
    """
    own_log.to_stderr("debug")
    token = keys["admin"]["Authorization"].removeprefix("Bearer ")
    wrong = "pxc_" + 64 * "5"
    monkeypatch.setattr(audit, "page", lambda *_, **__: 1 // 0)
    answers = []
    async with collecting(database) as client:

        async def ask(path, headers, method="GET", **options):
            async with client.request(method, path, headers=headers, **options) as response:
                answers.append((response.status, str(response.headers), await response.text()))

        await ask("/api/v1/audit", keys["admin"])  # fails with a traceback in our log
        for each in (token, wrong):
            both = {"X-API-Key": each, "Authorization": f"Bearer {each}"}
            await ask(QUERY, both)
            await ask(f"/api/v1/forwarders/none/pause?reason={each}", both, "POST")
            await ask(INGEST, both, "POST", data="{")
            await ask("/api/v1/session", {}, "POST", json={"key": each, "more": 1})
            await ask("/nowhere", both)
        reader, writer = await asyncio.open_connection(client._base_url.host, client._base_url.port)
        writer.write(f"GET / HTTP/1.1\r\nX-API-Key {token}\r\n\r\n".encode())
        answers.append((0, "", (await reader.read(1_000)).decode()))
        writer.close()
        await writer.wait_closed()
        await ask("/metrics", keys["admin"])
    rows = str(
        await pool.fetch("SELECT access_keys::text, audit_log::text FROM access_keys, audit_log")
    )
    told = capsys.readouterr()

    assert 500 == answers[0][0]
    assert "request_failed" in told.err
    assert "reason=pxc_***" in rows
    for secret in (token, wrong):
        assert secret not in str(answers) + told.err + told.out + rows


def _bare(client):
    """A client without cookies of its own."""
    return aiohttp.ClientSession(client._base_url, cookie_jar=aiohttp.DummyCookieJar())


def test_commands(empty_database, tmp_path, monkeypatch, capsys):
    """
    `keys` makes, shows, replaces and revokes keys without a collector, even before there was one,
    each shown once; `audit` tells of it; what can't be is a line.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", empty_database)
    monkeypatch.setenv("LOGNAME", "somebody")

    def run(*arguments):
        code = cli.main(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    limits = ("--service", "worker", "--env", "prod", "--expires", "90d")
    _, made, _ = run("keys", "create", "a", "--scope", "ingest", "--scope", "query", *limits)
    _, listed, _ = run("keys", "list")
    _, as_json, _ = run("keys", "list", "--json")
    code, _, error = run("keys", "create", "a", "--scope", "query")
    _, rotated, _ = run("keys", "rotate", "a", "--keep", "1h")
    assert (0, "", "") == run("keys", "revoke", "a")
    assert 2 == run("keys", "revoke", "a")[0]
    _, after, _ = run("keys", "list")
    _, told, _ = run("audit", "--json")

    assert re.fullmatch(r"pxc_[0-9a-f]{64}\n", made)
    assert re.fullmatch(r"pxc_[0-9a-f]{64}\n", rotated)
    assert made != rotated
    assert re.search(
        r"^a +ingest, query +worker +prod +\S+ \S+ +never +until ", listed, re.MULTILINE
    )
    assert ["worker"] == json.loads(as_json)["services"]
    for secret in (made, rotated, access_keys.digest(made.strip()).hex()):
        assert secret.strip() not in listed + as_json + after + told
    assert (2, "pixsim-collector: there is a key a already; rotate or revoke it\n") == (code, error)
    assert "revoked" in after
    assert ["keys revoke", "keys rotate", "keys create"] == [
        json.loads(line)["action"] for line in told.splitlines()
    ]
    assert "somebody@" in told


@ON_ONE_ENGINE
async def test_how_much_a_key_may_send(database, pool, keys):
    """
    A key that has sent what it may is told when it may again, in its API's shape, and counted; the
    others go on.
    """
    other = await made(pool, "other", "ingest")
    config = CONFIG.format(access="keys").replace("{access", "{rate_limits: {requests: 1}, access")
    async with collecting(database, config=config) as client, refused("rate_limited", "/v1/logs"):
        found = [await status(client, keys["ingest"], INGEST, "POST", json=LINE) for _ in range(2)]
        async with client.post("/v1/logs", headers=keys["ingest"], json={}) as response:
            told = await response.json()
        others = await status(client, other, INGEST, "POST", json=LINE)

    assert [200, 200, 429] == [*found, response.status]
    assert response.headers["Retry-After"] == "1"
    assert told == {"code": 8, "message": "key ingest may send 1 requests a second"}
    assert others == 200
