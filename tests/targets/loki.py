"""Loki's push API."""

from __future__ import annotations

import re
import time

from tests.scripted import Reply
from tests.targets.strict import POISON, Strict, expect, read

LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
# What Loki's own cleaning of names leaves as it is: the name of metadata must be one of these.
CLEAN = re.compile(r"_?[a-zA-Z0-9]+(_[a-zA-Z0-9]+)*_?")


class Loki(Strict):
    """Stores what is valid of a push, even where it answers that something is not."""

    paths = ("/loki/api/v1/push",)

    def __init__(self, *script, now=time.time_ns, tenant=""):
        super().__init__(*script)
        self.now = now
        self.headers = {"X-Scope-OrgID": tenant} if tenant else {}
        self.stored = set()

    def take(self, request):
        expect(len(request.body) <= 4_000_000, "more than the rate allows")
        push = read(request.body)
        expect(push.keys() == {"streams"} and push["streams"], "no streams")
        bad = False
        for stream in push["streams"]:
            expect(stream.keys() == {"stream", "values"}, f"keys {stream.keys()}")
            self.labels(stream["stream"])
            times = [int(value[0]) for value in stream["values"]]
            expect(times and times == sorted(times), "not in the order of time")
            for value in stream["values"]:
                self.value(*value)
                bad |= POISON in value[1]
                entry = repr((stream["stream"], value))
                if POISON not in value[1] and entry not in self.stored:
                    self.stored.add(entry)
                    self.taken.append((stream["stream"], *value))
        return Reply(400, b"entry for stream has a problem") if bad else Reply(204)

    def labels(self, labels):
        expect(0 < len(labels) <= 15, f"{len(labels)} labels")
        for name, value in labels.items():
            expect(LABEL.fullmatch(name) and not name.startswith("__"), f"label {name}")
            expect(isinstance(value, str) and 0 < len(value.encode()) <= 2048, f"label {name}")
            expect(not name.endswith("_id") or name == "instance_id", f"an id as a label: {name}")

    def value(self, moment, line, metadata):
        expect(isinstance(moment, str) and str(int(moment)) == moment, f"time {moment!r}")
        expect(-(2**63) <= int(moment) <= self.now() + 600 * 10**9, f"time {moment}")
        expect(len(line.encode()) <= 256 * 1024, "a line of more than 256 KB")
        expect(len(metadata) <= 128, f"{len(metadata)} metadata")
        size = 0
        for name, value in metadata.items():
            expect(CLEAN.fullmatch(name) and not name[0].isdigit(), f"name {name!r}")
            expect(isinstance(value, str) and value, f"{name}: {value!r}")
            size += len(name) + len(value.encode())
        expect(size <= 64 * 1024, f"{size} bytes of metadata")
