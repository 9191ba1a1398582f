"""Making of a journal the file that it is to be, which then has its name and never changes."""

from __future__ import annotations

import gzip
import os
import shutil
import sys
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Literal

from collector.api.parquet import Parquet
from collector.exporters.file import journal as journals
from collector.exporters.file.entries import read

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from pathlib import Path

    from storage.entries import Entry

PARTIAL = ".partial"
SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}
GZIP_LEVEL = 6
_LINES = 500  # that are converted at once


def finish(journal: Path, form: Literal["jsonl", "parquet"], compression: str) -> None:
    """Make of a journal the file that it is to be; of an empty one nothing."""
    last = _last_id(journal)
    if last is None:
        journal.unlink()
        return
    stem = journal.name.removesuffix(journals.SUFFIX)
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
        journals.sync_folder(journal.parent)
    if made != journal:
        journal.unlink()


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


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags, journals.READABLE)
