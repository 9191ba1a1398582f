"""
A file under construction: lines of JSON that are on disk as soon as `Journal.append` returns.

Whoever writes to one has a lock on it, so that nobody else takes it for left behind.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from collector.exporters.file.entries import read

if sys.platform == "win32":
    fcntl = None
else:
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIX = ".jsonl.partial"
READABLE = 0o640  # by the group, and nobody else


class Journal:
    """The file under construction."""

    def __init__(self, path: Path) -> None:
        """Begin the journal *path*, or raise OSError where others have it."""
        self.path = path
        self.since = time.monotonic()
        self.size = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, READABLE)
        try:
            _lock(self._file)
            sync_folder(path.parent)
        except OSError:
            self.close()
            path.unlink(missing_ok=True)
            raise
        if not os.fstat(self._file).st_nlink:  # who came in between took it for left behind
            self.close()
            raise FileNotFoundError(errno.ENOENT, "it is gone", str(path))

    def append(self, lines: bytes) -> None:
        """Have *lines* on disk."""
        left = memoryview(lines)
        while left:
            left = left[os.write(self._file, left) :]
        os.fsync(self._file)
        self.size += len(lines)

    def undo(self) -> None:
        """Take away what `append` left when it failed."""
        os.ftruncate(self._file, self.size)

    def close(self) -> None:
        """Let others have it."""
        os.close(self._file)


def whole_lines(path: Path) -> int:
    """
    Cut a journal behind its last whole record; give how many bytes that were.

    After a power failure there may be holes in what had not been synced, so each line is read.
    """
    good = 0
    with path.open("r+b") as file:
        for line in file:
            if not line.endswith(b"\n") or not _is_record(line):
                break
            good += len(line)
        size = file.seek(0, os.SEEK_END)
        file.truncate(good)
        os.fsync(file.fileno())
    return size - good


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Tell whether nobody else has the journal *path*, who cannot have it in the block either."""
    with path.open("r+b") as file:
        try:
            _lock(file.fileno())
        except OSError:
            yield False
        else:
            yield True


def sync_folder(path: Path) -> None:
    """Have the names of files on disk; Windows has no such thing."""
    if fcntl is not None:
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _is_record(line: bytes) -> bool:
    try:
        read(line)
    except (ValueError, RecursionError):  # msgspec's are the former
        return False
    return True


def _lock(file: int) -> None:
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
