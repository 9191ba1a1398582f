"""The story of a job, a request or a trace in a browser, as who is sent the link sees it."""

from __future__ import annotations

import datetime as dt
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.async_api import expect

from tests.e2e.page.conftest import HOSTILE, send

pytestmark = pytest.mark.asyncio(loop_scope="session")

START = dt.datetime(2026, 1, 5, 10, tzinfo=dt.UTC)  # a day at which no other test looks
JOB, TRACE, REQUEST = 4_711, "5b" * 16, "req/story {1}"
GATEWAY, API, WORKER, FIRST, SECOND, MEDIA = (f"{n:016x}" for n in range(1, 7))
LOST = "f" * 16
STORY = f"?view=job&id={JOB}"
SILENT = 4_712
MARKED = "\u202e" + HOSTILE["markup"]


def _records():
    """A job that succeeds at its second attempt, across services that name their spans."""
    job = {"job_id": JOB, "operation_type": "text_to_video", "submission_id": 99}
    request = {"request_id": REQUEST}
    first = {"attempt": 1, "provider_id": "sora", "span_id": FIRST}
    second = {"attempt": 2, "provider_id": "sora", "provider_job_id": "sora-77", "span_id": SECOND}
    failed = {"level": "ERROR", "error": "no answer in 8 s", "error_type": "StoryTimeout"}
    told = [
        (0.0, "api", "job_created", job | request | {"span_id": API}),
        (0.1, "api", "http_request", request | _ended(API, GATEWAY, 90, status_code=202)),
        (0.2, "gateway", "forwarded", request | _ended(GATEWAY, None, 240, status_code=202)),
        (0.4, "worker", "pipeline:start", job | _ended(WORKER, API)),
        (1.0, "generation-worker", "provider:map_params", job | first),
        (9.0, "generation-worker", "provider:error", job | first | failed | _ended(FIRST, WORKER)),
        (
            9.2,
            "worker",
            "retry:decision",
            job | first | {"level": "WARNING", "will_retry": True, "span_id": WORKER},
        ),
        (12.0, "generation-worker", "provider:map_params", job | second),
        (13.0, "generation-worker", "provider:submit", job | second | {"duration_ms": 900}),
        (
            40.0,
            "generation-worker",
            "provider:complete",
            job | second | _ended(SECOND, WORKER, 27_900),
        ),
        (41.0, "media", "pipeline:artifact", job | {"artifact_id": 8} | _ended(MEDIA, LOST)),
    ]
    for seconds, service, event, fields in told:
        stage = {"stage": event} if ":" in event else {}
        yield _record(seconds, service, event, {"trace_id": TRACE, **stage, **fields})
    yield _record(0, "worker", "begun", {"job_id": SILENT, "stage": "pipeline:start"})
    hostile = dict.fromkeys(("job_id", "request_id", "stage", "error", "error_type"), MARKED)
    yield _record(0, MARKED, MARKED, {"level": "ERROR", **hostile})


def _ended(span, parent, took=None, **more):
    left = {"span_id": span, "parent_span_id": parent, "duration_ms": took, **more}
    return {name: value for name, value in left.items() if value is not None}


def _record(seconds, service, msg, fields):
    time = START + dt.timedelta(seconds=seconds)
    return {
        "level": "INFO",
        "timestamp": time.isoformat(),
        "service": service,
        "msg": msg,
        **fields,
    }


@pytest.fixture(autouse=True, scope="module")
def _stories(site):
    send(site, *_records())


def parameters(page):
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


async def said(page):
    await page.locator(".story .row").first.wait_for()
    return await page.locator(".story .row .said").all_inner_texts()


async def test_a_job(visit):
    """
    The first glance says what a job was, how it ended, how long it took and what went wrong first;
    below are its attempts and silences over time, and its records with the time between them.
    """
    page = await visit.open(STORY)
    facts = page.locator(".facts")

    await expect(page.get_by_role("heading", name="Job 4711")).to_be_visible()
    await expect(page.locator(".outcome")).to_have_text("✓ Succeeded")
    for fact in (
        "text_to_video",
        "sora",
        "41.0 s",
        "2 ✕ 1 with an error",
        "9 ■ 1 error ▲ 1 warning",
    ):
        await expect(facts).to_contain_text(fact)
    await expect(page.locator(".first-error")).to_contain_text(
        "First error, before it succeeded, at +9.000 s · generation-worker · provider:error · attempt 1"
    )
    assert ["✕ attempt 1 · 8.2 s", "attempt 2 · 28.0 s"] == await page.locator(
        ":is(.piece-failed, .piece-tried) title"
    ).all_text_contents()
    assert ["27.0 s without a record", "8.0 s without a record"] == await page.locator(
        ".piece-silence title"
    ).all_text_contents()
    names = await page.locator(".lane-name bdi").all_inner_texts()
    assert ["api", "worker", "pipeline:start", "retry:decision", "generation-worker"] == names[:5]
    assert await page.locator(".took-failed").count() == 0
    rows = await page.locator(".story .row").all_inner_texts()
    assert ["+0.000", "+0.400", "+1.000", "+9.000"] == [row.split()[0] for row in rows[:4]]
    assert ["8.0", "s", "E"] == rows[3].split()[1:4]


