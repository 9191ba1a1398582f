"""The explorer in a browser: each feature, as somebody uses it."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import expect

from tests.e2e.page.conftest import HOSTILE, RECORDS, send

pytestmark = pytest.mark.asyncio(loop_scope="session")


def parameters(page):
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


async def services(page):
    await page.locator(".row").first.wait_for()  # the table may come after the histogram
    return set(await page.locator(".row .cell-service").all_inner_texts())


async def test_what_is_seen_first(visit):
    """
    The page shows the newest records of the last hour, how many there are over time, and what
    they have.
    """
    page = await visit.open()

    await expect(page.locator(".legend b")).to_have_text(f"{RECORDS:,}")
    await expect(page.locator(".row .said").first).to_have_text(f"record {RECORDS - 1}")
    await expect(page.locator(".plot path.bar-error")).to_have_count(1)
    await expect(page.get_by_role("button", name="Only service worker")).to_contain_text("750")
    assert "75 error" in await page.locator(".plot").get_attribute("aria-label")


IN_ORDER = """() => {
    const places = [...document.querySelectorAll(".row")].map((row) => Number(row.ariaRowIndex));
    return places.every((place, at) => at === 0 || place === places[at - 1] + 1);
}"""


async def test_many_rows(visit):
    """
    Scrolling loads all records, while the page has the rows that are seen and few more.
    """
    page = await visit.open()
    status = page.locator(".toolbar [role=status]").first
    for _ in range(40):
        if (await status.inner_text()).startswith(f"{RECORDS:,} records"):
            break
        await page.locator(".table").evaluate("table => { table.scrollTop = table.scrollHeight; }")
        await page.wait_for_timeout(50)

    await expect(status).to_contain_text(f"{RECORDS:,} records")
    await expect(page.locator(".end")).to_contain_text("That is all")
    await page.keyboard.press("G")
    await expect(page.locator(".row .said").last).to_have_text("record 0")
    # At rest they stand in the order in which they are read, with all that can be seen of them.
    await page.wait_for_function(IN_ORDER)
    await expect(page.locator(".row").last).to_contain_text("job_id=100")
    assert await page.locator(".row").count() < 100


async def test_typing_a_search(visit):
    """
    What is typed is completed, searched for, and in the address; the back button undoes it.
    """
    page = await visit.open()
    await page.keyboard.press("/")
    await page.keyboard.type("servi")
    await page.locator("#suggestions li").first.wait_for()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("combobox")).to_have_value("service:")
    await page.keyboard.type("wor")
    await expect(page.locator("#suggestions li bdi").first).to_have_text("worker")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Enter")
    await expect(page.locator(".legend b")).to_have_text("750")

    assert {"q": "service:worker"} == parameters(page)
    assert {"worker"} == await services(page)
    await page.go_back()
    await expect(page.locator(".legend b")).to_have_text(f"{RECORDS:,}")
    await expect(page.get_by_role("combobox")).to_have_value("")


async def test_mistakes_are_underlined(visit):
    """
    What is no search is underlined where it is wrong, and mended where it is clear how.
    """
    page = await visit.open("?q=🦊 servcie:api", rows=False)
    await expect(page.locator(".part-wrong").first).to_have_text("servcie")
    await expect(page.get_by_role("combobox")).to_have_attribute("aria-invalid", "true")
    await page.get_by_role("button", name="Search for service").click()

    await expect(page.get_by_role("combobox")).to_have_value("🦊 service:api")
    await expect(page.locator(".part-wrong")).to_have_count(0)
    await expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()


async def test_fields(visit):
    """
    A click on a value narrows the search to it, another leaves it out, and again takes it back.
    """
    page = await visit.open()
    await page.get_by_role("button", name="No service api").click()
    await expect(page.locator(".legend b")).to_have_text("2,250")
    assert "-service:api" == parameters(page)["q"]

    await page.get_by_role("button", name="Only service api").click()
    await expect(page.locator(".legend b")).to_have_text("750")
    assert "service:api" == parameters(page)["q"]

    await page.get_by_role("button", name="Only service api").click()
    await page.get_by_role("button", name="Only level error").click()
    await expect(page.locator(".legend b")).to_have_text("75")
    assert "level:error" == parameters(page)["q"]


async def test_times(visit):
    """
    The range is a span up to now, from one time to another, or what is dragged over.
    """
    page = await visit.open()
    await page.keyboard.press("t")
    await page.get_by_role("button", name="Last 6 hours").click()
    await expect(page.locator(".legend b")).to_have_text(f"{RECORDS + len(HOSTILE):,}")
    assert "6h" == parameters(page)["last"]

    await page.keyboard.press("t")
    await page.get_by_role("textbox", name="From").fill("2025-01-01 00:00")
    await page.get_by_role("textbox", name="To").fill("2025-01-02")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Nothing found").wait_for()
    given = parameters(page)
    assert ("2024-12-31T23:00:00.000Z", "2025-01-01T23:00:00.000Z") == (
        given["start"],
        given["end"],
    )

    await page.get_by_role("button", name="All time").click()
    await page.locator(".row").first.wait_for()
    page = await visit.open()
    await visit.settled()
    box = await page.locator(".plot .over").bounding_box()
    await page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 30)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 30, steps=4)
    await page.mouse.up()
    await page.mouse.move(10, 10)
    await expect(page.locator(".legend b")).not_to_have_text(f"{RECORDS:,}")
    assert {"start", "end"} == set(parameters(page))
    assert 600 < int((await page.locator(".legend b").inner_text()).replace(",", "")) < 1_200


async def test_columns(visit):
    """
    Columns are added, moved, resized and taken away, by mouse and by keys, and are in the address.
    """
    page = await visit.open()
    heads = page.get_by_role("columnheader")
    await page.keyboard.press("c")
    await page.get_by_role("searchbox", name="Find a field").fill("queue")
    await page.get_by_role("button", name="+ extra.queue").click()
    await expect(heads).to_have_count(5)
    await page.get_by_role("button", name="Move extra.queue up").click()
    await page.get_by_role("button", name="Remove level").click()
    await page.keyboard.press("Escape")
    await expect(heads).to_have_text(["time", "extra.queue", "service", "message"])
    await expect(page.locator(".row .cell-extra-queue").first).to_have_text("gpu")

    handle = page.get_by_role("separator", name="Width of service")
    await handle.press("ArrowRight")
    await expect(handle).to_have_attribute("aria-valuenow", "166")
    box = await handle.bounding_box()
    await page.mouse.move(box["x"] + 4, box["y"] + 4)
    await page.mouse.down()
    await page.mouse.move(box["x"] + 38, box["y"] + 4, steps=3)
    await page.mouse.up()
    await expect(handle).to_have_attribute("aria-valuenow", "200")
    assert "timestamp,extra.queue,service~200,msg" == parameters(page)["cols"]
    await handle.press("Alt+ArrowLeft")
    assert "timestamp,service~200,extra.queue,msg" == parameters(page)["cols"]

    await page.reload()
    await expect(heads).to_have_text(["time", "service", "extra.queue", "message"])


async def test_a_record(visiting):
    """
    An open record has all its fields, each a way to narrow the search, and can be copied.
    """
    async with visiting(permissions=["clipboard-read", "clipboard-write"]) as visit:
        page = await visit.open("?q=error_type:ProviderTimeout")
        await page.locator(".row").first.click()
        detail = page.locator(".detail")
        await expect(detail).to_contain_text("extra.queue")
        assert parameters(page)["open"].isdigit()

        await detail.get_by_role("button", name="Copy JSON").click()
        entry = json.loads(await page.evaluate("navigator.clipboard.readText()"))
        assert "ProviderTimeout" == entry["error_type"]
        await detail.get_by_role("button", name="curl").click()
        curl = await page.evaluate("navigator.clipboard.readText()")
        assert (
            f"curl -sG '{visit.site.native}/api/v1/logs/query' --data-urlencode 'id={entry['id']}'"
            == curl
        )
        await detail.get_by_role("button", name="SQL").click()
        assert f"WHERE id = {entry['id']} AND" in await page.evaluate(
            "navigator.clipboard.readText()"
        )

        await detail.get_by_role("button", name="No extra.queue gpu").click()
        await page.get_by_role("heading", name="Nothing found").wait_for()
        assert "error_type:ProviderTimeout -extra.queue:gpu" == parameters(page)["q"]


async def test_lines_around(visit):
    """
    Around a record are the lines before and after it, whatever the search was.
    """
    page = await visit.open("?q=error_type:ProviderTimeout")
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    text = await page.locator(".row-selected .said").inner_text()
    await page.keyboard.press("a")
    await expect(page.locator(".row-marked .said")).to_have_text(text)
    number = int(text.removeprefix("record "))
    await expect(page.get_by_text(f"record {number - 4}", exact=True)).to_be_visible()
    await page.get_by_role("button", name="of all").click()
    await expect(page.get_by_text(f"record {number - 1}", exact=True)).to_be_visible()
    assert "all" == parameters(page)["scope"]


async def test_keys(visit):
    """
    All can be done by keys, which `?` shows.
    """
    page = await visit.open()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keyboard")).to_contain_text(
        "Lines around the record"
    )
    await page.keyboard.press("Escape")
    for key in ("j", "ArrowDown", "j", "k", "Enter"):
        await page.keyboard.press(key)
    await expect(page.locator(".row-selected .said")).to_have_text(f"record {RECORDS - 2}")
    await expect(page.locator(".detail")).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(page.locator(".detail")).to_have_count(0)
    for key in ("w", "d", "f", "u"):
        await page.keyboard.press(key)
    await expect(page.locator(".table-wrap.table-roomy")).to_have_count(1)
    await expect(page.locator(".facets")).to_have_count(0)
    assert {"wrap": "1", "density": "roomy", "facets": "0", "tz": "utc"} == parameters(page)
    await page.keyboard.press("G")
    await expect(page.locator(".row-selected")).to_have_count(1)
    await page.keyboard.press("T")
    await expect(page.locator("html")).to_have_attribute("data-theme", "light")


async def test_the_focus_leaves_a_panel(visit):
    """
    A panel closes when keys lead out of it, or it would lie over what has the focus then.
    """
    page = await visit.open()
    await page.keyboard.press("t")
    await expect(page.locator(".panel button").first).to_be_focused()
    await page.keyboard.press("Shift+Tab")
    await expect(page.get_by_role("button", name="Last 1 hour").first).to_be_focused()
    await expect(page.locator(".panel")).to_have_count(1)
    await page.keyboard.press("Shift+Tab")

    await expect(page.locator(".panel")).to_have_count(0)


@pytest.mark.parametrize("wrap", ["", "&wrap=1"], ids=["cut", "wrapped"])
async def test_text_of_logs_is_text(visit, wrap):
    """
    No text of a log becomes markup, runs, hides, or turns the page around.
    """
    page = await visit.open(f"?last=1d&q=service:hostile{wrap}")
    rows = page.locator(".row")
    await expect(rows).to_have_count(len(HOSTILE))
    for at in range(len(HOSTILE)):
        await rows.nth(at).click()
    await expect(page.locator(".detail").first).to_be_visible()
    said = "\n".join(await page.locator(".row .said").all_inner_texts())

    assert await page.evaluate("window.hacked === undefined")
    assert 0 == await page.locator(".rows :is(img, b, script, iframe):not(.facets b)").count()
    assert HOSTILE["markup"] in said
    assert HOSTILE["script"] in said
    assert "user ⟨202E⟩gnp.exe⟨202C⟩" in said
    assert "red link" in said
    assert "\x1b" not in await page.locator(".rows").inner_text()
    assert "first ↵ second ↵ third" in said


async def test_a_long_line(visit):
    """
    Of a line of a megabyte a part is shown, and all of it when it is asked for.
    """
    page = await visit.open("?last=1d&q=service:long")
    await page.locator(".row").click()
    assert len(await page.locator(".rows").inner_text()) < 10_000
    await page.get_by_role("button", name="Show all 999 kB").click()

    await expect(page.locator(".detail")).to_contain_text("xxx end")


async def test_export(visit):
    """
    An export has all that the search finds, and one that was cut short isn't saved.
    """
    page = await visit.open("?q=service:worker")
    await page.keyboard.press("e")
    async with page.expect_download() as download:
        await page.locator(".export .main").click()
    lines = (await (await download.value).path()).read_text().splitlines()
    assert 750 == len(lines)
    await expect(page.locator(".export [role=status]")).to_contain_text("Saved whole: 750 records")

    await page.get_by_role("combobox", name="As").select_option("csv")
    async with page.expect_download() as download:
        await page.locator(".export .main").click()
    assert 751 == len((await (await download.value).path()).read_text().splitlines())

    await page.route("**/export?*", lambda route: route.fulfill(body='{"id": 1}\n{"id": 2}\n'))
    await page.get_by_role("combobox", name="As").select_option("jsonl")
    await page.locator(".export .main").click()
    await expect(page.locator(".export .wrong")).to_have_text(
        "Nothing was saved: the file was cut short"
    )


async def test_when_there_is_no_answer(visit):
    """
    That the collector is away, or that an answer was cut, is said, and can be tried again.
    """
    page = visit.page
    failing = {"status": 503, "json": {"detail": "the database is away"}}
    await page.route("**/query?*", lambda route: route.fulfill(**failing))
    await visit.open(rows=False)
    await expect(page.get_by_role("alert")).to_contain_text("the database is away")
    await page.unroute("**/query?*")
    await page.get_by_role("button", name="Try again").click()
    await page.locator(".row").first.wait_for()

    async def cut(route):
        response = await route.fetch()
        answer = {**await response.json(), "complete": False, "reason": "the time was over"}
        await route.fulfill(json=answer, headers={"X-Incomplete": answer["reason"]})

    await page.route("**/histogram?*", cut)
    await page.reload()
    await expect(page.locator(".legend .cut")).to_contain_text("the time was over")


async def test_narrow(visiting):
    """
    At 400 pixels all is there, and nothing but the table is scrolled sideways.
    """
    async with visiting(viewport={"width": 400, "height": 800}) as visit:
        page = await visit.open()
        await page.get_by_role("button", name="Fields").click()
        await expect(page.locator(".facets")).to_be_visible()
        for name in ("Columns", "Export", "Views"):
            await page.get_by_role("button", name=name, exact=True).click()
            box = await page.locator(".panel").bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 400
            await page.keyboard.press("Escape")

        assert 400 == await page.evaluate("document.documentElement.scrollWidth")


LOW = {"width": 1200, "height": 420}  # a few rows stand for all
SIGHTS = {
    "open": "?q=error_type:*&cols=timestamp,level,job_id,msg",
    "mistake": "?q=servcie:api",
    "hostile": "?last=1d&q=service:hostile&wrap=1&density=roomy",
}


async def test_axe_finds_nothing(visiting, axe):
    """
    Nothing shuts out who sees little, uses keys, or listens to the page.
    """
    async with visiting(viewport=LOW) as visit:
        found = {}
        for name, query in SIGHTS.items():
            page = await visit.open(query, rows=False)
            await visit.settled()
            if name == "open":
                await page.locator(".row").first.click()
            found[name] = await axe(page)
        page = await visit.open("?q=service:nobody", rows=False)
        await page.get_by_role("heading", name="Nothing found").wait_for()
        for key in ("t", "c", "e", "v", "?"):
            await page.keyboard.press(key)
            await page.locator(".panel, dialog").wait_for()
            found[key] = await axe(page, ".panel, dialog")
            await page.keyboard.press("Escape")

    assert {} == {name: wrong for name, wrong in found.items() if wrong}


async def test_contrast_in_the_dark(visiting, axe):
    """
    What is read in the light can be read in the dark.
    """
    async with visiting(viewport=LOW, color_scheme="dark") as visit:
        page = await visit.open("?last=1d&q=service:hostile OR error_type:*")
        await visit.settled()
        await page.locator(".row").first.click()
        found = [await axe(page, "body", "color-contrast")]
        await page.keyboard.press("t")
        found.append(await axe(page, ".panel", "color-contrast"))

    assert [[], []] == found


HIDDEN = """hidden => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


