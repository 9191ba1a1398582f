"""What all strict servers have in common."""

from __future__ import annotations

import json
import re
from collections import deque
from contextlib import asynccontextmanager

from tests.scripted import Reply, scripted

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")
POISON = "poison"  # in the text of a record: it is refused, however well-formed it is

BREAKER = "breaker"  # in the text of a record: the server itself fails at it, each time


class Deviation(AssertionError):
    """Something came that a real server would not take, or would change in silence."""


class Strict:
    """
    A rule of `tests.scripted`: it answers what *script* has, first to last, and then takes.

    A script's ``None`` is a request that is taken as usual.
    """

    media = "application/json"
    paths = ()
    headers = {}  # noqa: RUF012  each kind has its own

    def __init__(self, *script):
        self.script = deque(script)
        self.deviations = []
        self.requests = 0
        self.taken = []  # what was stored, in order

    def __call__(self, request):
        self.requests += 1
        reply = self.script.popleft() if self.script else None
        try:
            self.check(request)
            if BREAKER.encode() in request.body:
                return Reply(500, b"NullPointerException")
            return reply or self.take(request)
        except Deviation as exc:
            self.deviations.append(str(exc))
            return Reply(400, str(exc).encode())

    def check(self, request):
        headers = {name.lower(): value for name, value in request.headers.items()}
        path = request.path.partition("?")[0]
        expect(path in self.paths, f"path {path}")
        expect(headers["content-type"] == self.media, f"type {headers['content-type']}")
        for name, value in self.headers.items():
            expect(headers.get(name.lower()) == value, f"header {name}")
        expect("transfer-encoding" not in headers, "a body in chunks")
        expect(request.body, "an empty body")

    def take(self, request):
        raise NotImplementedError


def expect(condition, told):
    if not condition:
        raise Deviation(told)


def read(text):
    """Read strict JSON: no key twice, no NaN."""

    def once(pairs):
        expect(len(pairs) == len(dict(pairs)), f"a key twice: {[key for key, _ in pairs]}")
        return dict(pairs)

    def refuse(name):
        raise Deviation(f"no JSON: {name}")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except ValueError as exc:
        raise Deviation(f"no JSON: {exc}") from exc


@asynccontextmanager
async def serving(strict):
    """Serve *strict* inside the block, and see that nothing deviated."""
    async with scripted(strict) as server:
        yield server
    assert [] == strict.deviations
