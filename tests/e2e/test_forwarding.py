"""What is stored arrives at a destination, whatever is killed."""

from __future__ import annotations

import http.server
import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import requests

from tests.e2e.conftest import Collector, configuration
from tests.e2e.sender import Sender, stored

FORWARDER = """
  victorialogs:
    endpoint: {url}
    start_at: beginning
    compression: none
    max_age: 0
    batch: {{max_records: 20, timeout: 0.05}}
    retry_on_failure: {{initial_interval: 0.05, max_interval: 0.1}}
"""


class Destination(http.server.BaseHTTPRequestHandler):
    """Takes JSON lines; every fourth time it is busy after it has taken them."""

    def do_POST(self):
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.taken.update(int(json.loads(line)["attempt"]) for line in body.splitlines())
        server.requests += 1
        self.send_response(503 if server.requests % 4 == 0 else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def destination():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Destination) as server:
        server.taken, server.requests = set(), 0
        server.url = f"http://127.0.0.1:{server.server_port}"
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield server
        finally:
            server.shutdown()
            serving.join()


def test_what_was_acknowledged_arrives_whoever_is_killed(database, tmp_path):
    """
    Of two collectors one sends; killed at any moment, it leaves nothing behind: the other goes on
    within seconds, and every record that was acknowledged arrives.
    """
    with destination() as there:
        files = []
        for name in ("a", "b"):
            text = configuration(f'dsn: "{database}"')
            text = text.replace("extensions:", f"{FORWARDER.format(url=there.url)}extensions:")
            file = tmp_path / f"{name}.yaml"
            file.write_text(text)
            files.append(file)
        with ThreadPoolExecutor() as starting:
            first, second = starting.map(Collector, files)
        try:
            sender, other = Sender(first.native), Sender(second.native, 1_000_001)
            time.sleep(0.7)
            first.stop(signal.SIGKILL)
            time.sleep(0.5)
            acknowledged = sender.stop() | other.stop()
            deadline = time.monotonic() + 20
            while not there.taken >= stored(database) and time.monotonic() < deadline:
                time.sleep(0.1)
            status = requests.get(f"{second.native}/api/v1/forwarders", timeout=5).json()
        finally:
            second.stop()

    assert len(acknowledged) >= 5
    assert there.taken >= acknowledged
    [forwarder] = status["forwarders"]
    assert ("running", 0, 0) == (forwarder["state"], forwarder["dead"], forwarder["skipped"])
    assert second.process.pid == int(forwarder["holder"].rpartition(":")[2])