async def test_live(visit):
    """
    What is stored is on top at once; while somebody reads on it waits, and is counted.
    """
    page = await visit.open()
    await page.keyboard.press("l")
    await expect(page.locator(".live")).to_have_text(re.compile("Live"))
    await page.locator(".row").first.wait_for()
    # With a time at which no other test looks.
    found = {"timestamp": "2025-11-13T12:00:00Z", "level": "INFO", "service": "tail"}
    send(visit.site, found | {"msg": "just in"})
    await expect(page.locator(".row .said").first).to_have_text("just in")

    await page.locator(".table").evaluate("table => { table.scrollTop = 400; }")
    await expect(page.locator(".live")).to_have_text(re.compile("Paused"))
    send(visit.site, found | {"msg": "later"})
    await page.get_by_role("button", name="1 new line").click()
    await expect(page.locator(".row .said").first).to_have_text("later")

    # What comes while nobody sees the page is there when somebody does.
    await page.evaluate(HIDDEN, True)
    send(visit.site, found | {"msg": "unseen"})
    await page.wait_for_timeout(300)
    await expect(page.locator(".row .said").first).to_have_text("later")
    await page.evaluate(HIDDEN, False)
    await expect(page.locator(".row .said").first).to_have_text("unseen")
    await expect(page.get_by_text("later", exact=True)).to_have_count(1)