async def test_ways_into_a_story(visit):
    """
    The first error opens its record; a level, a lane and a span of time narrow the list; all of it
    is in the address, and a key brings all back.
    """
    page = await visit.open(STORY)
    await page.locator(".first-error").click()
    await expect(page.locator(".detail")).to_contain_text("StoryTimeout")
    await page.keyboard.press("Escape")
    await expect(page.locator(".detail")).to_have_count(0)
    await page.get_by_role("combobox", name="Level").select_option("warning")
    assert ["provider:error", "retry:decision"] == await said(page)
    await page.get_by_role("button", name="Only worker: 2 records").click()
    assert ["retry:decision"] == await said(page)
    assert {"level": "warning", "lane": "worker"}.items() <= parameters(page).items()
    await page.reload()
    assert ["retry:decision"] == await said(page)
    await page.keyboard.press("0")
    await expect(page.locator(".story .row")).to_have_count(9)

    box = await page.locator(".pointer").bounding_box()
    await page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 10)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 12, steps=3)
    await page.mouse.up()
    await expect(page.locator(".story .row")).to_have_count(4)
    assert ["provider:error", "retry:decision", "provider:map_params", "provider:submit"] == (
        await said(page)
    )
    await page.keyboard.press("n")
    await expect(page.locator(".row-selected .said")).to_have_text("provider:error")
    await page.keyboard.press("+")
    await expect(page.locator(".story .row")).to_have_count(3)
    assert ["provider:error", "retry:decision", "provider:map_params"] == await said(page)
    for _ in range(4):
        await page.keyboard.press("-")
    await expect(page.locator(".story .row")).to_have_count(9)


async def test_what_it_is_tied_to(visit):
    """
    With its traces a job has also what doesn't name it; its request and its trace are stories of
    their own, and anything else a search.
    """
    page = await visit.open(STORY)
    assert "forwarded" not in await said(page)
    await page.keyboard.press("x")
    await expect(page.locator(".story .row")).to_have_count(11)
    assert "trace" == parameters(page)["expand"]
    await expect(page.locator(".outcome")).to_have_text("✓ Succeeded")

    await page.get_by_role("link", name=f"Request {REQUEST}").click()
    await expect(page.locator(".outcome")).to_have_text("✓ Answered 202")
    assert {"view": "request", "id": REQUEST} == parameters(page)
    assert ["job_created", "http_request", "forwarded"] == await said(page)
    await page.get_by_role("link", name="Job 4711").click()
    await expect(page.locator(".outcome")).to_have_text("✓ Succeeded")
    await page.get_by_role("link", name="Provider job sora-77").click()
    await expect(page.locator(".row .said")).to_have_count(3)
    assert "provider_job_id:sora-77" == parameters(page)["q"]

    await page.locator(".row").first.click()
    await page.locator(".detail").get_by_role("link", name=str(JOB), exact=True).click()
    await expect(page.get_by_role("heading", name="Job 4711")).to_be_visible()
    await visit.open(f"?q=job_id:{JOB} level:error&last=all")
    await page.get_by_role("link", name=f"Story of job {JOB}").click()
    await expect(page.get_by_role("heading", name="Job 4711")).to_be_visible()
    await page.get_by_role("link", name="Open in the explorer").click()
    await expect(page.locator(".legend b")).to_have_text("9")
    assert f"job_id:{JOB}" == parameters(page)["q"]


async def test_a_trace(visit):
    """
    Spans stand below the ones that their records name as parents, from their beginning to their
    end; a span whose parent is not there stands by itself, and says so.
    """
    page = await visit.open(f"?view=trace&id={TRACE}")
    await expect(page.locator(".outcome")).to_have_text("✕ With errors")
    lanes = page.locator(".lane-name")
    names = [text.replace("\n", " ") for text in await lanes.all_inner_texts()]
    indents = await lanes.evaluate_all("all => all.map(({ style }) => style.paddingLeft)")
    told = list(zip((name.split()[0] for name in names), indents, strict=True))

    assert [
        ("gateway", "8px"),
        ("api", "20px"),
        ("worker", "32px"),
        ("generation-worker", "44px"),
        ("generation-worker", "44px"),
        ("⋯", "8px"),
    ] == told
    assert f"its parent {LOST} has no record here" in await lanes.last.get_attribute("title")
    assert ["240 ms", "100 ms", "8.8 s", "8.0 s", "28.0 s"] == await page.locator(
        ".length"
    ).all_text_contents()
    await lanes.nth(4).click()
    assert ["provider:map_params", "provider:submit", "provider:complete"] == await said(page)
    await page.get_by_role("button", name="Services", exact=True).click()
    await expect(lanes).to_have_count(5)


