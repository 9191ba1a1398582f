"""The command doctor: what it looks at, and what it says is to be done."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from collector import cli
from tests.e2e.conftest import configuration
from tests.postgres import admin
from tests.unit.collector.test_tls import issue


@pytest.fixture(name="doctor")
def _doctor(tmp_path, monkeypatch, capsys):
    """Run the doctor on a database; give its exit code and checks by name."""
    monkeypatch.chdir(tmp_path)

    def doctor(dsn, *, text=None):
        config = tmp_path / "config.yaml"
        config.write_text(text or configuration(f'dsn: "{dsn}"'))
        try:
            code = cli.main(["doctor", "--config", str(config), "--json"])
        except SystemExit as exc:
            code = exc.code
        found = json.loads(capsys.readouterr().out)
        assert found["ok"] is (code == 0)
        return code, {check["name"]: check for check in found["checks"]}

    return doctor


def states(checks, state):
    return {name for name, check in checks.items() if check["state"] == state}


def test_problems_of_a_database(database, doctor, hypertable, distributed):
    """
    What is wrong with the server, its partitions, forwarders and rules is a problem each, with
    what is to be done; what is well is told too.
    """
    admin(database, "INSERT INTO log_entries (level, timestamp) VALUES ('INFO', now())")
    _, before = doctor(database)
    admin(
        database,
        "INSERT INTO destinations (name, position, state, reason)"
        " VALUES ('loki', '0', 'stopped', 'HTTP 401')",
    )
    admin(database, "INSERT INTO alert_rules (name, definition, error) VALUES ('r', '', 'slow')")
    admin(database, "UPDATE retention_clock SET jumped_at = now()")
    code, after = doctor(database)

    # The servers of tests are hasty, and nobody has made partitions.
    engine = (
        {"engine"} if hypertable or distributed else set()
    )  # which the configuration doesn't name
    assert {"durability", "partitions"} | engine == states(before, "problem")
    assert {"configuration", "database", "clock", "rights", "schema"} <= states(before, "ok")
    assert 1 == code
    found = states(after, "problem") - states(before, "problem")
    assert {"forwarder loki", "alert r", "retention"} == found
    assert "retention --trust-clock" in after["retention"]["advice"]
    assert "stopped: HTTP 401" == after["forwarder loki"]["told"]
    assert "forward resume loki" in after["forwarder loki"]["advice"]
    assert "fsync" in after["durability"]["told"]


def test_a_database_that_is_not_migrated_or_away(empty_database, doctor):
    """
    Without a schema, or a database, the rest is not looked at.
    """
    _, empty = doctor(empty_database)
    _, away = doctor("postgresql://nobody@127.0.0.1:1/none")

    assert "the schema is missing" in empty["schema"]["told"]
    assert "migrate upgrade" in empty["schema"]["advice"]
    assert "partitions" not in empty
    assert "problem" == away["database"]["state"]
    assert "schema" not in away


@contextmanager
def listening(handler, context=None):
    server = HTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Stranger(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


class Collector(Stranger):
    def end_headers(self):
        self.send_header("X-Request-ID", "1")
        super().end_headers()


def test_ports(doctor):
    """
    A port that a collector has is well, one that another program has is a problem.
    """
    text = """
receivers: {{pixsim: {{endpoint: "127.0.0.1:{}"}}}}
extensions: {{api: {{endpoint: "127.0.0.1:{}"}}}}
exporters: {{postgres: {{dsn: embedded, data_folder: none}}}}
"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    with listening(Stranger) as other, listening(Collector) as ours:
        code, found = doctor("", text=text.format(other, ours))
    _, later = doctor("", text=text.format(number, number))

    assert 1 == code
    assert {f"port 127.0.0.1:{other}"} == states(found, "problem")
    assert "a collector listens" == found[f"port 127.0.0.1:{ours}"]["told"]
    assert "free: no collector runs" == later[f"port 127.0.0.1:{number}"]["told"]
    assert "the first start makes it" in later["database"]["told"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
@pytest.mark.parametrize("more", ["", ", client_ca_file: ours.pem"], ids=["server", "clients too"])
def test_ports_with_tls(doctor, tmp_path, more):
    """
    A collector that speaks TLS is known, also where it asks for a certificate that we lack.
    """
    certificate, key = issue(tmp_path, "ours")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    if more:
        context.load_verify_locations(certificate)
        context.verify_mode = ssl.CERT_REQUIRED
    text = """
receivers: {{pixsim: &server {{endpoint: "127.0.0.1:{}", tls: {{cert_file: {}, key_file: {}{}}}}}}}
extensions: {{api: *server}}
exporters: {{postgres: {{dsn: embedded, data_folder: none}}}}
"""
    with listening(Collector, context) as port:
        _, found = doctor("", text=text.format(port, certificate, key, more))

    assert "a collector listens" == found[f"port 127.0.0.1:{port}"]["told"]


def test_a_configuration_with_problems(doctor):
    """
    A configuration that is none is the only thing that is told.
    """
    code, found = doctor("", text="receivers: {pixsim: {endpiont: x}}")

    assert (1, {"configuration"}) == (code, states(found, "problem"))


def test_lines(database, tmp_path, monkeypatch, capsys):
    """
    At a terminal each check is a line, and what is to be done another one.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(configuration(f'dsn: "{database}"'))
    with pytest.raises(SystemExit, match="1"):
        cli.main(["doctor"])
    lines = capsys.readouterr().out.splitlines()

    assert "ok      configuration: valid" == lines[0]
    problem = next(place for place, line in enumerate(lines) if line.startswith("problem durab"))
    assert lines[problem + 1].startswith("        -> set them to on")
