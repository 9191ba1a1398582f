"""Splunk's HTTP Event Collector."""

from __future__ import annotations

import json

from tests.scripted import Reply
from tests.targets.strict import POISON, Strict, expect, read

KEYS = {"time", "host", "source", "sourcetype", "index", "event", "fields"}


class SplunkHec(Strict):
    """Takes events until one that is refused, and says which that is."""

    paths = ("/services/collector/event", "/services/collector")
    headers = {"Authorization": "Splunk t0ken"}  # noqa: RUF012

    def __init__(self, *script, counts_from=0):
        super().__init__(*script)
        self.counts_from = counts_from

    def take(self, request):
        for place, text in enumerate(request.body.split(b"\n")):
            event = read(text)
            self.event(event)
            if POISON in event["event"]:
                number = place + self.counts_from
                told = {"text": "Invalid data format", "code": 6, "invalid-event-number": number}
                return Reply(400, json.dumps(told).encode())
            self.taken.append(event)
        return Reply(200, b'{"text":"Success","code":0}')

    def event(self, event):
        expect(event.keys() <= KEYS, f"keys {event.keys()}")
        expect(isinstance(event["time"], float), "a time that is no number")
        expect(event["event"] and str(event["event"]).strip(), "a blank event")
        for name in ("host", "source", "sourcetype", "index"):
            expect(event.get(name, "x"), f"an empty {name}")
        for name, value in event["fields"].items():
            expect(name and not name.startswith("_"), f"field {name!r}")
            values = value if isinstance(value, list) else [value]
            expect(all(isinstance(each, str) for each in values), f"field {name}: {value!r}")
