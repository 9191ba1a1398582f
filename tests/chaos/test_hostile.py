"""Senders that mean harm, or know no better: others go on, and the memory stays flat."""

from __future__ import annotations

import contextlib
import functools
import gzip
import resource
import socket
import threading
import zlib
from urllib.parse import urlsplit

import psutil
import pytest

from tests.chaos.conftest import LONG
from tests.chaos.traffic import OneTry, Retrying, Traffic
from tests.waiting import until

MANY = 10_000 if LONG else 400  # connections
MOST = 20_000 if LONG else 60_000  # bytes of memory for each, with what starting costs
FLOODS = 8  # at once
pytestmark = [pytest.mark.usefixtures("well"), pytest.mark.timeout(400)]
POST = b"POST /api/v1/logs/ingest/batch HTTP/1.1\r\nHost: x\r\n"


@contextlib.contextmanager
def connections(collector, number):
    """So many connections to *collector*, in a process that may have as many files."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 2 * MANY + 1_000), most))
    parts = urlsplit(collector.native)
    opened = []
    try:
        for _ in range(number):
            connection = socket.create_connection((parts.hostname, parts.port), timeout=30)
            opened.append(connection)
        yield opened
    finally:
        for each in opened:
            each.close()


def memory(collector):
    """The bytes that all processes of *collector* have."""
    process = psutil.Process(collector.process.pid)
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))


def idle(_sock):
    """Send nothing."""


def slow(sock):
    """Begin a request, and leave it at that."""
    sock.sendall(POST)


def pipeline(sock):
    """Send very many requests, and read no answer."""
    sock.settimeout(2)
    with contextlib.suppress(OSError):  # it takes no more, as it should
        for _ in range(200):
            sock.sendall((POST + b"Content-Length: 2\r\n\r\n{}") * 500)


def chunks(sock):
    """Send a body that has no end."""
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    sock.settimeout(10)
    with contextlib.suppress(OSError):
        sock.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(3_000):
            sock.sendall(chunk)


def head(sock):
    """Send headers that have no end."""
    sock.settimeout(10)
    with contextlib.suppress(OSError):
        sock.sendall(POST)
        for number in range(10_000):
            sock.sendall(b"X-%d: %s\r\n" % (number, b"y" * 8_000))


@functools.cache
def bombs():
    """Bodies of some kilobytes that inflate to more than a body may have: once, and again."""
    part = zlib.compressobj(9, wbits=31)
    body = b"".join(part.compress(bytes(2**20)) for _ in range(300)) + part.flush()
    return body, gzip.compress(body)


def bomb(sock):
    """Send what inflates to very much."""
    for each in bombs():
        with contextlib.suppress(OSError):
            length = b"Content-Length: %d\r\n\r\n" % len(each)
            sock.sendall(POST + b"Content-Encoding: gzip\r\n" + length + each)
            sock.recv(1_000)


@pytest.mark.parametrize("attack", [idle, slow])
def test_many_connections(stage, attack):
    """
    Thousands of connections that bring nothing cost a few kilobytes each, and others are served.
    """
    collector = stage.collector
    before = memory(collector)
    with Traffic(collector, (OneTry, Retrying)) as traffic, connections(collector, MANY) as opened:
        for each in opened:
            attack(each)
        traffic.go_on(10)
        growth = memory(collector) - before
    assert not traffic.settled(stage.dsn)

    assert growth < MANY * MOST + 30_000_000


@pytest.mark.parametrize("attack", [pipeline, head, *([chunks, bomb] if LONG else [])])
def test_floods(stage, attack):
    """
    Requests without end, and those that inflate to gigabytes, take no more memory than is allowed
    to be in flight; others are served meanwhile.
    """
    collector = stage.collector
    before = memory(collector)
    peak = [0]
    done = threading.Event()

    def watch():
        while not done.wait(0.1):
            peak[0] = max(peak[0], memory(collector))

    watching = threading.Thread(target=watch)
    watching.start()
    with Traffic(collector, (Retrying,)) as traffic, connections(collector, FLOODS) as opened:
        attackers = [threading.Thread(target=attack, args=(each,)) for each in opened]
        for attacker in attackers:
            attacker.start()
        traffic.go_on(6)
        for attacker in attackers:
            attacker.join()
        traffic.go_on(3)
    done.set()
    watching.join()
    assert not traffic.settled(stage.dsn)
    until(lambda: collector.counters()["pixsim_in_flight_bytes", frozenset()] < 1_000_000)

    assert peak[0] - before < 600_000_000
