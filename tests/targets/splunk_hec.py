"""Splunk's HTTP Event Collector."""

from __future__ import annotations

import json

from tests.scripted import Reply
from tests.targets.strict import POISON, Strict, expect, read

KEYS = {"time", "host", "source", "sourcetype", "index", "event", "fields"}


CHANNEL = "5a0a1d2c-7a0e-4a5c-9d0a-6c1f0f3f2b11"


class SplunkHec(Strict):
    """
    Takes events until one that is refused, and says which that is.

    With *acknowledges* it has a body for good when that is acknowledged: after being asked for as
    often as the next of these says, or never where that is None. It says so once.
    """

    paths = ("/services/collector/event", "/services/collector", "/services/collector/ack")
    headers = {"Authorization": "Splunk t0ken"}  # noqa: RUF012

    def __init__(self, *script, counts_from=0, acknowledges=None):
        super().__init__(*script)
        self.counts_from = counts_from
        self.acknowledges = acknowledges and iter(acknowledges)
        self.waiting = {}  # by id, the times that it is still asked for, and the events

    def take(self, request):
        path, _, query = request.path.partition("?")
        if path.endswith("/ack"):
            expect(query == f"channel={CHANNEL}", f"query {query}")
            return self.asked(request)
        if self.acknowledges is None:
            return self.collect(request)
        expect(request.headers.get("X-Splunk-Request-Channel") == CHANNEL, "no channel")
        before, self.taken = self.taken, []
        reply = self.collect(request)
        events, self.taken = self.taken, before
        if reply.status != 200:
            self.taken += events
            return reply
        ack = len(self.waiting)
        self.waiting[ack] = [next(self.acknowledges, 1), events]
        return Reply(200, json.dumps({"text": "Success", "code": 0, "ackId": ack}).encode())

    def asked(self, request):
        question = read(request.body)
        expect(question.keys() == {"acks"} and question["acks"], f"question {question}")
        return Reply(200, json.dumps({"acks": dict(map(self.ask, question["acks"]))}).encode())

    def ask(self, ack):
        expect(type(ack) is int and ack in self.waiting, f"ack {ack!r}")
        times, events = self.waiting[ack]
        if times == 1:
            self.taken += events
        self.waiting[ack][0] = times and times - 1
        return str(ack), times == 1

    def collect(self, request):
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