async def test_live_after_a_restore(visit):
    """
    Where the database knows the last position no more, live begins anew from now, and says so.
    """
    page = await visit.open("?live=1")
    await expect(page.locator(".live")).to_have_text(re.compile("Live"))
    foreign = {"status": 400, "json": {"detail": "the position is another server's"}}
    await page.route(re.compile("/tail.*from="), lambda route: route.fulfill(**foreign))
    await page.evaluate(HIDDEN, True)
    await page.evaluate(HIDDEN, False)

    await expect(page.locator(".notice")).to_contain_text("live again from now")
    await expect(page.locator(".live")).to_have_text(re.compile("Live"))


async def test_saved_views(visit):
    """
    What is seen is saved under a name, found again with it, and deleted.
    """
    page = await visit.open("?q=service:media&wrap=1")
    await page.keyboard.press("v")
    await page.get_by_role("textbox", name="Save what is seen as").fill("media <b>wrapped</b>")
    await page.keyboard.press("Enter")
    await page.get_by_role("link", name="media <b>wrapped</b>").wait_for()
    await visit.open()
    await page.keyboard.press("v")
    await page.get_by_role("link", name="media <b>wrapped</b>").click()
    await expect(page.get_by_role("combobox")).to_have_value("service:media")
    assert {"q": "service:media", "wrap": "1"} == parameters(page)

    await page.keyboard.press("v")
    await page.get_by_role("button", name="Delete media").click()
    await expect(page.get_by_text("None yet")).to_be_visible()
