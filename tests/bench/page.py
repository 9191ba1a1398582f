"""
How quick the page is over fourteen days of records, in Debian's Chromium.

``python -m tests.bench.page [ROWS [FOLDER]]`` fills an embedded Postgres in the folder, or looks at
the one that is there.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from functools import partial
from pathlib import Path

from playwright.async_api import async_playwright

from storage import embedded, migrate
from tests.bench import table
from tests.bench.lookups import ROWS
from tests.e2e.conftest import starting

TIMES = 5
# Pixels a frame, rows, and seconds at most: as one reads over them, and as fast as they can pass.
SCROLLING = ((100, 100_000, 30), (500, 100_000, 90))
LONG = 50  # milliseconds: a task that is longer is felt
SIZE = {"width": 1360, "height": 800}

# Tells how many milliseconds after its start the page had painted each of `wanted`.
PAINTED = """
window.painted = {};
new MutationObserver(() => {
    for (const [name, selector] of Object.entries(%s)) {
        if (name in window.painted || !document.querySelector(selector)) continue;
        window.painted[name] = null;
        requestAnimationFrame(() => setTimeout(() => { window.painted[name] = performance.now(); }));
    }
}).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
"""
WANTED = {
    "explorer, its records": ("?last=24h", ".row"),
    "overview, first figures": ("?view=overview", ".figures[aria-busy=false]"),
    "overview, all of it": (
        "?view=overview",
        ".cards:has(.card):not(:has(.card[aria-busy=true]))",
    ),
    "operations, all of it": ("?view=operations", ".cards:has(.card):not(:has(.waiting))"),
}
# Presses Enter in the search box; gives the milliseconds until the table has the new records.
ASK = """() => new Promise((done) => {
    const start = performance.now();
    const before = document.querySelector(".row");
    const look = () => {
        const row = document.querySelector(".row");
        const searching = document.querySelector(".toolbar [role=status]").textContent.startsWith("S");
        if (!row || row === before || searching) return requestAnimationFrame(look);
        setTimeout(() => done(performance.now() - start));
    };
    document.querySelector(".search input").dispatchEvent(
        new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
    requestAnimationFrame(look);
})"""
SEARCHES = (
    "service:worker",
    "level>=error",
    "stage:provider:* service:api",
    '"after 123"',
    "duration_ms>=990",
)
SCROLL = """([rows, step, most]) => new Promise((done) => {
    const frames = [];
    const table = document.querySelector(".table");
    const loaded = () => Number(document.querySelector(".toolbar [role=status]").textContent
        .split(" ")[0].replaceAll(",", ""));
    let last = performance.now();
    const start = last;
    const move = (now) => {
        frames.push(now - last);
        last = now;
        table.scrollTop += step;
        if (table.scrollTop < rows * 22 && now - start < most) return requestAnimationFrame(move);
        setTimeout(() => done({ frames, loaded: loaded(), seconds: (now - start) / 1_000 }), 200);
    };
    requestAnimationFrame(move);
})"""


def show(name, milliseconds):
    found = sorted(milliseconds)
    print(f"{name:44}{statistics.median(found):9.0f}{found[-1]:9.0f}", flush=True)


async def first(browser, url):
    """Print how soon what one looks for is seen, with nothing in the browser's cache."""
    print(f"{'milliseconds':44}{'median':>9}{'most':>9}")
    for name, (query, selector) in WANTED.items():
        found = []
        for _ in range(TIMES):
            context = await browser.new_context(viewport=SIZE)
            page = await context.new_page()
            await page.add_init_script(PAINTED % {"it": selector})
            await page.goto(f"{url}/{query}")
            await page.wait_for_function("() => window.painted?.it")
            found.append(await page.evaluate("() => window.painted.it"))
            await context.close()
        show(name, found)


async def asked(browser, url):
    """Print how soon the records of a search are seen."""
    page = await browser.new_page(viewport=SIZE)
    await page.goto(f"{url}/?last=24h&q=service:api")
    await page.locator(".row").first.wait_for()
    for text in SEARCHES:
        found = []
        for again in range(TIMES):
            await page.locator(".search input").fill("service:api" if again % 2 else "level>=error")
            await page.evaluate(ASK)
            await page.locator(".search input").fill(text)
            await page.keyboard.press("Escape")
            found.append(await page.evaluate(ASK))
        show(f"query to table, {text}", found)
    await page.close()


def tasks(trace):
    """Give the milliseconds of each task of the page's thread, and those that it had a processor."""
    events = json.loads(trace)["traceEvents"]
    pages = {
        (each["pid"], each["tid"])
        for each in events
        if each["name"] == "thread_name" and each["args"]["name"] == "CrRendererMain"
    }
    found = defaultdict(list)
    for each in events:
        thread = each["pid"], each["tid"]
        # One that was under way at the end has no duration.
        if thread in pages and each["name"] == "ThreadControllerImpl::RunTask" and "tdur" in each:
            found[thread].append((each["dur"] / 1_000, each["tdur"] / 1_000))
    return max(found.values(), key=len)  # the browser has pages of its own


def told(milliseconds):
    """Say how many of these are long, and how long the longest is."""
    long = [each for each in milliseconds if each > LONG]
    return f"{len(long)} over {LONG} ms, the longest {max(milliseconds):.0f} ms"


async def scrolled(browser, url, step, rows, seconds):
    """Print how smooth it is to scroll through many rows, which are loaded meanwhile."""
    page = await browser.new_page(viewport=SIZE)
    await page.goto(f"{url}/?last=14d")
    await page.locator(".row").first.wait_for()
    await browser.start_tracing(page=page, categories=["toplevel", "__metadata"])
    found = await page.evaluate(SCROLL, [rows, step, seconds * 1_000])
    # Other programs make tasks longer, but not the time that they take of a processor.
    wall, own = zip(*tasks(await browser.stop_tracing()), strict=True)
    frames = sorted(found["frames"])
    print(
        f"{step} pixels a frame, {found['loaded']:,} rows in {found['seconds']:.0f} s: a frame takes"
        f" {statistics.median(frames):.1f} ms, 99 of 100 at most {frames[len(frames) * 99 // 100]:.1f}"
        f" ms, and {sum(own) / len(frames):.1f} ms of a processor; of the tasks {told(wall)};"
        f" by what they take of a processor, {told(own)}",
        flush=True,
    )
    await page.close()


async def look(url):
    """Look at everything, and scroll in a browser that has done nothing else."""
    async with async_playwright() as playwright:
        launch = partial(
            playwright.chromium.launch,
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        browser = await launch()
        await first(browser, url)
        await asked(browser, url)
        await browser.close()
        for each in SCROLLING:
            browser = await launch()
            await scrolled(browser, url, *each)
            await browser.close()


def main(rows=ROWS, folder=None):
    """Fill a server of our own, unless *folder* has one, and look at it."""
    with tempfile.TemporaryDirectory(prefix="pixsim-bench-") as other:
        Path(other).chmod(0o755)  # the embedded server runs as a user of its own under root
        data = Path(folder or other)
        data.mkdir(exist_ok=True)
        data.chmod(0o755)
        with embedded.running(data / "postgres") as dsn:
            if not migrate.current(dsn):
                migrate.upgrade(dsn)
                start = time.perf_counter()
                asyncio.run(table.fill(dsn, rows))
                print(f"filled in {time.perf_counter() - start:.0f} s")
            with starting(dsn, Path(other)) as start_collector:
                asyncio.run(look(start_collector().native))


if __name__ == "__main__":
    main(*(int(rows) for rows in sys.argv[1:2]), *sys.argv[2:3])
