"""The sockets of endpoints, and who takes connections from them."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import asynccontextmanager, contextmanager

import pytest

from collector import sockets
from collector.sockets import Balance, Held, Taking, bound


@contextmanager
def opened(endpoint="127.0.0.1:0"):
    held = Held()
    try:
        yield held.at([endpoint])[endpoint]
    finally:
        held.keep(())


class Protocol(asyncio.Protocol):
    def __init__(self, connections, balance):
        self.connections, self.balance = connections, balance

    def connection_made(self, transport):
        self.transport = transport
        self.connections.append(transport)

    def connection_lost(self, exc):
        self.connections.remove(self.transport)
        self.balance.took(-1)


@asynccontextmanager
async def taking(sock, file, place):
    """A process that takes connections: here only one of several in a loop."""
    connections = []
    balance = Balance(file, place)
    balance.begin()
    each = Taking(sock.dup(), lambda: Protocol(connections, balance), balance)
    try:
        yield connections
    finally:
        each.close()
        for transport in connections:
            transport.abort()


@asynccontextmanager
async def connected(sock, number):
    writers = []
    for _ in range(number):
        _, writer = await asyncio.open_connection(*sock.getsockname())
        writers.append(writer)
    try:
        yield
    finally:
        for writer in writers:
            writer.close()


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  what is waited for has no event
            await asyncio.sleep(0.001)


async def test_connections_are_spread_evenly(tmp_path):
    """
    Of connections that come at once each process takes about as many as the others, again and
    again.
    """
    with opened() as (sock,):
        async with (
            taking(sock, tmp_path / "file", 0) as first,
            taking(sock, tmp_path / "file", 1) as second,
        ):
            for _ in range(3):
                async with connected(sock, 16):
                    await until(lambda: len(first) + len(second) == 16)

                    # of a busy machine's pauses some are long
                    assert min(len(first), len(second)) >= 6
                await until(lambda: not first and not second)


async def test_a_process_that_hangs_keeps_no_connection_waiting(tmp_path):
    """
    What a process with fewer connections does not take, another does.
    """
    Balance(tmp_path / "file", 1).begin()
    with opened() as (sock,):
        async with taking(sock, tmp_path / "file", 0) as connections, connected(sock, 3):
            await until(lambda: len(connections) == 3)


async def test_without_file_descriptors_connections_wait(tmp_path, monkeypatch):
    """
    A process that can open no more files goes on when it can again.
    """
    monkeypatch.setattr(sockets, "EXHAUSTED_PAUSE", 0.01)
    refusals = [OSError(errno.EMFILE, "Too many open files")] * 3

    class Exhausted(socket.socket):
        def accept(self):
            if refusals:
                raise refusals.pop()
            return super().accept()

        def dup(self):
            return self

    with opened() as (sock,):
        exhausted = Exhausted(fileno=sock.dup().detach())
        async with taking(exhausted, tmp_path / "file", 0) as connections, connected(sock, 1):
            await until(lambda: connections)

    assert not refusals


def test_sockets_stay_open():
    """
    An endpoint that a new configuration has too keeps its socket; one that it has not is free.
    """
    held = Held()
    first = held.at(["127.0.0.1:0", "localhost:0"])
    second = held.at(["127.0.0.1:0"])
    held.keep(["127.0.0.1:0"])

    assert first["127.0.0.1:0"] is second["127.0.0.1:0"]
    assert first["127.0.0.1:0"][0].fileno() > 0
    assert {-1} == {one.fileno() for one in first["localhost:0"]}
    held.keep(())
    assert first["127.0.0.1:0"][0].fileno() == -1


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [("127.0.0.1:0", "http://127.0.0.1"), ("[::1]:0", "http://[::1]"), (":0", "http://0.0.0.0")],
)
def test_endpoints(endpoint, expected):
    """
    An endpoint is an address of IPv4 or IPv6, or without a host every interface.
    """
    if endpoint.startswith("[") and not socket.has_dualstack_ipv6():
        pytest.skip(reason="this machine has no IPv6")
    found = bound(endpoint)
    hosts = {sockets.url([one]).rpartition(":")[0] for one in found}
    for one in found:
        one.close()

    assert expected in hosts


def test_an_endpoint_that_is_taken_opens_nothing():
    """
    Where one address of an endpoint is taken, none of it stays open, and the error names it.
    """
    with opened() as (sock,):
        port = sock.getsockname()[1]
        with pytest.raises(OSError, match=str(port)):
            bound(f"127.0.0.1:{port}")
