"""
The tail over a WebSocket: JSON messages, each with its ``type``.

Its reader may change the search and pause, by messages of its own; the records go on after the
last one that it was sent.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from collector import server, telemetry
from collector.errors import Unprocessable
from collector.tail.events import Behind, CaughtUp, Gone, Lines
from collector.tail.following import Following
from collector.tail.until import until
from storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.tail.events import Event
    from collector.tail.hub import Hub
    from storage.positions import Position
    from storage.search import Search

STALLED = 60.0  # seconds in which a reader takes nothing; then it is cut off
HEARTBEAT = 30.0  # seconds
FAREWELL = 1.0  # seconds for the reader's own goodbye
LONGEST = 64 * 1024  # bytes of a reader's message
A_TURN = 50  # messages; then others have theirs

log = structlog.get_logger()


class Command(msgspec.Struct, frozen=True, tag_field="type", forbid_unknown_fields=True):
    """What a reader may say; each has its ``type``."""


class Find(Command, frozen=True, tag="search"):
    """Send what *q* finds from here on, and what the other parameters of the address ask for."""

    q: str | None = None


class Pause(Command, frozen=True, tag="pause"):
    """Send nothing more."""


class Resume(Command, frozen=True, tag="resume"):
    """Go on with what has been stored since the pause began."""


_commands = msgspec.json.Decoder(Find | Pause | Resume)


async def answer(
    request: web.Request,
    hub: Hub,
    searched: Callable[[str | None], Search],
    search: Search,
    position: Position | None,
) -> web.StreamResponse:
    """
    Talk until the reader hangs up or the collector stops.

    *searched* gives the search for another ``q``, or raises Unprocessable.
    """
    server.refuse_strangers(request)
    socket = web.WebSocketResponse(
        heartbeat=HEARTBEAT, compress=False, max_msg_size=LONGEST, timeout=FAREWELL
    )
    await socket.prepare(request)
    talk = Talk(socket, hub, searched, search, position)
    async with until(request.app[server.LEAVING]):
        await talk.hold()
    await socket.close(code=WSCloseCode.GOING_AWAY, message=b"the collector is stopping")
    return socket


class Talk:
    """A conversation over one socket."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        hub: Hub,
        searched: Callable[[str | None], Search],
        search: Search,
        position: Position | None,
    ) -> None:
        self._socket = socket
        self._hub = hub
        self._searched = searched
        self._search = search
        self._position = position
        self._telling: asyncio.Task[None] | None = None

    async def hold(self) -> None:
        """Tell what is stored, and do what the reader says, until it hangs up."""
        self._resume()
        try:
            async for message in self._socket:
                if message.type is not WSMsgType.TEXT:
                    await self._say({"type": "error", "detail": "expected text, which is JSON"})
                    continue
                try:
                    await self._do(_commands.decode(message.data))
                except Unprocessable as exc:
                    await self._say({"type": "error", "detail": exc.details})
                except msgspec.DecodeError as exc:
                    await self._say({"type": "error", "detail": str(exc)})
        finally:
            await self._pause()

    async def _do(self, command: Find | Pause | Resume) -> None:
        match command:
            case Find(q):
                search = self._searched(q)
                paused = self._telling is None
                await self._pause()
                self._search = search
                if not paused:
                    self._resume()
            case Pause():
                await self._pause()
            case Resume():
                self._resume()

    def _resume(self) -> None:
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell(), name="websocket")

    async def _pause(self) -> None:
        if (telling := self._telling) is not None:
            self._telling = None
            telling.cancel()
            await asyncio.wait((telling,))

    async def _tell(self) -> None:
        """Tell what is stored; whatever ends it ends the conversation."""
        try:
            async with aclosing(
                Following(self._hub, self._search, self._position).events()
            ) as events:
                async for event in events:
                    await self._pass(event)
        except StorageError as exc:
            with suppress(ConnectionError):
                await self._say({"type": "error", "detail": str(exc)})
            await self._socket.close(code=WSCloseCode.TRY_AGAIN_LATER)
        except ConnectionError:  # the reader has gone
            await self._socket.close()
        except Exception:
            log.exception("tail_failed")
            await self._socket.close(code=WSCloseCode.INTERNAL_ERROR)

    async def _pass(self, event: Event) -> None:
        if isinstance(event, Lines):
            for place, (position, message) in enumerate(event.messages, 1):
                # What is handed over is sent, also when this is cancelled while there's no room.
                self._position = position
                await self._put(message)
                telemetry.tail_records.inc()
                if place % A_TURN == 0:
                    await asyncio.sleep(0)
        elif isinstance(event, Behind | Gone):
            kind = "gone" if isinstance(event, Gone) else "behind"
            await self._say({"type": kind, **msgspec.to_builtins(event)})
        else:
            self._position = event.position
            kind = "caught_up" if isinstance(event, CaughtUp) else "position"
            await self._say({"type": kind, "position": str(event.position)})

    async def _say(self, message: dict[str, Any]) -> None:
        await self._put(msgspec.json.encode(message).decode())

    async def _put(self, message: str) -> None:
        """Return when there is room for more."""
        try:
            async with asyncio.timeout(STALLED):
                await self._socket.send_str(message)
        except TimeoutError as exc:
            raise ConnectionResetError(f"nothing was taken for {STALLED:g} s") from exc
