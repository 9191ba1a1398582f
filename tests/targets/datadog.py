"""Datadog's logs intake."""

from __future__ import annotations

import json

from tests.scripted import Reply
from tests.targets.strict import POISON, Strict, expect, read


class Datadog(Strict):
    """Takes a list of logs; one that is refused costs all of them."""

    paths = ("/api/v2/logs",)
    headers = {"DD-API-KEY": "k3y"}  # noqa: RUF012

    def take(self, request):
        if len(request.body) > 5_000_000:
            return Reply(413)
        logs = read(request.body)
        expect(isinstance(logs, list) and 0 < len(logs) <= 1_000, "not 1 to 1000 logs")
        for log in logs:
            self.log(log)
        if any(POISON in log["message"] for log in logs):
            return Reply(400, b'{"errors":[{"title":"Bad Request"}]}')
        self.taken += logs
        return Reply(202, b"{}")

    def log(self, log):
        expect(len(json.dumps(log, ensure_ascii=False).encode()) <= 1_100_000, "more than 1 MB")
        expect(isinstance(log["message"], str), "a message that is no text")
        for name in ("ddsource", "ddtags", "hostname", "service", "status"):
            expect(isinstance(log.get(name, "x"), str), f"{name}: {log.get(name)!r}")
        for tag in filter(None, log.get("ddtags", "").split(",")):
            expect(":" in tag, f"tag {tag}")
        expect(type(log["timestamp"]) is int, f"timestamp {log['timestamp']!r}")
        for name, value in log.items():
            expect(not isinstance(value, dict), f"{name} is an object")
