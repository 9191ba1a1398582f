"""Operations in a browser: what is shown, and what is told to a destination."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest
import requests
from playwright.async_api import expect

from tests.e2e.page.conftest import RECORDS, send
from tests.e2e.page.test_overview import SHIFTS, number

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAME = "victorialogs/other"


def destination_of(site):
    """What the API says of the destination."""
    url = f"{site.native}/api/v1/forwarders/{NAME.replace('/', '%2F')}"
    return requests.get(url, timeout=10).json()


def refused(site):
    """Send what nobody can read."""
    requests.post(f"{site.native}/api/v1/logs/ingest", data="{", timeout=10)


async def until(met):
    for _ in range(400):
        if met():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not happen in 20 seconds")


async def operations(visit, query=""):
    """Open the view, and wait until all of it has answers."""
    page = await visit.open(f"?view=operations{query}", rows=False)
    await page.locator(".card").first.wait_for()
    await expect(page.locator(".card .waiting")).to_have_count(0)
    return page


async def confirmed(page, button, verb, **fields):
    """Press a button, and do what it asks about."""
    await button.click()
    dialog = page.get_by_role("dialog")
    for label, value in fields.items():
        await dialog.get_by_label(label).fill(value)
    await dialog.get_by_role("button", name=verb, exact=True).click()
    await expect(dialog).to_have_count(0)


async def test_dead_letters(visit, destination):
    """
    Records that a destination did not take are shown with the reasons, lead to the logs, and are
    sent again when somebody says so, and says it twice.
    """
    destination.refuses = b"unfit"
    # At a time at which no other test looks, and that the destination still takes.
    time = (dt.datetime.now(dt.UTC) - dt.timedelta(days=2)).isoformat()
    found = {"timestamp": time, "level": "INFO", "service": "forwarded"}
    send(visit.site, *(found | {"msg": msg} for msg in ("good", "unfit one", "unfit two")))
    await until(lambda: destination_of(visit.site)["dead_letters"] == 2)
    page = await operations(visit)
    there = page.get_by_role("article", name=NAME)
    await there.get_by_role("button", name="Dead letters 2").click()
    letters = page.get_by_role("region", name="Dead letters of").get_by_role("listitem")

    await expect(letters).to_have_count(2)
    await expect(letters.first).to_contain_text("HTTP 400")
    await letters.filter(has_text="unfit one").get_by_role("link").click()
    await expect(page.locator(".row-marked")).to_contain_text("unfit one")
    await page.go_back()

    destination.refuses = None
    await confirmed(page, page.get_by_role("button", name="Send all again…"), "Send again")
    await until(lambda: destination_of(visit.site)["dead_letters"] == 0)
    await page.keyboard.press("r")
    await expect(page.get_by_role("region", name="Dead letters of")).to_contain_text("are none")
    await expect(there.get_by_role("button", name="Dead letters 0")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("region", name="Dead letters of")).to_have_count(0)


async def test_a_destination_is_told(visit):
    """
    It is paused with a reason, resumed, and told to replay and to skip, each after a question.
    """
    page = await operations(visit)
    there = page.get_by_role("article", name=NAME)
    await there.get_by_role("button", name="Pause…").click()
    await page.keyboard.press("Escape")
    assert "running" == destination_of(visit.site)["state"]
    await confirmed(
        page,
        there.get_by_role("button", name="Pause…"),
        "Pause",
        **{"Why (is shown to others)": "they move"},
    )
    await expect(there).to_contain_text("paused")
    await expect(there).to_contain_text("they move")
    await confirmed(page, there.get_by_role("button", name="Skip…"), "Skip")
    await confirmed(page, there.get_by_role("button", name="Resume…"), "Resume")
    await expect(there.locator(".state")).to_have_text("running")
    await confirmed(page, there.get_by_role("button", name="Replay…"), "Replay")

    assert 1 <= len(destination_of(visit.site)["replays"])


async def test_what_came_in_and_lies_there(visit):
    """
    What came in, what was refused and what each day has on disk are told; a day's records are a
    click away, and as many.
    """
    refused(visit.site)
    page = await operations(visit, "&tz=utc")
    intake = page.get_by_role("region", name="Coming in")
    sender = intake.get_by_role("row").filter(has_text="python-requests").first

    await expect(intake).to_contain_text("in the last minute")
    assert RECORDS <= number(await sender.locator("td").nth(3).inner_text())
    await expect(page.get_by_role("region", name="Refused")).to_contain_text("ingest")
    disk = page.get_by_role("region", name="On disk")
    await expect(disk).to_contain_text("with their indexes")
    day = disk.get_by_role("table").get_by_role("link").first
    records = await day.inner_text()
    await day.click()
    await expect(page.locator(".legend b")).to_have_text(records)


async def test_for_everybody(visit, axe):
    """
    Nothing shuts anybody out, in the light or in the dark; nothing moves while it loads; and at
    400 pixels nothing is scrolled sideways.
    """
    page = await operations(visit, f"&letters={NAME}")
    shifted = await page.evaluate(SHIFTS)
    found = await axe(page, "main")
    await page.emulate_media(color_scheme="dark")
    found += await axe(page, "main", "color-contrast")
    await page.get_by_role("button", name="Replay…").click()
    found += await axe(page, "dialog")
    await page.keyboard.press("Escape")
    await page.set_viewport_size({"width": 400, "height": 800})
    width = await page.evaluate("document.documentElement.scrollWidth")

    assert [] == found
    assert shifted < 0.01
    assert 400 == width
