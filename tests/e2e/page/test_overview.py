"""The overview in a browser: every figure is right, and leads to the records it counts."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from playwright.async_api import expect

from tests.e2e.page.conftest import send

pytestmark = pytest.mark.asyncio(loop_scope="session")

# The links of tables and figures, with what their row says that there is.
LINKS = """() => [...document.querySelectorAll(".card tbody a, a.figure")].map((link) => {
    const row = link.closest("tr");
    const heads = row && [...row.closest("table").querySelectorAll("thead :is(th, td)")];
    const at = row && heads.findIndex((head) => head.textContent === "records");
    const own = (link.querySelector("b") ?? link).textContent;
    return { href: link.href, own, records: row ? row.children[at].textContent : own };
})"""
DAY = {
    "a": [("ProviderTimeout", 2)],
    "b": [("ProviderTimeout", 1), ("NeverSeen", 3)],
}
SHIFTS = """() => new Promise((done) => {
    let sum = 0;
    new PerformanceObserver((list) => {
        for (const each of list.getEntries()) sum += each.hadRecentInput ? 0 : each.value;
    }).observe({ type: "layout-shift", buffered: true });
    requestAnimationFrame(() => setTimeout(() => done(sum), 50));
})"""


def number(text):
    return int(text.replace(",", ""))


async def overview(visit, query=""):
    """Open the overview, and wait until all of it has answers."""
    page = await visit.open(f"?view=overview{query}", rows=False)
    await page.locator(".card").first.wait_for()
    await expect(page.locator(".card[aria-busy=true], .figures[aria-busy=true]")).to_have_count(0)
    return page


def counted(site, link):
    """How many records there are of the search and the time of a link."""
    given = {name: each[0] for name, each in parse_qs(urlsplit(link).query).items()}
    asked = {"q": given["q"], "start_time": given["start"], "end_time": given["end"]}
    answer = requests.get(f"{site.native}/api/v1/logs/histogram", params=asked, timeout=10)
    return answer.json()["total"]


def row(page, card, name):
    return page.get_by_role("region", name=card).get_by_role("row").filter(has_text=name)


async def test_every_figure_leads_to_its_records(visit):
    """
    Each number is a link to the records of this search and time that it counts.
    """
    page = await overview(visit, "&q=-service:hostile -service:long -service:forwarded")
    links = await page.evaluate(LINKS)
    for link in links:
        found = counted(visit.site, link["href"])
        told = link["own"] if link["own"].replace(",", "").isdigit() else link["records"]
        if link["own"].endswith((" ms", " s")):
            assert 0 < found <= number(told), link
        else:
            assert number(told) == found, link
    await row(page, "Errors by stage", "provider:error").get_by_role("link", name="75").click()
    await page.locator(".row").first.wait_for()

    assert len(links) >= 15
    await expect(page.locator(".legend b")).to_have_text("75")


async def test_beside_the_time_before(visit):
    """
    Services are shown beside the range before, and types of errors that the day before did not
    have come first and are marked.
    """
    for day, (hour, types) in {"14": ("a", DAY["a"]), "15": ("b", DAY["b"])}.items():
        send(
            visit.site,
            *(
                {
                    "timestamp": f"2025-10-{day}T13:00:0{n}Z",
                    "level": "ERROR",
                    "service": "grown",
                    "error_type": error_type,
                    "msg": hour,
                }
                for error_type, number in types
                for n in range(number)
            ),
        )
    page = await overview(visit, "&start=2025-10-15T00:00:00Z&end=2025-10-16T00:00:00Z&tz=utc")
    types = page.get_by_role("table", name="Error types").locator("tbody tr")

    await expect(row(page, "Volume by service", "grown")).to_contain_text("4+100 %")
    await expect(page.locator(".figure").first).to_contain_text("2 before, +100 %")
    await expect(types).to_have_count(2)
    await expect(types.nth(0).locator("th, td:nth-child(n+3)")).to_have_text(
        ["new NeverSeen", "after 10-15 13:00", "3"]
    )
    await expect(types.nth(1).locator("th, td:nth-child(n+3)")).to_have_text(
        ["ProviderTimeout", "earlier", "1"]
    )


async def test_each_card_has_its_own_state(visit):
    """
    What fails, finds nothing, or is cut off says so by itself, beside what is whole.
    """
    page = visit.page
    away = {"status": 503, "json": {"detail": "the query took too long"}}

    async def cut(route):
        answer = await route.fetch()
        found = await answer.json() | {"complete": False, "since": "2026-01-02T03:04:05Z"}
        headers = {"X-Incomplete": "only the newest were read"}
        await route.fulfill(body=json.dumps(found), headers=headers, content_type="text/json")

    await page.route("**/logs/stats?*", lambda route: route.fulfill(**away))
    await page.route("**/logs/facets?*stage*", cut)
    await overview(visit)
    slow = page.get_by_role("region", name="Slowest operations")
    await expect(slow.get_by_role("alert")).to_contain_text("the query took too long")
    cut_off = page.get_by_role("region", name="Errors by stage")
    await expect(cut_off).to_contain_text("since 2026-01-02 03:04 UTC: only the newest were read")
    link = await cut_off.get_by_role("link").first.get_attribute("href")
    assert "start=2026-01-02T03:04:05Z" in link
    await page.unroute_all()
    await slow.get_by_role("button", name="Try again").click()
    await expect(slow.get_by_role("table")).to_be_visible()

    search = page.get_by_role("combobox")
    await search.fill("service:nobody")
    await search.press("Enter")
    await expect(page.locator(".nothing")).to_have_count(5)
    await search.fill("servcie:api")
    await search.press("Enter")
    await expect(page.locator(".part-wrong").first).to_have_text("servcie")
    await expect(page.locator(".nothing").first).to_have_text("The search above is not one yet.")


async def test_for_everybody(visit, axe):
    """
    Nothing shuts anybody out, in the light or in the dark; nothing moves while it loads; and at
    400 pixels nothing is scrolled sideways.
    """
    page = await overview(visit)
    shifted = await page.evaluate(SHIFTS)
    light = await axe(page, "main")
    await page.emulate_media(color_scheme="dark")
    dark = await axe(page, "main", "color-contrast")
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_contain_text("Look again")
    await page.keyboard.press("Escape")
    await page.set_viewport_size({"width": 400, "height": 800})
    width = await page.evaluate("document.documentElement.scrollWidth")

    assert [] == light + dark
    assert shifted < 0.01
    assert 400 == width
