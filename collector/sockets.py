"""
The sockets of endpoints, which outlive the processes that take connections from them.

A connection that nobody has taken yet waits in its socket, so none is refused or lost while
one process takes another's place.
"""

from __future__ import annotations

import asyncio
import mmap
import socket
import ssl
from functools import partial
from typing import TYPE_CHECKING, Protocol

import structlog

from collector import telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from collector.tls import Certificates

    Sockets = Mapping[str, Sequence[socket.socket]]  # by endpoint

BACKLOG = 1024  # connections that wait to be taken; Linux allows 4096
PAUSE = 0.001  # seconds that a new connection is left to other processes, each connection ahead
LONGEST_PAUSE = 0.005  # seconds; perhaps they are busy, or dead
EXHAUSTED_PAUSE = 1.0  # seconds until the next try when no connection can be taken
CROWDED_PAUSE = 0.05  # seconds until the next look whether there is room for another
HANDSHAKE = 10.0  # seconds for that of TLS
AT_ONCE = 16  # connections that are taken before others are served
PLACES = 256  # processes that can share sockets at a time
AWAY = 2**31 - 1  # the connections of a process that takes none

log = structlog.get_logger()


def bound(endpoint: str) -> list[socket.socket]:
    """
    Give the sockets that listen at *endpoint*; an empty host is every interface.

    Raises:
        OSError: it is taken, or no address of this machine.
    """
    host, _, port = endpoint.rpartition(":")
    found = socket.getaddrinfo(
        host.strip("[]") or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    made: list[socket.socket] = []
    try:
        for family, *_, address in dict.fromkeys(found):
            if family == socket.AF_INET6 and not socket.has_dualstack_ipv6():
                continue  # a machine without IPv6 may have a name for it
            made.append(socket.create_server(address, family=family, backlog=BACKLOG))
            made[-1].setblocking(False)
    except BaseException:
        for one in made:
            one.close()
        raise
    return made


def url(sockets: Sequence[socket.socket], *, secure: bool = False) -> str:
    """Give the URL of an endpoint."""
    host, port = sockets[0].getsockname()[:2]
    scheme = "https" if secure else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class Held:
    """The sockets of all endpoints, open until no configuration has them."""

    def __init__(self) -> None:
        self._open: dict[str, list[socket.socket]] = {}

    def at(self, endpoints: Sequence[str]) -> Sockets:
        """Give the sockets of *endpoints*, and open those that are not; see `bound`."""
        for endpoint in endpoints:
            if endpoint not in self._open:
                self._open[endpoint] = bound(endpoint)
        return {endpoint: self._open[endpoint] for endpoint in endpoints}

    def keep(self, endpoints: Sequence[str]) -> None:
        """Close those of other endpoints."""
        for endpoint in self._open.keys() - set(endpoints):
            for one in self._open.pop(endpoint):
                one.close()


class Balance:
    """
    How many connections each process has, in a file that all of them map.

    The kernel gives a connection to whoever asks first, which is the busiest more often than
    not: of eight at once one of two processes got six or more every other time.
    """

    def __init__(self, file: Path, place: int = 0) -> None:
        if not file.exists():
            file.write_bytes(AWAY.to_bytes(4, "little", signed=True) * PLACES)
        with file.open("r+b") as opened:
            self._counts = memoryview(mmap.mmap(opened.fileno(), 0)).cast("i")
        self._place = place

    def ahead(self) -> int:
        """Tell how many more this process has than the one with the fewest."""
        return self._counts[self._place] - min(self._counts)

    def begin(self) -> None:
        """Say that this process takes connections, from now on."""
        if self._counts[self._place] == AWAY:
            self._counts[self._place] = 0

    def took(self, number: int = 1) -> None:
        """Count connections that were taken, or with -1 one that has ended."""
        if self._counts[self._place] != AWAY:
            self._counts[self._place] += number

    def away(self, place: int | None = None) -> None:
        """Say that a process, this one or that of *place*, takes no more."""
        self._counts[self._place if place is None else place] = AWAY


class Room(Protocol):
    """How many connections a process may have; `collector.connections.Crowd` is one."""

    @property
    def full(self) -> bool:
        """Whether there is none for another."""

    def make(self) -> bool:
        """Make some; tell whether that could be."""


class Taking:
    """
    Takes connections from *sock* while there is *room*.

    The loop's own server takes as many as there are at once. With *balance* other processes take
    from it too, and this one leaves them to a process that has fewer, for a moment. Who sees
    the end of a connection tells *balance*. With *certificates* connections begin by TLS.
    """

    def __init__(
        self,
        sock: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        balance: Balance | None = None,
        room: Room | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        self._sock, self._protocol, self._balance, self._room = sock, protocol, balance, room
        self._certificates = certificates
        self._loop = asyncio.get_running_loop()
        self._taken: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._loop.add_reader(sock, self._arrived)

    def close(self) -> None:
        """Take no more, and close *sock*."""
        self._loop.remove_reader(self._sock)
        self._sock.close()
        if self._pause is not None:
            self._pause.cancel()
        if self._balance is not None:
            self._balance.away()

    def _arrived(self) -> None:
        if (ahead := self._ahead()) > 0:
            self._wait(min(ahead * PAUSE, LONGEST_PAUSE))
        else:
            self._take()

    def _ahead(self) -> int:
        return 0 if self._balance is None else self._balance.ahead()

    def _wait(self, seconds: float) -> None:
        self._loop.remove_reader(self._sock)
        self._pause = self._loop.call_later(seconds, self._waited)

    def _waited(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock, self._arrived)
        self._take()

    def _take(self) -> None:
        """Take one, and more of those that are there while it is this process's turn."""
        if self._full() and self._room is not None and not self._room.make():
            self._wait(CROWDED_PAUSE)
            return
        for _ in range(AT_ONCE):
            if not self._take_one() or self._ahead() > 0 or self._full():
                return

    def _full(self) -> bool:
        return self._room is not None and self._room.full

    def _take_one(self) -> bool:
        try:
            connection, _ = self._sock.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False  # another was quicker, or who connected has gone
        except OSError as exc:  # such as too many open files
            log.error("connections_wait", error=str(exc))  # noqa: TRY400  it is no bug
            self._wait(EXHAUSTED_PAUSE)
            return False
        connection.setblocking(False)
        if self._balance is not None:
            self._balance.took()
        protocol = self._protocol()
        certificates = self._certificates
        task = self._loop.create_task(
            self._loop.connect_accepted_socket(lambda: protocol, connection)
            if certificates is None
            else self._loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=certificates.context(),
                ssl_handshake_timeout=HANDSHAKE,
            )
        )
        self._taken.add(task)
        task.add_done_callback(partial(self._connected, protocol))
        return True

    def _connected(self, protocol: asyncio.BaseProtocol, task: asyncio.Task[object]) -> None:
        self._taken.discard(task)
        # Who connected has gone already, or doesn't speak TLS, or not as it must.
        if task.cancelled() or (exc := task.exception()):
            if not task.cancelled() and isinstance(exc, ssl.SSLError):
                telemetry.requests_refused.labels("unknown", "tls").inc()
            protocol.connection_lost(None)
