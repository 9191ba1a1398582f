"""
The open connections of a process, and what each may cost: time, bytes of a head, and a place.

aiohttp bounds the parts of a head and what is pipelined; that a head comes to its end, and that
there is room for the next connection, is looked after here.
"""

from __future__ import annotations

import asyncio
import re
import resource
import time
from typing import TYPE_CHECKING, Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from collector import answers, telemetry

if TYPE_CHECKING:
    from collector.sections import Connections
    from collector.sockets import Balance

QUESTIONS = {"GET", "HEAD"}  # methods of what is of use to who asks only
LONGEST_HEAD = 65_536  # bytes of a request before its body, all together
LONGEST_LINE = 8_190  # bytes of a URL, or of a header
MOST_HEADERS = 128
LINGER = 2.0  # seconds in which who is refused can read why, before its connection is cut
KEPT_FILES = 512  # for all that is no connection of a sender
TOLD_EVERY = 60.0  # seconds between two lines of our log that say that there is no room
CLOSED_AT_ONCE = 64  # a part of this size of all connections makes room, for looking costs time
_SAID = re.compile(r":?\s*(?:\n|b['\"])")  # where its own words begin

log = structlog.get_logger()


class Crowd:
    """All connections of a process, within *settings*; *balance* is told of each that ends."""

    def __init__(self, settings: Connections, balance: Balance | None = None) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.settings = settings
        self.most = max(1, min(settings.max_open, files - KEPT_FILES))
        self.open: set[Connection] = set()
        self._balance = balance
        self._next_told = 0.0
        if balance is not None:
            balance.begin()

    @property
    def full(self) -> bool:
        """Whether there is no place for another."""
        return len(self.open) >= self.most

    def make(self) -> bool:
        """
        Make room, and tell whether there is some.

        Those that are idle for longest go. Where none is, new ones wait in their socket: to a
        sender that tries once that is better than a refusal.
        """
        idle = sorted((one for one in self.open if one.idle), key=lambda one: one.idle_until)
        for one in idle[: 1 + self.most // CLOSED_AT_ONCE]:
            telemetry.connections_closed.inc()
            one.force_close()
            self.discard(one)
        if not idle and (now := time.monotonic()) >= self._next_told:
            log.warning("connections_wait", error=f"{len(self.open)} are open, and none is idle")
            self._next_told = now + TOLD_EVERY
        return bool(idle)

    def add(self, connection: Connection) -> None:
        """Count *connection*, which is about to begin."""
        self.open.add(connection)
        telemetry.connections.inc()

    def discard(self, connection: Connection) -> None:
        """Count *connection* no more, which ends."""
        if connection not in self.open:
            return
        self.open.remove(connection)
        telemetry.connections.dec()
        if self._balance is not None:
            self._balance.took(-1)


class Connection(web.RequestHandler):
    """One of a `Crowd`: aiohttp's, that has to bring a whole head in time."""

    __slots__ = ("_crowd", "_head_bytes", "_head_timer")

    def __init__(self, server: web.Server, crowd: Crowd) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # each request is counted, not logged
            auto_decompress=False,  # bodies are inflated by us, within a limit
            keepalive_timeout=crowd.settings.idle_timeout,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            max_headers=MOST_HEADERS,
        )
        crowd.add(self)
        self._crowd = crowd
        self._head_bytes = 0  # of a head that has not come to its end
        self._head_timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether no request is under way here, or beginning."""
        return self._waits and self._head_timer is None

    @property
    def idle_until(self) -> float:
        """When it would be closed, by the clock of the loop."""
        return self._next_keepalive_close_time

    @property
    def _waits(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Make room, and drop what is asked; what was sent is stored to the end."""
        self._begin_head(0)
        self._crowd.discard(self)
        request, task = self._current_request, self._task_handler
        super().connection_lost(exc)
        # aiohttp itself would cancel all or none; for those that go on it waits at its end.
        if request is not None and request.method in QUESTIONS and task is not None:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        """Look whether a head has begun and not ended, which happens to few."""
        super().data_received(data)
        if not (data and self._waits):
            if self._head_timer is not None:
                self._begin_head(0)
            return
        self._begin_head(self._head_bytes + len(data))
        if self._head_bytes > LONGEST_HEAD:
            self._refuse(431, f"the headers have more than {LONGEST_HEAD} bytes", "too_large")

    def _begin_head(self, size: int) -> None:
        self._head_bytes = size
        if size and self._head_timer is None:
            timeout = self._crowd.settings.read_header_timeout
            self._head_timer = self._loop.call_later(timeout, self._late)
        elif not size and self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _late(self) -> None:
        timeout = self._crowd.settings.read_header_timeout
        self._refuse(408, f"no whole head of a request came within {timeout:g} s", "too_slow")

    def _refuse(self, status: int, message: str, reason: str) -> None:
        """Answer what is no request yet, and take nothing more."""
        self._begin_head(0)
        if self.transport is None:
            return
        self.transport.write(answers.raw(status, message))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        _count(status, reason)
        self.close()
        self._loop.call_later(LINGER, self.force_close)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP, or too much of it, as all else is answered."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        status, text, reason = _told(exc)
        _count(status, reason)
        response = web.Response(
            status=status, body=answers.nowhere(status, text), content_type=answers.JSON
        )
        response.force_close()
        return response


def _told(exc: HttpProcessingError) -> tuple[int, str, str]:
    """Give the status, the message and the reason for *exc*; no word of its may be a secret."""
    if isinstance(exc, LineTooLong):
        line: Any = exc.args[0]
        if bytes(line[:1]) == b"/":  # it has no other way to say which
            return 414, f"the URL has more than {LONGEST_LINE} bytes", "too_large"
        return 431, f"a header has more than {LONGEST_LINE} bytes", "too_large"
    if exc.message.startswith("Too many headers"):
        return 431, f"there are more than {MOST_HEADERS} headers", "too_large"
    return 400, f"this is no HTTP request: {_SAID.split(exc.message)[0]}", "undecodable"


def _count(status: int, reason: str) -> None:
    telemetry.requests.labels("unknown", "unknown", status).inc()
    telemetry.requests_refused.labels("unknown", reason).inc()
