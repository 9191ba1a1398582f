"""
The folder that records are written to: one file at a time, durable batch by batch.

A file under construction is a journal: lines of JSON, in ``<time>-<first id>.jsonl.partial``. Each
batch is appended and synced to disk. When it is large or old enough it is finished: compressed or
converted beside it, and renamed to ``<time>-<first id>-<last id>.jsonl`` or what its format is, so
that a file with such a name is whole and never changes. The time is that at which the collector
stored the first record.

A journal that a crash has left is cut behind its last whole line, and finished. What was cut off
had not been acknowledged, so it is sent again; some of what was not cut off may be, too.
"""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from collector.exporters.file import journal as journals
from collector.exporters.file.finishing import finish
from collector.exporters.file.journal import Journal

if TYPE_CHECKING:
    import datetime as dt

    from collector.exporters.file.settings import File

_FINISHED = re.compile(r"\d{8}T\d{6}Z-\d+-\d+(\.\d+)?\.(jsonl(\.gz|\.zst)?|parquet)")
TRY_AGAIN = 60.0  # seconds after a file could not be finished

log = structlog.get_logger()


class Full(Exception):
    """The folder has as much as it may have, and nothing may be deleted."""


class Folder:
    """Writes what comes; its methods block, and may be called from several threads."""

    def __init__(self, config: File) -> None:
        self._config = config
        self._path = Path(config.folder)
        self._turn = threading.Lock()
        self._journal: Journal | None = None

    def append(self, lines: bytes, first: int, received: dt.datetime) -> None:
        """
        Have *lines* on disk; *first* is the id of the first record, stored at *received*.

        Raises:
            Full: they would be more than the folder may have.
            OSError: nothing of them is there.
        """
        with self._turn:
            if self._journal is not None and self._is_due(len(lines)):
                self._finish()
            if self._journal is None:
                self._recover()
            self._make_room(len(lines))
            if self._journal is None:
                name = f"{received.year:04}{received:%m%dT%H%M%SZ}-{first}{journals.SUFFIX}"
                self._journal = Journal(self._path / name)
            self._write(self._journal, lines)

    @property
    def due(self) -> float | None:
        """The seconds in which the file under construction is old enough; None without one."""
        if self._journal is None:
            return None
        left = self._journal.since + self._config.rotation.max_age - time.monotonic()
        return left if left > 0 else TRY_AGAIN

    def rotate(self) -> None:
        """Finish the file under construction if it is old enough."""
        with self._turn:
            if self._journal is not None and self._is_due(0):
                self._finish()

    def close(self) -> None:
        """Finish the file under construction."""
        with self._turn:
            if self._journal is not None:
                self._finish()

    def _write(self, journal: Journal, lines: bytes) -> None:
        try:
            journal.append(lines)
        except OSError:
            try:
                journal.undo()
            except OSError:  # to be cut, and finished, before anything else is written
                journal.close()
                self._journal = None
            raise

    def _is_due(self, more: int) -> bool:
        rotation, journal = self._config.rotation, self._journal
        if journal is None or not journal.size:
            return False
        old = time.monotonic() - journal.since >= rotation.max_age
        return old or journal.size + more > rotation.max_bytes

    def _finish(self) -> None:
        journal = self._journal
        if journal is None:
            return
        finish(journal.path, self._config.format, self._config.compression)
        self._journal = None
        journal.close()

    def _recover(self) -> None:
        """Finish what processes that are no more have left, this one's former self or another."""
        self._path.mkdir(mode=0o750, parents=True, exist_ok=True)
        for path in sorted(self._path.glob(f"*{journals.SUFFIX}")):
            with journals.alone(path) as ours:
                if ours:
                    cut = journals.whole_lines(path)
                    log.info("file_recovered", file=str(path), bytes_cut_off=cut)
                    finish(path, self._config.format, self._config.compression)

    def _make_room(self, more: int) -> None:
        """
        Delete the oldest files until there is room for *more* bytes, if that is wanted.

        Raises:
            Full: there is none, and that is not wanted.
        """
        keep = self._config.keep
        if not keep.max_files and not keep.max_bytes:
            return
        finished = [path for path in self._path.iterdir() if _FINISHED.fullmatch(path.name)]
        sizes = {path: path.stat().st_size for path in sorted(finished)}
        under_way = self._journal.size if self._journal is not None else 0
        while True:
            bytes_after = sum(sizes.values()) + under_way + more
            files_after = len(sizes) + 1
            over = keep.max_bytes and bytes_after > keep.max_bytes
            if not over and not (keep.max_files and files_after > keep.max_files):
                return
            if not sizes or keep.when_full == "stop":
                raise Full(
                    f"{self._path} would have {files_after} files and {bytes_after} bytes; keep"
                    f" allows {keep.max_files or 'any number of'} files and"
                    f" {keep.max_bytes or 'any number of'} bytes"
                )
            oldest = next(iter(sizes))
            oldest.unlink()
            log.info("file_deleted", file=str(oldest), bytes=sizes.pop(oldest))
