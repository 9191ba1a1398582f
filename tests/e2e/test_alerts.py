"""Alerts of a running collector, which is killed while one fires."""

from __future__ import annotations

import json
import queue
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests

RULE = '{name: errors, search: "level:error", count: {above: 0}, window: 3600, interval: 0.5}'
ALERTS = "workers: 1}}\nalerts: {{delay: 0, notifiers: {{webhook: {{a: {{url: {url}}}}}}}, rules: [{rule}]"


@pytest.fixture(name="hook")
def _hook():
    """A receiver of Alertmanager's webhooks: its URL, and a queue of what it got."""
    got: queue.Queue[dict] = queue.Queue()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            got.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_alert_fires_once_whoever_is_killed(start, database, hook):
    """
    An alert is told when it fires, and not again by who goes on after a kill; the gauges tell it.
    """
    url, got = hook
    given = {"postgres": f'dsn: "{database}"', "service": ALERTS.format(url=url, rule=RULE)}
    first = start(**given)
    entry = {"level": "ERROR", "service": "api", "msg": "boom"}
    requests.post(f"{first.native}/api/v1/logs/ingest", json=entry, timeout=10).raise_for_status()
    told = got.get(timeout=30)
    first.stop(signal.SIGKILL)
    again = start(**given)
    end, evaluated = time.monotonic() + 30, set()
    while len(evaluated) < 3:
        assert time.monotonic() < end, again.output
        (rule,) = requests.get(f"{again.native}/api/v1/alerts", timeout=10).json()["rules"]
        evaluated.add(rule["evaluated_at"])
        time.sleep(0.1)
    counters = again.counters()
    code = again.stop()

    assert ("firing", "errors") == (told["status"], told["groupLabels"]["alertname"])
    assert ["firing"] == [alert["state"] for alert in rule["alerts"]]
    assert got.empty()
    assert 1 == counters["pixsim_alerts_firing", frozenset({("rule", "errors")})]
    assert 1 == counters["pixsim_database_up", frozenset()]
    assert 0 == code
