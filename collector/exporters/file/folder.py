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

import errno
import gzip
import os
import re
import shutil
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

import structlog

from collector.api.parquet import Parquet
from collector.exporters.file.entries import read

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if sys.platform == "win32":
    fcntl = None
else:
    import fcntl

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from collector.exporters.file.settings import File
    from storage.entries import Entry

JOURNAL, PARTIAL = ".jsonl.partial", ".partial"
_FINISHED = re.compile(r"\d{8}T\d{6}Z-\d+-\d+(\.\d+)?\.(jsonl(\.gz|\.zst)?|parquet)")
_READABLE = 0o640  # by the group, and nobody else
GZIP_LEVEL = 6
_LINES = 500  # that are converted at once
TRY_AGAIN = 60.0  # seconds after a file could not be finished

log = structlog.get_logger()


class Full(Exception):
    """The folder has as much as it may have, and nothing may be deleted."""


class Journal:
    """The file under construction."""

    def __init__(self, path: Path) -> None:
        """Begin the journal *path*, or raise OSError where others have it."""
        self.path = path
        self.since = time.monotonic()
        self.size = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, _READABLE)
        try:
            _lock(self._file)
            if not os.fstat(self._file).st_nlink:  # who came in between took it for left behind
                raise FileNotFoundError(errno.ENOENT, "it is gone", str(path))
            _sync_folder(path.parent)
        except OSError:
            self.close()
            raise

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


class Folder:
    """Writes what comes; its methods block, and may be called from several threads."""

    def __init__(self, config: File) -> None:
        self._config = config
        self._path = Path(config.folder)
        self._turn = threading.Lock()
        self._journal: Journal | None = None
        self._recovered = False

    def append(self, lines: bytes, first: int, received: dt.datetime) -> None:
        """
        Have *lines* on disk; *first* is the id of the first record, stored at *received*.

        Raises:
            Full: they would be more than the folder may have.
            OSError: nothing of them is there.
        """
        with self._turn:
            self._recover()
            if self._journal is not None and self._is_due(len(lines)):
                self._finish()
            self._make_room(len(lines))
            if self._journal is None:
                name = f"{received:%Y%m%dT%H%M%SZ}-{first}{JOURNAL}"
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
                self._recovered = False
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
        """Finish what a process that is no more has left."""
        if self._recovered:
            return
        self._path.mkdir(mode=0o750, parents=True, exist_ok=True)
        for path in sorted(self._path.glob(f"*{JOURNAL}")):
            with _alone(path) as ours:
                if ours:
                    cut = whole_lines(path)
                    log.info("file_recovered", file=str(path), bytes_cut_off=cut)
                    finish(path, self._config.format, self._config.compression)
        self._recovered = True

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


def finish(journal: Path, form: Literal["jsonl", "parquet"], compression: str) -> None:
    """Make of a journal the file that it is to be; of an empty one nothing."""
    last = _last_id(journal)
    if last is None:
        journal.unlink()
        return
    stem = journal.name.removesuffix(JOURNAL)
    suffix = ".parquet" if form == "parquet" else ".jsonl" + SUFFIXES[compression]
    made = journal
    if suffix != ".jsonl":
        made = journal.with_name(f"{stem}{suffix}{PARTIAL}")
        with journal.open("rb") as lines, open(made, "wb", opener=_opener) as file:
            if form == "parquet":
                _to_parquet(lines, file)
            else:
                _compress(lines, file, compression)
            file.flush()
            os.fsync(file.fileno())
    made.rename(_free(journal.parent, f"{stem}-{last}", suffix))
    with suppress(OSError):  # a rename that a power failure undoes is done again
        _sync_folder(journal.parent)
    if made != journal:
        journal.unlink()


SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}


def _compress(lines: IO[bytes], file: IO[bytes], compression: str) -> None:
    if compression == "gzip":
        with gzip.GzipFile("", "wb", GZIP_LEVEL, file) as compressed:
            shutil.copyfileobj(lines, compressed)
    else:
        with zstd.ZstdFile(file, "wb") as compressed_by_zstd:
            shutil.copyfileobj(lines, compressed_by_zstd)


def _to_parquet(lines: IO[bytes], file: IO[bytes]) -> None:
    made = Parquet()
    entries: list[Entry] = []
    for line in lines:
        entries.append(read(line))
        if len(entries) == _LINES:
            file.write(made.write(entries))
            entries = []
    if entries:
        file.write(made.write(entries))
    file.write(made.end())


def _is_record(line: bytes) -> bool:
    try:
        read(line)
    except (ValueError, RecursionError):  # msgspec's are the former
        return False
    return True


def _last_id(journal: Path) -> int | None:
    """Give the id of the last record; None where there is none."""
    with journal.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        tail = b""
        while end and tail.count(b"\n") < 2:
            start = max(0, end - 65_536)
            file.seek(start)
            tail = file.read(end - start) + tail
            end = start
    lines = tail.splitlines()
    return read(lines[-1]).id if lines else None


def _free(folder: Path, stem: str, suffix: str) -> Path:
    """Give a name that no file has: the same records may be sent again, and are not less then."""
    path, number = folder / f"{stem}{suffix}", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}.{number}{suffix}"
    return path


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Tell whether nobody else has the journal *path*, who cannot have it in the block either."""
    with path.open("r+b") as file:
        try:
            _lock(file.fileno())
        except OSError:
            yield False
        else:
            yield True


def _lock(file: int) -> None:
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags, _READABLE)


def _sync_folder(path: Path) -> None:
    """Have the names of files on disk; Windows has no such thing."""
    if fcntl is not None:
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
