"""The bytes of a request's body, decompressed, and never more of them than allowed."""

from __future__ import annotations

import asyncio
import sys
import time
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from aiohttp import web

from collector.errors import BadRequest, TooLarge, TooSlow, UnsupportedMedia
from storage.errors import Overloaded

if TYPE_CHECKING:
    from collections.abc import Callable

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdDecompressor, ZstdError

FEW = 16  # requests that always may wait: who has few connections waits by himself
FIRST_ROOM = 8 * 1024 * 1024  # bytes a second, before it is known what can be stored
LEAST_ROOM = 512 * 1024  # bytes, however long something took
WEIGHT = 0.25  # of each new reckoning in what is known
TURN = 1024 * 1024  # bytes that are decoded at a time, about; see `collector.turns`
SHORTEST = 0.001  # seconds of a wait that tells anything


class _Waits(NamedTuple):
    since: float
    work: int  # bytes that were to be stored until it was
    ahead: int  # bytes that others wait for because of it


HELD = web.RequestKey("held", int)  # bytes of those in flight that a request holds, 0 at first
WAITS = web.RequestKey("waits", _Waits)


class InFlight:
    """
    Counts the bytes of all requests from their arrival to their answer, up to a limit.

    It is what bounds memory and waiting: a request is Overloaded at once if it would exceed
    *limit*, or if those before it would take longer than *longest_wait* seconds. What can be
    stored in that time is reckoned from each request that was: how much there was to do when it
    came, and how long it took.
    """

    def __init__(self, limit: int, longest_wait: float = 0.75) -> None:
        self.limit = limit
        self.held = 0
        # bytes that can be stored in time, by what is known
        self.room: float = min(limit, FIRST_ROOM * longest_wait)
        self._longest_wait = longest_wait
        self._waiting = 0  # requests
        self._ahead = 0  # bytes that a request waits for that comes now

    def admit(self) -> None:
        """Raise Overloaded if a request would wait for too long."""
        if self._waiting >= FEW and self._ahead > self.room:
            raise Overloaded(
                f"{self._ahead} bytes wait to be stored, which takes longer than"
                f" {self._longest_wait:g} s"
            )

    def take(self, request: web.Request, size: int) -> None:
        """Count *size* bytes for *request*, or raise Overloaded."""
        if self.held + size > self.limit:
            raise Overloaded(
                f"{self.held} bytes of requests are in flight, the most is {self.limit}"
            )
        self.held += size
        request[HELD] += size

    def wait(self, request: web.Request) -> None:
        """Note that *request* is complete, and waits for its answer from now on."""
        size = request[HELD]
        ahead = min(size, TURN)  # of a large one others wait for no more at a time
        request[WAITS] = _Waits(time.monotonic(), self._ahead + size, ahead)
        self._ahead += ahead
        self._waiting += 1

    def release(self, request: web.Request, *, stored: bool = False) -> None:
        """Forget *request* and what it holds; whether it was *stored* tells what can be."""
        self.held -= request[HELD]
        if (waits := request.get(WAITS)) is None:
            return
        self._ahead -= waits.ahead
        self._waiting -= 1
        waited = max(time.monotonic() - waits.since, SHORTEST)
        room = waits.work * self._longest_wait / waited
        # One that was quick because there was little to do says nothing of more.
        if stored and (waited > self._longest_wait or waits.work > self.room / 2):
            room = self.room + (room - self.room) * WEIGHT
            self.room = max(LEAST_ROOM, min(room, self.limit))


async def read(request: web.Request, *, limit: int, seconds: float, in_flight: InFlight) -> bytes:
    """
    Read a body of at most *limit* bytes, after decompression, within so many *seconds*.

    Content-Encoding may be identity, gzip (of any number of members), deflate or zstd, in
    any case.

    Raises:
        BadRequest: the compressed data is corrupt, or ends early.
        TooLarge: it is over the limit, or its Content-Length says so; the rest is not read.
        UnsupportedMedia: the Content-Encoding is another.
        Overloaded: the bytes in flight are at their limit, or wait for too long.
        TooSlow: it did not arrive in time.
    """
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    inflate = _inflater(encoding)
    if (request.content_length or 0) > limit:
        raise TooLarge(f"the body has {request.content_length} bytes, the most is {limit}")
    in_flight.admit()
    parts: list[bytes] = []
    room = limit

    def take(data: bytes) -> None:
        nonlocal room
        for part in (data,) if inflate is None else inflate.feed(data, room):
            room -= len(part)
            if room < 0:
                raise TooLarge(f"the body exceeds {limit} bytes")
            in_flight.take(request, len(part))
            parts.append(part)

    content = request.content
    try:
        if content.is_eof():  # most have come whole with their head, and a timer has its price
            take(content.read_nowait())
        else:
            async with asyncio.timeout(seconds):
                while data := await content.readany():
                    take(data)
    except TimeoutError as exc:
        raise TooSlow(f"the body did not come to its end within {seconds:g} s") from exc
    except (zlib.error, ZstdError) as exc:
        raise BadRequest(f"the body is not valid {encoding}: {exc}") from exc
    if inflate is not None and not inflate.complete:
        raise BadRequest(f"the body ends before its {encoding} data does")
    in_flight.wait(request)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class _Inflater(Protocol):
    complete: bool

    def feed(self, data: bytes, room: int) -> Any:
        """Give the parts that *data* inflates to, stopping beyond *room* bytes."""


class _Zlib:
    """gzip and deflate; gzip data may be several members one after another (RFC 1952)."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._member: Any = None
        self.complete = False

    def feed(self, data: bytes, room: int) -> Any:
        while data:
            if self._member is None:
                if self.complete and not (self._gzip and data[:2] == b"\x1f\x8b"):
                    raise BadRequest("the body goes on after its compressed data")
                self._member = zlib.decompressobj(31 if self._gzip else _deflate_bits(data))
            part = self._member.decompress(data, room + 1)
            room -= len(part)
            if part:
                yield part
            self.complete = self._member.eof
            data = self._member.unused_data if self.complete else self._member.unconsumed_tail
            if self.complete:
                self._member = None


def _deflate_bits(data: bytes) -> int:
    """Tell zlib data, which RFC 9110 means by deflate, from the raw kind that some send."""
    wrapped = len(data) > 1 and data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0
    return 15 if wrapped else -15


class _Zstd:
    """zstd; the data may be several frames one after another (RFC 8878)."""

    def __init__(self) -> None:
        self._frame = ZstdDecompressor()
        self.complete = False

    def feed(self, data: bytes, room: int) -> Any:
        while data or not (self._frame.needs_input or self._frame.eof):
            if self._frame.eof:
                self._frame = ZstdDecompressor()
            part = self._frame.decompress(data, room + 1)
            room -= len(part)
            if part:
                yield part
            self.complete = self._frame.eof
            data = self._frame.unused_data if self.complete else b""


_INFLATERS: dict[str, Callable[[], _Inflater | None]] = {
    "": lambda: None,
    "identity": lambda: None,
    "gzip": lambda: _Zlib(gzip=True),
    "x-gzip": lambda: _Zlib(gzip=True),
    "deflate": lambda: _Zlib(gzip=False),
    "zstd": _Zstd,
}


def _inflater(encoding: str) -> _Inflater | None:
    if encoding not in _INFLATERS:
        raise UnsupportedMedia(
            f"Content-Encoding is {encoding}, not gzip, deflate, zstd or identity",
            {"Accept-Encoding": "gzip, deflate, zstd"},
        )
    return _INFLATERS[encoding]()
