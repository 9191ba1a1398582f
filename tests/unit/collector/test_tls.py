"""TLS of endpoints, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from collector import configfile, server, telemetry, tls
from collector.body import InFlight
from collector.sections import HttpServer, ServerTls

NO_OPENSSL = shutil.which("openssl") is None
pytestmark = pytest.mark.skipif(NO_OPENSSL, reason="no openssl, which makes certificates")


def issue(folder, name):
    """Make a certificate, its own authority, for 127.0.0.1; give its files."""
    files = folder / f"{name}.pem", folder / f"{name}.key"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    made += [
        "-nodes",
        "-days",
        "2",
        "-subj",
        f"/CN={name}",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    made += ["-out", files[0], "-keyout", files[1]]
    subprocess.run(made, check=True, capture_output=True)
    return files


def client(authority, certificate=None):
    """What a client connects with."""
    made = ssl.create_default_context(cafile=authority)
    if certificate:
        made.load_cert_chain(*certificate)
    return made


@pytest.fixture(name="ours")
def _ours(tmp_path):
    return issue(tmp_path, "ours")


@contextlib.asynccontextmanager
async def serving(certificate, **more):
    settings = ServerTls(cert_file=str(certificate[0]), key_file=str(certificate[1]), **more)
    config = HttpServer(endpoint="127.0.0.1:0", tls=settings)

    async def who(request):
        return web.json_response([request.scheme, await request.text()])

    listener = server.Listener(config, [web.post("/", who)])
    async with server.listening([listener], InFlight(1_000), shutdown_timeout=1) as (url,):
        yield url


async def ask(url, context):
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        session.post(url, data=b"hello") as response,
    ):
        return await response.json()


async def name(url, context):
    """The name in the certificate that a new connection is shown."""
    host, _, port = url.removeprefix("https://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    found = writer.get_extra_info("peercert")["subject"][0][0][1]
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return found


async def test_tls(ours):
    """
    An endpoint with a certificate speaks TLS and nothing else, of a version that may be demanded;
    what is no TLS, or an older one, is counted.
    """
    counter = telemetry.requests_refused.labels("unknown", "tls")._value
    before = counter.get()
    old = client(ours[0])
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(ours, min_version="1.3") as url:
        assert url.startswith("https://")
        assert ["https", "hello"] == await ask(url, client(ours[0]))
        with pytest.raises(aiohttp.ClientError):
            await ask(url.replace("https", "http"), None)
        with pytest.raises(aiohttp.ClientError):
            await ask(url, old)

    assert 2 <= counter.get() - before


async def test_clients_with_certificates(ours, tmp_path):
    """
    With an authority for clients nobody is heard but who has a certificate of it.
    """
    theirs, others = issue(tmp_path, "theirs"), issue(tmp_path, "others")
    async with serving(ours, client_ca_file=str(theirs[0])) as url:
        assert ["https", "hello"] == await ask(url, client(ours[0], theirs))
        for certificate in (None, others):
            with pytest.raises((aiohttp.ClientError, ConnectionError)):
                await ask(url, client(ours[0], certificate))


async def test_renewed(ours, tmp_path, monkeypatch):
    """
    New connections get the certificate that the files have then, while those that are open go on;
    files that don't fit together change nothing, and the log says so.
    """
    monkeypatch.setattr(tls, "LOOKED", 0.0)
    newer = issue(tmp_path, "newer")
    both = ssl.create_default_context(cafile=ours[0])
    both.load_verify_locations(newer[0])
    connector = aiohttp.TCPConnector(ssl=both, limit=1)
    async with serving(ours) as url, aiohttp.ClientSession(connector=connector) as session:
        async with session.post(url) as response:
            await response.read()
        assert "ours" == await name(url, both)
        with capture_logs() as lines:
            newer[0].replace(ours[0])
            assert "ours" == await name(url, both)
            newer[1].replace(ours[1])
            assert "newer" == await name(url, both)
        async with session.post(url) as response:
            assert 200 == response.status

    assert ["certificates_not_renewed", "certificates_renewed"] == [e["event"] for e in lines]


def test_checked_before_it_starts(ours, tmp_path):
    """
    A file that is missing, or a key of another certificate, is a problem of the configuration; so
    are components of one endpoint of which only one has it.
    """
    other = issue(tmp_path, "other")

    def problems(cert, key, *, both=True):
        given = f"{{endpoint: '127.0.0.1:1', tls: {{cert_file: '{cert}', key_file: '{key}'}}}}"
        api = given if both else "{endpoint: '127.0.0.1:1'}"
        text = f"receivers:\n  pixsim: {given}\nextensions:\n  api: {api}\n"
        try:
            configfile.parse(text, "c.yaml", {})
        except configfile.Invalid as exc:
            return exc.lines
        return []

    assert [] == problems(*ours)
    assert (
        f"c.yaml:2: receivers.pixsim.endpoint: {tmp_path}/no.pem: No such file or directory"
        == problems(tmp_path / "no.pem", ours[1])[0]
    )
    assert "KEY_VALUES_MISMATCH" in problems(ours[0], other[1])[0]
    assert "expected `cert_file` and `key_file`, or neither" in problems(ours[0], "")[0]
    assert [
        "c.yaml:4: extensions.api.endpoint: receivers.pixsim has other tls there; write it the same"
    ] == (problems(*ours, both=False))
