"""Bodies that are no requests, and what is no HTTP, to a real collector on Postgres."""

from __future__ import annotations

import functools
import gzip
import random
import socket
import sys
import zlib
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tests.e2e import bad_records as bad
from tests.e2e.protocols import PROTOCOLS, NativeBatch, NativeSingle, OtlpJson, OtlpProtobuf

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.usefixtures("still_well")
every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)
LIMIT = 64 * 1024 * 1024  # bytes of a body
NOISE = random.Random(1).randbytes(1_000)
# what is sent; and what is answered to native and OTLP senders, JSON and protobuf
BODIES = [
    pytest.param(b"", {}, (422, 400, 200), id="empty"),
    pytest.param(b" \n", {}, (422, 400, 200), id="blank"),
    pytest.param(b"null", {}, (422, 400, 400), id="null"),
    pytest.param(b"[]", {}, (422, 400, 400), id="list"),
    pytest.param(b'{"logs": 1, "resourceLogs": 1}', {}, (422, 400, 400), id="number for a list"),
    pytest.param(b"[" * bad.DEEP, {}, (422, 400, 400), id="nested 100,000 deep"),
    pytest.param(NOISE, {}, (422, 400, 400), id="noise"),
    pytest.param(bytes(LIMIT + 1), {}, (413, 413, 413), id="over the limit"),
    pytest.param(b"x", {"Content_Encoding": "br"}, (415, 415, 415), id="unknown encoding"),
    pytest.param(b"x", {"Content_Encoding": "gzip, gzip"}, (415, 415, 415), id="two encodings"),
    pytest.param(b"{}", {"Content_Type": "text/plain"}, (422, 415, 415), id="unknown type"),
    pytest.param(b"{}", {"Content_Type": "\xff"}, (422, 415, 415), id="wild type"),
]


@every_protocol
@pytest.mark.parametrize(("body", "headers", "statuses"), BODIES)
def test_bodies(shared, protocol, body, headers, statuses):
    """
    A body that is no request gets the status that README says, and a message.
    """
    sender = protocol(shared).send(body, **headers)
    native, otlp_json, otlp_protobuf = statuses
    expected = {OtlpJson: otlp_json, OtlpProtobuf: otlp_protobuf}.get(protocol, native)

    assert expected == sender.status
    assert sender.message or expected == 200


COMPRESSIONS = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress}


@functools.cache  # it takes half a second, and all protocols are sent the same
def bomb(encoding):
    """A small body of which more than the limit comes."""
    return COMPRESSIONS[encoding](bytes(2 * LIMIT))


@every_protocol
@pytest.mark.parametrize("encoding", COMPRESSIONS)
def test_compressed_bodies(shared, protocol, encoding):
    """
    Of compressed bodies good ones are taken, broken ones refused, and bombs not inflated.
    """
    sender = protocol(shared)
    compress = COMPRESSIONS[encoding]
    good = compress(sender.wrapped([sender.good("x")]))
    bodies = [good, good[:-5], b"", good + b"xx", NOISE, bomb(encoding)]
    statuses = [sender.send(body, Content_Encoding=encoding).status for body in bodies]

    assert [200, 400, 400, 400, 400, 413] == statuses
    assert f"exceeds {LIMIT} bytes" in sender.message


@pytest.mark.parametrize("owner", ["resource", "scope"])
def test_many_attributes_of_a_resource_or_scope(shared, owner):
    """
    What all records of a group share may be as large as a record; beyond, they are refused.
    """
    request = ExportLogsServiceRequest()
    scope_logs = request.resource_logs.add().scope_logs.add()
    scope_logs.log_records.add(flags=1)
    shared_by_all = {"resource": request.resource_logs[0].resource, "scope": scope_logs.scope}
    attributes = shared_by_all[owner].attributes
    for number in range(50_000):
        attributes.add(key=f"k{number}").value.int_value = number
    taken = OtlpProtobuf(shared).send(request.SerializeToString())
    for number in range(50_000, 100_000):
        attributes.add(key=f"k{number}").value.int_value = number
    refused = OtlpProtobuf(shared).send(request.SerializeToString())

    assert (200, 0) == (taken.status, taken.rejected)
    assert (200, 1) == (refused.status, refused.rejected)


POST = b"POST /api/v1/logs/ingest HTTP/1.1\r\nHost: x\r\n"
RAW = [
    pytest.param(POST + b"Content-Length: 100\r\n\r\n{}", id="ends early"),
    pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", id="chunks end early"),
    pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}", id="wrong chunk"),
    pytest.param(POST + b"Content-Length: -1\r\n\r\n{}", id="negative length"),
    pytest.param(POST + b"Content-Length: " + bad.DIGITS + b"\r\n\r\n{}", id="huge length"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a:b<c>:99999999\r\n\r\n", id="wild Host"),
    pytest.param(b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", id="NUL in the path"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 99_999 + b"\r\n\r\n", id="header"),
    pytest.param(b"\x16\x03\x01\x02\x00", id="TLS"),
    pytest.param(NOISE, id="noise"),
]


@pytest.mark.parametrize("data", RAW)
def test_no_http(shared, data):
    """
    What is no HTTP, or breaks off, is refused or forgotten, and fills no log.
    """
    address = urlsplit(shared.native)
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(1_000)

    assert not answer or b" 500 " not in answer


@every_protocol
def test_everything_is_counted(shared, protocol):
    """
    Records stored, changed and refused, and requests refused, are counted where they happen.
    """
    before = shared.counters()
    sender = protocol(shared)
    native = isinstance(sender, NativeBatch)
    receiver = "pixsim" if native else "otlp"
    table = {OtlpJson: bad.OTLP_JSON, OtlpProtobuf: bad.PROTO}.get(protocol, bad.NATIVE)
    (large,) = (bad.made(case.values[0]) for case in table if case.id == "10 MB")
    route = urlsplit(sender.url).path
    sender.send_records(sender.good("x"), large)
    sender.send_records(table[0].values[0])
    sender.send(b"\xff")
    after = shared.counters()

    def moved(name, **labels):
        key = (f"pixsim_{name}", frozenset(labels.items()))
        return after.get(key, 0) - before.get(key, 0)

    reason = "invalid" if native else "undecodable"
    assert 2 == moved("records_stored_total", receiver=receiver)
    assert 2 == moved("sender_records_total", receiver=receiver, sender="python-requests")
    assert 1 == moved("records_changed_total", receiver=receiver, reason="nul")
    assert (protocol is not NativeSingle) == moved(
        "records_refused_total", receiver=receiver, reason="too_large"
    )
    assert 1 == moved("requests_refused_total", route=route, reason=reason)
    assert 2 == moved("requests_total", method="POST", route=route, status="200")
    assert 2 == moved("commit_seconds_count")
    assert 2 == moved("commit_records_sum")


@every_protocol
@settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # it looks after all examples
)
@given(data=st.data())
def test_any_bytes_as_a_body(shared, protocol, data):
    """
    A body with any bytes in it is taken, or refused with what is wrong.
    """
    sender = protocol(shared)
    whole = data.draw(st.sampled_from([b"", sender.wrapped([sender.good("x")])]))
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    sender.send(whole[:start] + data.draw(st.binary(max_size=30)) + whole[end:])

    assert sender.status in {200, 400, 422}
    assert sender.message or sender.status == 200
