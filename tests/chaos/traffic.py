"""Senders that remember what was acknowledged, so that it can be compared with what is stored."""

from __future__ import annotations

import http.client
import json
import threading
import time
import uuid
from collections import Counter
from urllib.parse import urlsplit

import psycopg

from tests.waiting import until

PATIENCE = 2.0  # seconds that pixsim's handlers wait for an answer
PAUSE = 0.02  # seconds between two requests of a sender
SETTLED = 120.0  # seconds within which all that was sent has been acknowledged


class Sender(threading.Thread):
    """Sends one request after another until told to stop; ``acknowledged`` are its records."""

    def __init__(self, collector, run, name, pause=PAUSE):
        super().__init__(name=name, daemon=True)
        self.acknowledged, self.refused = [], Counter()
        self.native, self.otlp = collector.native, collector.otlp
        self._run, self._pause, self._stop_now = run, pause, threading.Event()

    def run(self):
        number = 0
        while not self._stop_now.wait(self._pause):
            number += 1
            self.send(number)

    def stop(self):
        self._stop_now.set()

    def post(self, url, body, headers=()):
        """Post on a connection of its own; give the status, or 0 where there is none."""
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
        try:
            connection.request(
                "POST", parts.path, body, {"Content-Type": "application/json", **dict(headers)}
            )
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            status = 0
        finally:
            connection.close()
        if status != 200:
            self.refused[status] += 1
        return status

    def record(self, name):
        return {"level": "INFO", "service": "chaos", "env": self._run, "msg": name}


class OneTry(Sender):
    """As pixsim's old handlers: a record a request, a connection each, and never again."""

    def send(self, number):
        name = f"{self.name}-{number}"
        url = f"{self.native}/api/v1/logs/ingest"
        if self.post(url, json.dumps(self.record(name))) == 200:
            self.acknowledged.append(name)


class Retrying(Sender):
    """As an SDK: the same bytes again until they are acknowledged."""

    def encoded(self, names):
        attributes = {"service.name": "chaos", "deployment.environment.name": self._run}
        records = [
            {"body": {"stringValue": name}, "timeUnixNano": str(time.time_ns())} for name in names
        ]
        resource = [{"key": k, "value": {"stringValue": v}} for k, v in attributes.items()]
        return json.dumps(
            {
                "resourceLogs": [
                    {
                        "resource": {"attributes": resource},
                        "scopeLogs": [{"logRecords": records}],
                    }
                ]
            }
        )

    def send(self, number, records=3):
        names = [f"{self.name}-{number}-{place}" for place in range(records)]
        body, end = self.encoded(names), time.monotonic() + SETTLED
        while self.post(f"{self.otlp}/v1/logs", body) != 200:
            assert time.monotonic() < end, self.refused
            time.sleep(0.1)
        self.acknowledged += names


class WithKeys(Retrying):
    """As `Retrying`, through the native endpoint with an Idempotency-Key."""

    def send(self, number, records=3):
        names = [f"{self.name}-{number}-{place}" for place in range(records)]
        body = json.dumps({"logs": [self.record(name) for name in names]})
        key, end = {"Idempotency-Key": f"{self._run}-{names[0]}"}, time.monotonic() + SETTLED
        while self.post(f"{self.native}/api/v1/logs/ingest/batch", body, key) != 200:
            assert time.monotonic() < end, self.refused
            time.sleep(0.1)
        self.acknowledged += names


class Traffic:
    """Senders of each kind, inside the block; none of their records has the name of another."""

    def __init__(self, collector, kinds=(OneTry, OneTry, Retrying, WithKeys), pause=PAUSE):
        self.run = uuid.uuid4().hex
        self.senders = [
            kind(collector, self.run, f"{kind.__name__}{place}", pause)
            for place, kind in enumerate(kinds)
        ]

    def __enter__(self):
        for sender in self.senders:
            sender.start()
        return self

    def __exit__(self, *_):
        for sender in self.senders:
            sender.stop()
        for sender in self.senders:
            sender.join(SETTLED)

    def go_on(self, number=4):
        """Return when each sender has so many more records acknowledged."""
        before = [len(sender.acknowledged) for sender in self.senders]
        until(
            lambda: all(
                len(sender.acknowledged) >= seen + number
                for sender, seen in zip(self.senders, before, strict=True)
            )
        )

    @property
    def acknowledged(self):
        return {name for sender in self.senders for name in sender.acknowledged}

    def stored(self, dsn):
        """How often each record is stored."""
        with psycopg.connect(dsn) as connection:
            rows = connection.execute(
                "SELECT msg, count(*) FROM log_entries WHERE env = %s GROUP BY msg", [self.run]
            )
            return dict(rows.fetchall())

    def settled(self, dsn):
        """Wait until all that was acknowledged is stored; give what is stored more than once."""
        until(lambda: self._all_stored(dsn))
        return {name: times for name, times in self.stored(dsn).items() if times > 1}

    def _all_stored(self, dsn):
        try:
            return self.acknowledged <= self.stored(dsn).keys()
        except psycopg.OperationalError:
            return False  # it recovers still
