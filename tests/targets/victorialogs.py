"""VictoriaLogs' JSON lines."""

from __future__ import annotations

import time
from datetime import datetime

from tests.scripted import Reply
from tests.targets.strict import POISON, TIME, Strict, expect, read


class VictoriaLogs(Strict):
    """Answers 200 to everything but a body of which all is bad; so all else is a deviation."""

    media = "application/stream+json"
    paths = ("/insert/jsonline",)

    def __init__(self, *script, now=time.time_ns):
        super().__init__(*script)
        self.now = now

    def take(self, request):
        expect("_stream_fields=service,env" in request.path, request.path)
        expect(request.body.endswith(b"\n"), "no final newline")
        lines = request.body[:-1].split(b"\n")
        found = [read(line) for line in lines]
        for line, fields in zip(lines, found, strict=True):
            self.line(line, fields)
        if any(POISON in fields["_msg"] for fields in found):
            return Reply(400, b"cannot parse line")
        self.taken += found
        return Reply(200)

    def line(self, line, fields):
        expect(len(line) < 256 * 1024, f"a line of {len(line)} bytes")
        expect(len(fields) <= 1_000, f"{len(fields)} fields")
        for name, value in fields.items():
            expect(0 < len(name.encode()) <= 128, f"a name of {len(name)} characters")
            expect(not isinstance(value, dict), f"{name} is an object")
            expect(value not in ("", None), f"{name} is empty")
        expect(TIME.fullmatch(fields["_time"]), fields["_time"])
        year = int(fields["_time"][:4])
        expect(1970 <= year <= 2262, f"year {year}")
        seconds = datetime.fromisoformat(fields["_time"][:26] + "+00:00").timestamp()
        expect(seconds <= self.now() / 1e9 + 2 * 86_400, "more than 2 days ahead")
        expect(not {"_stream", "_stream_id"} & fields.keys(), "a name of its own")
