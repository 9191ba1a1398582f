"""One collector with records, good and hostile, and one browser that looks at them."""

from __future__ import annotations

import datetime as dt
import http.server
import shutil
import threading
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
import requests
from playwright.async_api import async_playwright, expect

from tests import postgres
from tests.e2e.conftest import starting

CHROMIUM = shutil.which("chromium")
SESSION = {"scope": "session", "loop_scope": "session"}
USUAL = {"viewport": {"width": 1280, "height": 800}, "timezone_id": "Europe/Berlin"}
RECORDS = 3_000
TRACE = "0af7651916cd43dd8448eb211c80319c"

# What a log may have in it, by anybody's hand.
HOSTILE = {
    "markup": "<img src=x onerror=\"window.hacked='img'\"><b>bold</b>",
    "script": "</script><script>window.hacked='script'</script>",
    "template": "${window.hacked='template'} {{constructor}} <svg onload=window.hacked=1>",
    "right to left": "user \u202egnp.exe\u202c שלום עולם مرحبا",
    "colours of a terminal": "\x1b[31mred\x1b[0m \x1b]8;;http://evil.example\x07link\x1b]8;;\x07",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301 " + "🦊" * 50,
    "control": "bell \x07 backspace \x08 null\u2400 zero\u200bwidth",
    "marks": "Z" + "\u0351\u0362" * 200,
    "lines": "first\nsecond\r\nthird",
}


def _records(now):
    """Records of the last 50 minutes; the newest come last."""
    services = ("api", "worker", "media", "gateway")
    for n in range(RECORDS):
        age = dt.timedelta(minutes=50) * (RECORDS - n) / RECORDS
        found = {
            "timestamp": (now - age - dt.timedelta(minutes=1)).isoformat(),
            "level": "ERROR" if n % 40 == 7 else "WARNING" if n % 15 == 3 else "INFO",
            "service": services[n % 4],
            "msg": f"record {n}",
            "job_id": 100 + n // 100,
            "trace_id": TRACE,
            "instance_id": "one",
            "extra": {"queue": "gpu" if n % 2 else "cpu"},
        }
        if n % 40 == 7:
            found |= {
                "error": "no answer",
                "error_type": "ProviderTimeout",
                "stage": "provider:error",
            }
        if n % 10 == 1:
            found |= {"duration_ms": 12.5 * n, "stage": "provider:submit", "provider_id": "sora"}
        yield found
    for n, (name, text) in enumerate(HOSTILE.items()):
        yield {
            "timestamp": (now - dt.timedelta(hours=5, seconds=n)).isoformat(),
            "level": "CRITICAL" if n % 2 else "DEBUG",
            "service": "hostile",
            "msg": text,
            "stage": text[:60],
            "error": text,
            "extra": {text[:80]: text, "name": name},
        }
    yield {
        "timestamp": (now - dt.timedelta(hours=6)).isoformat(),
        "level": "INFO",
        "service": "long",
        "msg": "start " + "x" * 999_000 + " end",
    }


def send(collector, *logs):
    body = {"logs": list(logs)}
    answer = requests.post(f"{collector.native}/api/v1/logs/ingest/batch", json=body, timeout=30)
    assert len(logs) == answer.json()["count"], answer.text


FORWARDER = """
  victorialogs/other:
    endpoint: {}
    filter: service:forwarded
    compression: none
    batch: {{timeout: 0.05}}
"""


class Destination(http.server.BaseHTTPRequestHandler):
    """Takes JSON lines, but none that have the text which it `refuses`, if any."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        refused = self.server.refuses and self.server.refuses in body
        said = b"a field cannot be read" if refused else b""
        self.send_response(400 if refused else 200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


@contextmanager
def refusing(text):
    """A destination that refuses what has *text* in it."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Destination) as there:
        there.refuses = text
        there.url = f"http://127.0.0.1:{there.server_port}"
        serving = threading.Thread(target=there.serve_forever, args=(0.05,))
        serving.start()
        yield there
        there.shutdown()
        serving.join()


