"""The page of a collector that asks for keys."""

from __future__ import annotations

import asyncio
import datetime as dt
from types import SimpleNamespace

import pytest
from playwright.async_api import expect

from storage import access_keys, encoding
from storage import database as connections
from storage.access_keys import Wanted
from storage.audit import Origin
from tests import postgres
from tests.builders import record
from tests.collecting import collecting
from tests.e2e.page.conftest import Visit
from tests.stored import store

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_sign_in(browser, server, axe):
    """
    Who has no session is asked for a key, and told of a wrong one; then the page shows what the key
    is for, until they sign out. No script has the key or the session.
    """
    with postgres.clone(server) as database:
        async with connections.connected(database, size=1, init=encoding.prepare) as pool:
            wanted = Wanted(name="support", scopes=["query"])
            key = await access_keys.create(pool, wanted, Origin("local", "here"))
            await store(pool, record(timestamp=dt.datetime.now(dt.UTC), msg="seen"))
        async with collecting(database) as client:
            context = await browser.new_context()
            site = SimpleNamespace(native=str(client._base_url).rstrip("/"))
            visit = Visit(await context.new_page(), site)
            asked = asyncio.Event()  # the first records are asked for, and refused, before the view

            async def later(route):
                await asked.wait()
                await route.continue_()

            await visit.page.route("**/explorer/view.js", later)
            page = await visit.open(rows=False)
            field = page.get_by_role("textbox", name="key")
            await expect(field).to_be_focused()
            asked.set()
            assert [] == await axe(page)
            await field.fill("pxc_wrong")
            await field.press("Enter")
            await expect(page.get_by_role("alert")).to_contain_text("not known")
            await expect(field).to_have_attribute("aria-invalid", "true")
            await field.fill(key)
            await page.get_by_role("button", name="Sign in").click()
            await expect(page.locator(".row .said").first).to_have_text("seen")
            assert "" == await page.evaluate("document.cookie")
            kept = await page.evaluate("JSON.stringify([localStorage, sessionStorage])")
            assert key not in kept + page.url
            await page.reload()
            await expect(page.locator(".row .said").first).to_have_text("seen")
            await page.get_by_role("button", name="Sign out, key support").click()
            await expect(field).to_be_visible()
            await page.reload()
            await expect(field).to_be_visible()
            await context.close()

    assert [] == visit.complaints
    assert [] == visit.foreign
