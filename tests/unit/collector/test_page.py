"""The page's files and how they are served."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import tomllib
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from collector import page, server
from collector.api import Api, routes
from collector.body import InFlight
from collector.search import parse
from storage.reader import Reader
from storage.search import Equals, Not, both

FOLDER = Path(page.__file__).parent
SCRIPTS = sorted(FOLDER.rglob("*.js"))
OURS = [path for path in SCRIPTS if path.parent.name != "vendor"]
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
MOST = 300_000  # bytes of scripts and styles


@asynccontextmanager
async def serving():
    api = Api(endpoint="127.0.0.1:0")
    offered = [*routes(api, Reader(None)), *page.routes()]
    listening = server.listening(
        [server.Listener(api, offered)], InFlight(1_000), shutdown_timeout=2
    )
    async with listening as (url,), aiohttp.ClientSession(url) as client:
        yield client


async def test_browsers_get_the_page():
    """
    Who accepts HTML gets the page, and 304 while it is the same; all others get what they got
    before there was one.
    """
    async with serving() as client:
        async with client.get("/", headers=BROWSER) as response:
            text = await response.text()
        again = {**BROWSER, "If-None-Match": response.headers["ETag"]}
        async with client.get("/", headers=again) as unchanged:
            pass
        async with client.get("/") as other:
            links = await other.text()

    assert (200, "text/html", "no-cache") == (
        response.status,
        response.content_type,
        response.headers["Cache-Control"],
    )
    assert 'type="module"' in text
    assert "{files}" not in text
    assert 304 == unchanged.status
    assert "<script" not in links
    assert "curl" in links
    assert "Accept" == response.headers["Vary"] == other.headers["Vary"]


async def test_files_are_kept_for_ever():
    """
    The page names each file that its view needs, by an address that never has other content.
    """
    views = ("", "?view=overview", "?view=operations", "?view=trace", "?view=none")
    needed = {}
    async with serving() as client:
        for view in views:
            async with client.get(f"/{view}", headers=BROWSER) as response:
                named = re.findall(r'(?:src|href)="(page/[^"]+)', await response.text())
            needed[view] = {name.split("/", 2)[2] for name in named}
        for name in set().union(*needed.values()):
            async with client.get(f"/page/{page.load().version}/{name}") as response:
                assert 200 == response.status
                assert "immutable" in response.headers["Cache-Control"]
                assert "nosniff" == response.headers["X-Content-Type-Options"]
                assert response.content_type in page.MEDIA.values()

    # Scripts name each other: a browser that found them one by one would wait for each.
    assert page.load().files.keys() == set().union(*needed.values())
    assert "story/view.js" in needed["?view=trace"]
    assert "explorer/view.js" not in needed["?view=overview"]
    assert {"main.js", "vendor/preact.mjs"} <= needed["?view=none"] < needed[""]


def test_what_asks_for_the_first_records_is_loaded_first():
    """
    The first records are asked for before the scripts that draw them are loaded.
    """
    index = page.load().index["explorer"].decode()
    named = re.findall(r'modulepreload" href="page/[^/]+/([^"]+)', index)
    first = named[: named.index("main.js")]

    assert {"explorer/early.js", "explorer/results.js", "api.js"} <= set(first)
    assert not {"html.js", "explorer/view.js", "explorer/table.js"} & set(first)
    assert re.search(r'early\.js" type="module" async>', index)  # or it waits for the styles


async def test_files_are_compressed():
    """
    Who reads gzip gets a file so, and the same file.
    """
    address = f"/page/{page.load().version}/main.js"
    async with serving() as client:
        async with client.get(address, headers={"Accept-Encoding": "gzip"}) as small:
            compressed = await small.read()
        async with client.get(address, headers={"Accept-Encoding": "identity"}) as plain:
            assert "Content-Encoding" not in plain.headers
            assert compressed == await plain.read()  # which the client has inflated

    assert "gzip" == small.headers["Content-Encoding"]
    assert int(small.headers["Content-Length"]) < len(compressed)


@pytest.mark.parametrize(
    "path",
    [
        "/page/0123456789abcdef/main.js",
        f"/page/{page.load().version}/__init__.py",
        f"/page/{page.load().version}/../__init__.py",
        f"/page/{page.load().version}/%2e%2e/config.py",
        f"/page/{page.load().version}/vendor/README.md",
    ],
)
async def test_nothing_else_is_served(path):
    """
    A file of another version, or one that is no part of the page, is not found.
    """
    async with serving() as client, client.get(path) as response:
        assert 404 == response.status


def test_policy():
    """
    Nothing runs or is loaded but from the page's own address, and no text becomes markup.
    """
    directives = dict(
        each.strip().split(" ", 1) for each in page.load().policy.split(";") if each.strip()
    )
    names = (
        page.load().index[""].decode().split('<script type="importmap">')[1].split("</script>")[0]
    )
    digest = hashlib.sha256(names.encode()).digest()

    assert "'none'" == directives["default-src"]
    assert f"'self' 'sha256-{base64.b64encode(digest).decode()}'" == directives["script-src"]
    assert "'self'" == directives["style-src"] == directives["connect-src"]
    assert "'script'" == directives["require-trusted-types-for"]


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_no_text_becomes_markup(path):
    """
    No script of ours can make markup, a script or a style of a text.
    """
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function"

    assert not re.search(forbidden, path.read_text(), re.IGNORECASE)


def test_libraries_are_those_recorded():
    """
    Each file of others is the one of the version that is written down, with its licence.
    """
    vendor = FOLDER / "vendor"
    rows = re.findall(
        r"\| `(\S+)` \|.*\]\((LICENSE\.\w+)\) \| `([0-9a-f]{64})`",
        (vendor / "README.md").read_text(),
    )
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in vendor.iterdir()
        if path.suffix[1:] in page.MEDIA
    }

    assert found == {name: digest for name, _, digest in rows}
    assert all((vendor / licence).is_file() for _, licence, _ in rows)


def test_it_is_small():
    """
    Scripts and styles have less than 300 kB, before any compression.
    """
    assert sum(map(len, page.load().files.values())) < MOST


def test_it_is_installed():
    """
    An installed package has all of the page.
    """
    project = tomllib.loads(Path("pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["collector.page"]
    packaged = {path for pattern in patterns for path in FOLDER.glob(pattern)}

    assert {
        path for path in FOLDER.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    } <= packaged


def test_scripts_are_sound():
    """
    Every script can be read as one.
    """
    if (node := shutil.which("node")) is None:
        pytest.skip(reason="no node on this machine, which would read the scripts")
    read = """
        const { readFileSync } = require("fs");
        for (const path of process.argv.slice(1)) {
            new (require("vm").SourceTextModule)(readFileSync(path, "utf-8"), { identifier: path });
        }
    """
    checked = subprocess.run(
        [node, "--no-warnings", "--experimental-vm-modules", "-e", read, *OURS],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "" == checked.stderr


def ran(function, module, given):
    """What a *function* of JavaScript gives for a *module* of the page and what is *given*."""
    if (node := shutil.which("node")) is None:
        pytest.skip(reason="no node on this machine, which would run the page's script")
    script = f"""
        import {{ readFileSync }} from "node:fs";
        const source = readFileSync(process.argv[1], "utf-8");
        const module = await import("data:text/javascript," + encodeURIComponent(source));
        console.log(JSON.stringify(({function})(module, JSON.parse(process.argv[2]))));
    """
    done = subprocess.run(
        [node, "--input-type=module", "-e", script, FOLDER / module, json.dumps(given)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


VALUES = [
    *("AND", "NOT", "last", "*", "x*", "*x", "a*b", "-x", "-", "//x", "(x)", "a:b", "a>=b", "a,b"),
    *('"', '""', 'a"b\\c', "a\\", "\\", "x y", "one\ntwo", "é 🦊", "<b>", "\u202ex"),
]


def test_a_click_asks_for_what_it_shows():
    """
    The condition that the page makes of a value finds this value, or leaves it out, whatever
    characters it has, and a second click takes it away again.
    """
    run = """(s, values) => values.map((value) => {
        const [only, out] = [s.condition("msg", value), s.condition("msg", value, { out: true })];
        const once = s.narrowed("a OR b", only);
        return { value, only, out, once, turned: s.narrowed(once, out), twice: s.narrowed(once, only),
          left: s.leftOut(`a ${out} b`, "msg"), whole: s.parts(only).map(({ text }) => text).join("") };
    })"""

    for made in ran(run, "search.js", VALUES):
        value = made["value"]
        found = Equals("msg", (value,))
        assert found == parse(made["only"])
        assert Not(found) == parse(made["out"])
        assert both(parse("a OR b"), found) == parse(made["once"])
        assert both(parse("a OR b"), Not(found)) == parse(made["turned"])
        assert "(a OR b)" == made["twice"]
        assert [value] == made["left"]
        assert made["only"] == made["whole"]


# Each a number of rows, how many of them came before all others, and what is set: row and height.
STEPS = [
    (4, 0, {1: 30, 3: 12}),
    (6, 0, {5: 50}),
    (9, 3, {0: 11}),
    (5, 0, {}),
    (40, 0, {39: 99}),
    (40, 2, {}),
]


def test_rows_stand_below_each_other():
    """
    A row stands where those above it end, whatever rows were added before and behind it.
    """
    run = """({ Heights }, steps) => {
        const heights = new Heights(10);
        return steps.map(([count, added, set]) => {
            heights.resize(count, added);
            for (const [index, height] of Object.entries(set)) heights.set(Number(index), height);
            return Array.from({ length: count + 1 }, (_, index) => heights.top(index));
        });
    }"""
    rows, expected = [], []
    for count, added, changes in STEPS:
        rows = [*[10] * added, *rows, *[10] * count][:count]
        for index, height in changes.items():
            rows[index] = height
        expected.append([sum(rows[:index]) for index in range(count + 1)])

    assert expected == ran(run, "explorer/heights.js", STEPS)