@pytest.fixture(name="destination", scope="session")
def _destination():
    """Where the collector sends records of the service ``forwarded``."""
    with refusing(b"unfit") as there:
        yield there


@pytest.fixture(name="site", scope="session")
def _site(server, destination, tmp_path_factory):
    """A running collector with records."""
    if CHROMIUM is None:
        pytest.skip(reason="no chromium on this machine, which would show the page")
    folder = tmp_path_factory.mktemp("page")
    with postgres.clone(server) as database, starting(database, folder) as start:
        collector = start(exporters=FORWARDER.format(destination.url))
        send(collector, *_records(dt.datetime.now(dt.UTC)))
        yield collector


@pytest_asyncio.fixture(name="browser", **SESSION)
async def _browser(site):
    async with async_playwright() as playwright:
        # A container may have neither a sandbox nor much shared memory.
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        await browser.close()


class Visit:
    """A browser's page, and all that it complained of."""

    def __init__(self, page, site):
        self.page = page
        self.site = site
        self.complaints = []
        self.foreign = []
        self.told = {
            "console": self._console,
            "pageerror": lambda error: self.complaints.append(str(error)),
            "request": self._request,
        }
        page.set_default_timeout(10_000)
        for event, listener in self.told.items():
            page.on(event, listener)

    def _console(self, message):
        # Chromium says so of every answer with such a status; that there are some is meant.
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def _request(self, request):
        url = urlsplit(request.url)
        here = urlsplit(self.site.native)
        if url.scheme not in {"data", "blob"} and url.netloc != here.netloc:
            self.foreign.append(request.url)

    async def open(self, query="", *, rows=True):
        await self.page.goto(f"{self.site.native}/{query}")
        if rows:
            await self.page.wait_for_selector(".row")
        return self.page

    async def settled(self):
        """Wait until all that was asked is answered."""
        await expect(self.page.locator("[aria-busy=true]")).to_have_count(0)

    async def leave(self):
        """Leave nothing for those who come after."""
        page = self.page
        await page.unroute_all(behavior="ignoreErrors")
        if page.url.startswith(self.site.native):
            await page.evaluate("localStorage.clear(); sessionStorage.clear()")
        await page.context.clear_cookies()
        await page.goto("about:blank")
        await page.mouse.move(0, 0)
        await page.set_viewport_size(USUAL["viewport"])
        await page.emulate_media(color_scheme="null")
        for event, listener in self.told.items():
            page.remove_listener(event, listener)


@pytest_asyncio.fixture(name="usual", **SESSION)
async def _usual(browser):
    """What visits without settings of their own share: a new page takes Chromium a second of CPU."""
    context = await browser.new_context(**USUAL)
    yield await context.new_page()
    await context.close()


@pytest_asyncio.fixture(name="visiting", loop_scope="session")
async def _visiting(browser, usual, site):
    """A block with a `Visit` of a browser that knows nothing of others; it has no complaints."""

    @asynccontextmanager
    async def visiting(**settings):
        own = await browser.new_context(**USUAL | settings) if settings else None
        visit = Visit(await own.new_page() if own else usual, site)
        try:
            yield visit
        finally:
            await (own.close() if own else visit.leave())
        assert [] == visit.complaints
        assert [] == visit.foreign

    return visiting


@pytest_asyncio.fixture(name="visit", loop_scope="session")
async def _visit(visiting):
    async with visiting() as visit:
        yield visit


@pytest.fixture(name="axe", scope="session")
def _axe():
    """A function that gives what axe finds wrong on a page."""
    source = Path(__file__).with_name("axe.min.js").read_text("utf-8")

    async def axe(page, part="body", *rules):
        """Look at a *part* of the page, by all rules or by these."""
        options = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
        await page.evaluate(source)
        found = await page.evaluate("([part, options]) => axe.run(part, options)", [part, options])
        return [
            f"{each['id']}: {node['target']} {node['failureSummary']}"
            for each in found["violations"]
            for node in each["nodes"]
        ]

    return axe
