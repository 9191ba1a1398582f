"""The page by keys alone, and that nothing on it moves by itself."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import expect

from tests.e2e.page.conftest import send
from tests.e2e.page.test_overview import SHIFTS

pytestmark = pytest.mark.asyncio(loop_scope="session")

MOST_SHIFTS = 0.005  # by the browsers' own measure; 0.01 is a toolbar that grows by a line
TYPED = """(input, [text, at]) => {
    input.value = text;
    input.setSelectionRange(at, at);
    input.dispatchEvent(new Event("input", { bubbles: true }));
}"""
MOVING = {
    "level": "INFO",
    "service": "moving",
    "msg": "just in",
    "timestamp": "2025-11-14T12:00:00Z",
}
PLACES = """() => Object.fromEntries([...document.querySelectorAll(".row")].map(
    (row) => [row.querySelector(".said").textContent, row.getBoundingClientRect().y]))"""
VIEWS = ("", "?view=job&id=129", "?view=overview", "?view=operations", "?view=job")


async def test_the_focus_stays_where_it_was(visit):
    """
    When what has the focus goes away, what is nearest to its place has it, and never the page.
    """
    page = await visit.open()
    await page.keyboard.press("j")
    await expect(page.get_by_role("treegrid")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.locator(".detail").get_by_role("button", name="Close").press("Enter")
    await expect(page.get_by_role("treegrid")).to_be_focused()

    await page.keyboard.press("c")
    await page.get_by_role("button", name="Move service up").press("Enter")
    await expect(page.get_by_role("button", name="Move service up")).to_be_focused()
    await page.keyboard.press("Enter")  # now it is the first, which can't be moved up
    await expect(page.get_by_role("button", name="Move service down")).to_be_focused()
    await page.get_by_role("button", name="Remove level").press("Enter")
    await expect(page.get_by_role("button", name="Remove level")).to_have_count(0)
    await expect(page.locator(".panel :focus")).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Columns")).to_be_focused()

    await page.get_by_role("button", name="Only level error").press("Enter")
    await expect(page.locator(".legend b")).to_have_text("75")
    await expect(page.locator(".facets :focus")).to_have_count(1)
    await page.get_by_role("button", name="Skip to the records").press("Enter")
    await expect(page.get_by_role("treegrid")).to_be_focused()


async def test_tab_leaves_the_search(visit):
    """
    Tab takes what is offered, and leads on from a condition that is whole.
    """
    page = await visit.open()
    await page.keyboard.press("/")
    await page.keyboard.type("service:med")
    await page.locator("#suggestions li").first.wait_for()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("combobox")).to_have_value("service:media ")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Clear the search")).to_be_focused()


@pytest.mark.parametrize(
    ("text", "left", "keys", "expected"),
    [
        pytest.param("service:wo", 0, "r", "service:worker ", id="at the end"),
        pytest.param("service:wo level:info", 11, "r", "service:worker level:info", id="inside"),
        pytest.param("level:info ser", 0, "v", "level:info service:", id="a field"),
        pytest.param("service:w", 0, "ro", None, id="none that begins so"),
        pytest.param("service:wo", 0, " r", None, id="another term"),
        pytest.param("service:wo", 0, ["Home", "Delete"], None, id="before it"),
        pytest.param("service:wo a", 2, ["End", "Backspace"], None, id="behind it"),
    ],
)
async def test_typing_on_while_suggestions_are_offered(visit, text, left, keys, expected):
    """
    A suggestion takes the place of what it was offered for and of what was typed on since, and is
    offered no more where that doesn't fit it; who chooses one is not offered others.
    """
    page = await visit.open("?last=1m", rows=False)
    await page.locator(".row, .message").first.wait_for()
    search = page.get_by_role("combobox")
    await search.evaluate(TYPED, [text, len(text) - left])
    await search.focus()
    await page.locator("#suggestions li").first.wait_for()
    await page.route("**/completion?*", lambda _: None)  # they are late

    async with page.expect_request("**/completion?*"):
        for key in keys:
            await search.press(key)
    if expected is None:
        await expect(page.locator("#suggestions")).to_be_hidden()
    else:
        async with page.expect_event("requestfailed"):
            await search.press("ArrowDown")
        await search.press("Enter")
        await expect(search).to_have_value(expected)


async def late(route):
    """Let an answer come when what stands in its place is drawn, or that could not move."""
    await asyncio.sleep(0.05)
    await route.continue_()


async def test_nothing_moves_by_itself(visit):
    """
    What is seen stays in its place while more of a view is loaded, and while records come in.
    """
    shifts = {}
    page = visit.page
    await page.route("**/api/**", late)
    for view in VIEWS:
        await visit.open(view, rows=False)
        await page.locator("h1").wait_for(state="attached")
        await visit.settled()
        shifts[view] = await page.evaluate(SHIFTS)
    await page.unroute("**/api/**")
    await visit.open("?q=service:moving&live=1", rows=False)
    await expect(page.locator(".live")).to_contain_text("Live")
    send(visit.site, MOVING)
    await page.locator(".row").wait_for()
    shifts["live"] = await page.evaluate(SHIFTS)
    await visit.open("?live=1")
    await page.locator(".live-live").wait_for()
    await page.locator(".table").evaluate("table => { table.scrollTop = 1000; }")
    await page.locator(".live-paused").wait_for()
    places = await page.evaluate(PLACES)
    send(visit.site, MOVING)
    await page.locator(".new-lines").wait_for()

    assert places == await page.evaluate(PLACES)
    assert {} == {view: sum_ for view, sum_ in shifts.items() if sum_ >= MOST_SHIFTS}