async def test_following(visit):
    """
    What comes while a story is followed is in it at once, and how it ended with it.
    """
    page = await visit.open(f"?view=job&id={SILENT}")
    await expect(page.locator(".outcome")).to_have_text("? No end logged")
    await page.keyboard.press("l")
    await expect(page.locator(".live")).to_have_text("Live")
    send(visit.site, _record(5, "worker", "done", {"job_id": SILENT, "stage": "provider:complete"}))

    await expect(page.locator(".outcome")).to_have_text("✓ Succeeded")
    assert ["begun", "done"] == await said(page)


async def test_no_story(visit):
    """
    That there is none, that there is no answer, and that not all is there, is said, with what to
    do about it.
    """
    page = await visit.open("?view=job&id=987654321", rows=False)
    await page.get_by_role("heading", name="No record names this job").wait_for()
    await page.get_by_role("link", name="Look for a request").click()
    await page.get_by_role("heading", name="No record names this request").wait_for()
    await visit.open("?view=trace", rows=False)
    await page.get_by_role("combobox", name="Of what").select_option("job")
    await page.get_by_role("textbox", name="Its id").fill(str(JOB))
    await page.keyboard.press("Enter")
    assert 9 == len(await said(page))

    failing = {"status": 503, "json": {"detail": "the database is away"}}
    await page.route("**/trace/job/*", lambda route: route.fulfill(**failing))
    await page.reload()
    await expect(page.get_by_role("alert")).to_contain_text("the database is away")
    await page.unroute("**/trace/job/*")

    async def cut(route):
        response = await route.fetch()
        await route.fulfill(response=response, headers={"X-Incomplete": "the first records"})

    await page.route("**/trace/job/*", cut)
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator(".banner")).to_contain_text(
        "Not all of it is here: the first records"
    )


async def test_a_long_story(visit):
    """
    Of a story with many records the page has the rows that are seen, and a mark for each pixel.
    """

    async def many(route):
        (one,) = [
            each for each in await (await route.fetch()).json() if each["msg"] == "job_created"
        ]
        last = START + dt.timedelta(hours=1)
        times = (START + (last - START) * n / 2_999 for n in range(3_000))
        await route.fulfill(
            json=[
                one
                | {"id": n, "timestamp": f"{time:%Y-%m-%dT%H:%M:%S.%f}Z", "span_id": f"{n:016x}"}
                for n, time in enumerate(times, 1)
            ]
        )

    await visit.page.route("**/trace/job/*", many)
    page = await visit.open(STORY)
    await expect(page.locator(".toolbar [role=status]")).to_have_text("3,000 records")
    marks = await page.locator(".mark-info").first.get_attribute("d")
    assert 500 < marks.count("M") < 1_300
    await page.keyboard.press("G")
    await expect(page.locator(".row-selected .cell-elapsed")).to_have_text("+1:00:00.000")
    assert await page.locator(".story .row").count() < 100
    await page.get_by_role("button", name="Spans").click()
    await page.locator(".timeline").evaluate("all => { all.scrollTop = all.scrollHeight; }")
    await expect(
        page.get_by_role("button", name="Only api · job_created: 1 record")
    ).not_to_have_count(0)
    assert await page.locator(".lane-name").count() < 60


async def test_text_of_a_story_is_text(visit):
    """
    No id, service, stage or error becomes markup, runs, or turns the page around.
    """
    page = await visit.open(f"?view=job&id={quote(MARKED, safe='')}")
    await page.locator(".first-error").click()
    await page.mouse.move(*(await _middle(page.locator(".pointer"))))

    assert await page.evaluate("window.hacked === undefined")
    assert 0 == await page.locator(".story :is(img, script, iframe, b b)").count()
    for place in ("h1", ".first-error", ".chips", ".lane-names >> nth=1", ".row .said"):
        text = await page.locator(place).first.text_content()
        assert "⟨202E⟩<img src=x onerror" in text
    assert "\u202e" not in await page.locator("body").inner_text()
    assert "\u202e" not in await page.title()


async def _middle(locator):
    box = await locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + 10


async def test_seen_by_all(visiting, axe):
    """
    Nothing shuts out who sees little, uses keys or listens, light or dark; at 400 pixels nothing
    but the table and the chips is scrolled sideways.
    """
    async with visiting(viewport={"width": 1200, "height": 600}) as visit:
        page = await visit.open(f"{STORY}&expand=trace&lane=worker")
        light = await axe(page, "main")
        await page.emulate_media(color_scheme="dark")
        await page.set_viewport_size({"width": 400, "height": 800})
        dark = await axe(page, ".story", "color-contrast")
        width = await page.evaluate("document.documentElement.scrollWidth")

    assert ([], [], 400) == (light, dark, width)
