"""Forwarding to files: what exports give, in a folder, for as long as records come."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING

import structlog

from collector.exporters.file.entries import line
from collector.exporters.file.folder import Folder, Full
from collector.exporters.file.settings import File
from collector.forwarding.target import Answer, Done, Refused, Retry, Stop
from storage import moments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.stored import Stored

__all__ = ["File", "FileTarget", "target"]

# What no later try mends as long as nobody does.
_TO_BE_MENDED = {errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EROFS, errno.ENAMETOOLONG}

log = structlog.get_logger()


class FileTarget:
    """A `Target` that writes to a folder."""

    def __init__(self, config: File) -> None:
        self._config = config
        self._folder = Folder(config)
        self._due: asyncio.TimerHandle | None = None
        self._rotating: asyncio.Future[None] | None = None
        self._closed = False

    async def send(self, records: Sequence[Stored], /) -> Answer:
        """Have *records* on disk."""
        try:
            refused = await asyncio.to_thread(self._write, records)
        except Full as exc:
            return Stop(str(exc))
        except OSError as exc:
            reason = f"{type(exc).__name__}: {exc}"
            return Stop(reason) if exc.errno in _TO_BE_MENDED else Retry(reason)
        self._rotate_when_due()
        return Done(refused=refused)

    async def close(self) -> None:
        """Finish the file under construction."""
        self._closed = True
        if self._due is not None:
            self._due.cancel()
        try:
            await asyncio.to_thread(self._folder.close)
        except OSError as exc:  # the next start finishes it
            log.warning("file_not_finished", folder=self._config.folder, reason=str(exc))

    def _write(self, records: Sequence[Stored]) -> tuple[Refused, ...]:
        lines: list[bytes] = []
        refused: list[Refused] = []
        first: Stored | None = None
        for place, stored in enumerate(records):
            try:
                lines.append(line(stored) + b"\n")
            except (TypeError, ValueError, OverflowError, RecursionError) as exc:
                refused.append(Refused(place, f"no JSON: {type(exc).__name__}"))
            else:
                first = first or stored
        if first is not None:
            self._folder.append(
                b"".join(lines), first.record.id or 0, moments.time(first.received_at)
            )
        return tuple(refused)

    def _rotate_when_due(self) -> None:
        """Finish the file when it is old enough, whether or not more records come."""
        due = self._folder.due
        if self._due is None and due is not None and not self._closed:
            self._due = asyncio.get_running_loop().call_later(due, self._begin_to_rotate)

    def _begin_to_rotate(self) -> None:
        self._due = None
        self._rotating = asyncio.get_running_loop().run_in_executor(None, self._rotate)
        self._rotating.add_done_callback(lambda _: self._rotate_when_due())

    def _rotate(self) -> None:
        try:
            self._folder.rotate()
        except OSError as exc:  # the next batch tries it again, and so does the next start
            log.warning("file_not_finished", folder=self._config.folder, reason=str(exc))


def target(config: File) -> FileTarget:
    """Make the target of *config*."""
    return FileTarget(config)
