"""What a log call costs a service, and whether what it logged arrives: ours and upstream's."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

WAYS = ("structlog", "json.dumps", "upstream", "ours, bare", "ours, OTLP", "ours, native")
SENDING = WAYS[2:]
WHOLE = ("upstream", *WAYS[4:])
RUNS = 3  # of which the cheapest counts: other processes only ever add
VARIABLES = ("OTEL_", "PIXSIM_", "DATABASE_URL", "LOG_DATABASE_URL", "SERVICE_NAME")


class Sink(BaseHTTPRequestHandler):
    """Answers 200, and keeps the bodies for later."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append((self.headers, body))
        answer = b'{"success": true}' if "json" in self.headers["Content-Type"] else b""
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def sink():
    """A server inside the block; its ``bodies`` are all it was sent."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Sink) as server:
        server.bodies = []
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def numbers(headers, body):
    """Give the number of each record in a body that has one."""
    if headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    if "json" in headers["Content-Type"]:
        return [entry["n"] for entry in json.loads(body)["logs"] if "n" in entry]
    return [
        pair.value.int_value
        for resource in ExportLogsServiceRequest.FromString(body).resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
        for pair in record.attributes
        if pair.key == "n"
    ]


def run(way, task):
    """Run a service of its own, with default settings; add what arrived to what it tells."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(VARIABLES)}
    with sink() as server:
        url = "http://{}:{}".format(*server.server_address)
        command = [sys.executable, "-m", "tests.bench.service", way, task, url]
        done = subprocess.run(
            command, capture_output=True, check=False, text=True, timeout=120, env=environ
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        found["said"] = done.stderr
        every = [n for one in server.bodies for n in numbers(*one)]
    found["arrived"] = len(set(every))
    found["twice"] = len(every) - found["arrived"]
    return found


def costs():
    """Print what a log costs, beyond what rendering the same JSON does."""
    runs = [{way: run(way, "cost") for way in WAYS} for _ in range(RUNS)]
    least = {
        way: {key: min(one[way][key] for one in runs) for key in ("calling", "total")}
        for way in WAYS
    }
    for one in runs:
        for way in SENDING:
            assert one[way]["arrived"] == one[way]["sent"], (way, one[way])
    bare = least["structlog"]
    print(f"{'µs a log':20}{'calling thread':>16}{'beyond':>8}{'all CPU':>10}{'beyond':>8}")
    for way, found in least.items():
        beyond = {key: found[key] - bare[key] for key in found}
        print(
            f"{way:20}{found['calling']:16.1f}{beyond['calling']:8.1f}"
            f"{found['total']:10.1f}{beyond['total']:8.1f}"
        )
    for way in SENDING[1:]:
        parts = [
            (least[way][key] - bare[key]) / (least["upstream"][key] - bare[key])
            for key in ("calling", "total")
        ]
        print(f"{way} of upstream: {parts[0]:.2f} calling, {parts[1]:.2f} in all")


def arrivals():
    """Print what arrives of a steady stream, and of a burst."""
    print(f"{'steady':20}{'logs/s':>10}{'cores':>8}{'sent':>10}{'arrived':>10}{'dropped':>9}")
    for way in WHOLE:
        found = run(way, "steady")
        print(f"{way:20}{found['rate']:10,.0f}{found['cpu']:8.2f}{_fate(found)}")
        if way != "upstream":
            assert found["arrived"] == found["sent"], found
    print(
        f"{'burst':20}{'logs/s':>10}{'p50 µs':>8}{'sent':>10}{'arrived':>10}{'dropped':>9}"
        f"{'p99 µs':>8}{'max ms':>8}"
    )
    for way in WHOLE:
        found = run(way, "burst")
        print(
            f"{way:20}{found['rate']:10,.0f}{found['p50']:8.1f}{_fate(found)}"
            f"{found['p99']:8.0f}{found['max'] / 1e3:8.1f}"
        )
        if way != "upstream":
            assert found["arrived"] + found["dropped"] == found["sent"], found


def _fate(found):
    dropped = found.get("dropped", "unknown")
    return f"{found['sent']:10,}{found['arrived']:10,}{dropped:>9}"


def main():
    """Print the tables."""
    costs()
    arrivals()
