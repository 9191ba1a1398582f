"""The page for browsers: its files, served as they are written, without a build step."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import posixpath
import re
from importlib import resources
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

MEDIA = {"js": "text/javascript", "mjs": "text/javascript", "css": "text/css"}
FOR_EVER = "public, max-age=31536000, immutable"
FIRST = ("explorer/early.js", "main.js")  # as in index.html
FIRST_VIEW = "explorer"  # as in router.js
FOLDERS = {
    "job": "story",
    "request": "story",
    "trace": "story",
}  # of views, but those of their name
_PRELOAD = '<link rel="modulepreload" href="{}">'
_IMPORT = re.compile(rb'^import\b[^"(]*"([^"]+)"', re.MULTILINE)  # not `import()`, which may wait
_MAP_BEGINS, _MAP_ENDS = '<script type="importmap">', "</script>"


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """
    The page as it is served.

    The address of its files has the hash of all of them, so that a browser may keep each for
    ever, and never mixes those of two versions.
    """

    index: dict[
        str, bytes
    ]  # by the folder of the view that is asked for, or "" where there is none
    policy: str
    version: str
    files: dict[str, bytes]


def answer(request: web.Request) -> web.Response:
    """Answer with the page itself."""
    page = load()
    tag = f'"{page.version}"'
    headers = {
        "Content-Security-Policy": page.policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",  # it is asked each time whether there is a newer one
        "ETag": tag,
        "Vary": "Accept",
    }
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=headers)
    view = request.query.get("view", FIRST_VIEW)
    index = page.index.get(FOLDERS.get(view, view), page.index[""])
    return web.Response(body=index, content_type="text/html", charset="utf-8", headers=headers)


def routes() -> list[web.RouteDef]:
    """Give the routes of the page's files."""
    return [web.get("/page/{version}/{name:.+}", _file)]


async def _file(request: web.Request) -> web.Response:
    page, name = load(), request.match_info["name"]
    if name not in page.files or request.match_info["version"] != page.version:
        raise web.HTTPNotFound(text="the page has no such file now; load it again")
    headers = {
        "Cache-Control": FOR_EVER,
        "X-Content-Type-Options": "nosniff",
        "Vary": "Accept-Encoding",
    }
    body = page.files[name]
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        body = _compressed(body)
        headers["Content-Encoding"] = "gzip"
    return web.Response(
        body=body,
        content_type=MEDIA[name.rpartition(".")[2]],
        charset="utf-8",
        headers=headers,
    )


# A browser without them asks for all at once.
_compressed = functools.cache(gzip.compress)


@functools.cache
def load() -> Page:
    """Read the page's files, once."""
    folder = resources.files("collector.page")
    files = dict(sorted(_files(folder)))
    index = folder.joinpath("index.html").read_text("utf-8")
    version = hashlib.sha256(repr((index, files)).encode()).hexdigest()[:16]
    index = index.replace("{files}", f"page/{version}")
    folders = [name.removesuffix("/view.js") for name in files if name.endswith("/view.js")]
    indexes = {
        folder: _named(index, files, version, *FIRST, f"{folder}/view.js") for folder in folders
    }
    indexes[""] = _named(index, files, version, *FIRST)
    return Page(index=indexes, policy=_policy(index), version=version, files=files)


def _named(index: str, files: dict[str, bytes], version: str, *scripts: str) -> bytes:
    """
    Name in *index* the *scripts* and all that they need.

    Or a browser would find them one behind the other, as each names those that it needs.
    """
    needed: dict[str, None] = {}

    def need(name: str) -> None:
        if name not in needed:
            needed[name] = None
            for found in _IMPORT.findall(files[name]):
                need(_address(found.decode(), name))

    for script in scripts:  # all of the first before the second, for a browser asks in this order
        need(script)
    links = (_PRELOAD.format(f"page/{version}/{name}") for name in needed)
    return index.replace("{scripts}", "\n".join(links)).encode()


def _address(named: str, by: str) -> str:
    """Give the file that the script *by* names; libraries by the map in index.html."""
    if named.startswith("."):
        return posixpath.normpath(posixpath.join(posixpath.dirname(by), named))
    return f"vendor/{posixpath.basename(named)}.mjs"


def _files(folder: Traversable, before: str = "") -> Iterator[tuple[str, bytes]]:
    for each in folder.iterdir():
        name = before + each.name
        if each.is_dir():
            yield from _files(each, f"{name}/")
        elif name.rpartition(".")[2] in MEDIA:
            yield name, each.read_bytes()


def _policy(index: str) -> str:
    """
    Let only the page's own files run, and the map of their names that stands in *index*.

    Nobody else is asked for anything. Nor can text of a log become markup or a script: a browser
    that knows trusted types refuses to make either of text.
    """
    names = index.partition(_MAP_BEGINS)[2].partition(_MAP_ENDS)[0]
    digest = base64.b64encode(hashlib.sha256(names.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self';"
        " connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
