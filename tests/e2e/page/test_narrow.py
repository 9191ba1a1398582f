"""The page in a narrow window: a telephone, or a corner of a screen."""

from __future__ import annotations

import pytest

from tests.e2e.page.conftest import TRACE

pytestmark = pytest.mark.asyncio(loop_scope="session")

WIDTH = 400  # pixels
SIGHTS = {
    "cut": "?last=1d&q=service:hostile OR service:long",
    "wrapped": "?last=1d&wrap=1&q=service:hostile",
    "long": "?last=1d&wrap=1&q=service:long",
    "columns": "?wrap=1&density=roomy&cols=timestamp,level,service,job_id,trace_id,msg,extra.queue",
    "live": "?live=1&q=job_id:100 service:api",
    "job": "?view=job&id=100&wrap=1",
    "trace": f"?view=trace&id={TRACE}",
    "overview": "?view=overview&last=1d&q=service:hostile",
    "operations": "?view=operations&last=15m",
}
OPEN = {"cut", "wrapped", "long", "columns", "job"}  # in which a record is opened
# What runs out of the window, or is cut in a line that wraps; what is scrolled sideways may.
OUTSIDE = """() => {
    const whole = (element) => element.matches("body, main, .story, .table-wrap, .table-wrap .row");
    const cut = (element) => element !== document.documentElement
        && (!whole(element) && getComputedStyle(element).overflowX !== "visible" || cut(element.parentElement));
    const out = (element) => {
        const { left, right, width, height } = element.getBoundingClientRect();
        return width * height > 0 && (left < 0 || right > innerWidth) && !cut(element.parentElement);
    };
    const wide = (element) => element.scrollWidth > element.clientWidth;
    return [
        ...[document.documentElement, ...document.querySelectorAll(".table-wrap, .table-wrap .cell:not(.cell-level)")]
            .filter(wide),
        ...[...document.body.querySelectorAll("*")].filter(out),
    ].map((element) => `${element.tagName} ${element.getAttribute("class")}`);
}"""


async def test_nothing_runs_out_of_the_window(visiting):
    """
    At 400 pixels no line that wraps, no open record and no view is wider than the window.
    """
    found = {}
    async with visiting(viewport={"width": WIDTH, "height": 700}) as visit:
        for name, query in SIGHTS.items():
            page = await visit.open(query, rows=name in OPEN)
            if name in OPEN:
                await page.locator(".row").first.click()
                await page.locator(".detail").wait_for()
            await visit.settled()
            found[name] = await page.evaluate(OUTSIDE)

    assert {} == {name: wrong for name, wrong in found.items() if wrong}
