"""Exports: all that a search finds, streamed as a file."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from collector import server
from collector.api import encodings, parameters
from collector.api.decoding import decode
from collector.api.formats import Csv, Format, JsonLines, Spreadsheet
from collector.api.parquet import Parquet
from collector.api.searches import wanted
from storage.errors import Overloaded, Unavailable
from storage.export import exporting

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncGenerator, Callable, Iterator, Mapping

    from storage.entries import Entry
    from storage.reader import Reader

STALLED = 60.0  # seconds in which a reader takes nothing; then it is cut off

FORMATS: Mapping[str, Callable[[], Format]] = {
    "jsonl": JsonLines,
    "csv": Csv,
    "spreadsheet": Spreadsheet,
    "parquet": Parquet,
}

log = structlog.get_logger()


class Exports:
    """Answers with exports, of which at most *most* run at a time."""

    def __init__(self, reader: Reader, most: int, now: Callable[[], dt.datetime]) -> None:
        self._reader = reader
        self._most = most
        self._now = now
        self._running = 0

    async def export(self, request: web.Request) -> web.StreamResponse:
        """
        Answer with all records of a search, oldest first, as quickly as they are taken.

        Its reader knows a file that was cut short by its transfer, for that has no end then,
        and by the file, as `collector.api.formats` says.
        """
        given, others = decode(parameters.Export, request.query.items())
        search, now = wanted(given, others), self._now()
        made = FORMATS[given.format]()
        async with AsyncExitStack() as held:
            held.enter_context(self._place())
            export = exporting(self._reader, search, now=now, limit=given.limit)
            blocks = await held.enter_async_context(export)
            return await _answer(request, made, blocks, held, now)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._running >= self._most:
            raise Overloaded(f"{self._running} exports are running, the most is {self._most}")
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1


async def _answer(
    request: web.Request,
    made: Format,
    blocks: AsyncGenerator[list[Entry], None],
    held: AsyncExitStack,
    now: dt.datetime,
) -> web.StreamResponse:
    headers = {
        "Content-Type": made.media,
        "Content-Disposition": f'attachment; filename="logs-{now:%Y%m%dT%H%M%SZ}.{made.suffix}"',
        "Vary": "Accept-Encoding",
    }
    # What goes wrong before the first block has a status of its own.
    first = await anext(blocks, None)
    if first is None:
        return web.Response(body=made.end(), headers=headers)
    accepted = "identity" if made.compressed else request.headers.get("Accept-Encoding", "")
    encoding = encodings.chosen(accepted)
    if encoding != "identity":
        headers["Content-Encoding"] = encoding
    common = server.headers(request)
    if "Vary" in common:
        common["Vary"] += f", {headers.pop('Vary')}"
    response = web.StreamResponse(headers=headers | common)
    await response.prepare(request)
    try:
        encoder = encodings.ENCODINGS[encoding]()
        await _stream(request, response, made, encoder, first, blocks)
        # Who has the end of a file may ask for the next at once, and is to find a place.
        await held.aclose()
        end = await asyncio.to_thread(made.end) if made.slow else made.end()
        await _send(response, encoder.compress(end) + encoder.flush())
        await response.write_eof()
    except Exception as exc:
        # Without its end nobody takes the file for whole.
        if request.transport is not None:
            request.transport.abort()
        log.warning("export_cut_short", reason=str(exc) or type(exc).__name__)
        raise
    return response


async def _stream(
    request: web.Request,
    response: web.StreamResponse,
    made: Format,
    encoding: encodings.Encoding,
    first: list[Entry],
    blocks: AsyncGenerator[list[Entry], None],
) -> None:
    await _send(response, encoding.compress(await _written(made, first)))
    async for block in blocks:
        if request.app[server.STOPPING].is_set():
            raise Unavailable("the collector is stopping")
        await _send(response, encoding.compress(await _written(made, block)))


async def _written(made: Format, block: list[Entry]) -> bytes:
    return await asyncio.to_thread(made.write, block) if made.slow else made.write(block)


async def _send(response: web.StreamResponse, data: bytes) -> None:
    """Return when there is room for more."""
    if data:
        try:
            async with asyncio.timeout(STALLED):
                await response.write(data)
        except TimeoutError as exc:
            raise ConnectionResetError(f"nothing was taken for {STALLED:g} s") from exc
