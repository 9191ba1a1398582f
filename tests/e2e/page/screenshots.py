"""
Makes pictures of each view, light and dark, wide and narrow: ``make screenshots``.

They are for who changes the page to look at. The events are those of `pixsim-collector demo`, of
one story and over an hour.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import requests
from playwright.async_api import async_playwright

from collector.demo_events import BROWSER, SERVICES, Story
from collector.demo_senders import NATIVE_PATH, OTLP_PATH, posts
from tests import postgres
from tests.e2e.conftest import starting
from tests.e2e.page.conftest import CHROMIUM, refusing
from tests.ports import free_port

MINUTES = 50
SIZES = {"wide": (1360, 800), "narrow": (400, 800)}
VIEWS = {
    "logs": "",
    "errors": "?q=level>=error",
    "wrapped": "?wrap=1&density=roomy&q=error_type:*",
    "columns": "?cols=timestamp,level,service,job_id,provider_id,duration_ms,msg&q=duration_ms>5000",
    "nothing": "?q=service:nobody",
    "mistake": "?q=servcie:worker level>=warning",
    # With ids of records that these searches find.
    "job": "?view=job&id={failed.job_id}",
    "job-traces": "?view=job&id={retried.job_id}&expand=trace&by=service",
    "request": "?view=request&id={asked.request_id}",
    "trace": "?view=trace&id={retried.trace_id}",
    "no-job": "?view=job&id=1",
    "overview": "?view=overview&last=25m",
    "overview-failing": "?view=overview&last=25m&q=servcie:worker",
    "operations": "?view=operations&last=15m",
    "letters": "?view=operations&last=15m&letters=victorialogs/errors",
}
FOUND = {
    "failed": "stage:retry:decision level:error",
    "retried": "stage:provider:complete attempt:2",
    "asked": "service:worker stage:pipeline:start",
}
LOADED = """
() => document.querySelector('.legend b, .mistake, .facts, .message, .card')
    && !document.querySelector('[aria-busy=true]')
"""
TALL = {"overview": 1180, "operations": 1300, "letters": 1300}  # pixels of views that are scrolled
# One that is well, one that refuses some records, and one that is away.
FORWARDERS = """
  file: {{folder: "{folder}", start_at: beginning}}
  victorialogs/errors:
    {{endpoint: "{url}", start_at: beginning, compression: none, filter: "level>=warning"}}
  loki: {{endpoint: "http://127.0.0.1:{port}", start_at: beginning}}
"""
OPEN = {"errors"}  # views in which a record is open


def send(collector):
    """Let a story happen in the last hour, more of it in some minutes than in others."""
    chance = random.Random(4)
    # What a browser sends has no time but that of its arrival.
    events = (
        each
        for each in Story(random.Random(11), rate=1).events()
        if SERVICES[each.service] != BROWSER
    )
    now = time.time_ns()
    for minute in range(MINUTES, 0, -1):
        batch = list(itertools.islice(events, chance.choice([20, 45, 60, 60, 80, 140])))
        since = now - minute * 60_000_000_000
        for post in posts(batch, since, since + 60_000_000_000):
            url = collector.otlp + OTLP_PATH if post.otlp else collector.native + NATIVE_PATH
            headers = {"Content-Type": post.content_type}
            requests.post(url, data=post.body, headers=headers, timeout=30).raise_for_status()


def records(collector):
    """Find a record for each search, by the name that views have for it."""
    for name, q in FOUND.items():
        question = {"q": q, "last": "40m", "limit": 1}
        answer = requests.get(
            f"{collector.native}/api/v1/logs/query", params=question, timeout=30
        ).json()
        yield name, SimpleNamespace(**answer["logs"][0])


async def shoot(collector, folder):
    """Take the pictures."""
    found = dict(records(collector))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for (name, query), theme, size in itertools.product(
            VIEWS.items(), ("light", "dark"), SIZES
        ):
            width, height = SIZES[size]
            height = TALL.get(name, height)
            page = await browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=theme
            )
            await page.goto(f"{collector.native}/{query.format(**found)}")
            await page.wait_for_function(LOADED)
            if name in OPEN:
                await page.locator(".row").nth(1).click()
                await page.mouse.move(0, 0)
            await page.screenshot(path=folder / f"{name}-{theme}-{size}.png")
            await page.close()
        await browser.close()


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as temporary,
        postgres.server() as server,
        postgres.template(server),
        postgres.clone(server) as database,
        starting(database, Path(temporary)) as start,
        refusing(b"ProviderTimeout") as there,
    ):
        exporters = FORWARDERS.format(folder=f"{temporary}/out", url=there.url, port=free_port())
        collector = start(exporters=exporters)
        send(collector)
        asyncio.run(shoot(collector, folder))


if __name__ == "__main__":
    main()
