"""The command ``export``: all that a search finds as a file, which is whole or isn't there."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec
from rich import filesize
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from collector import subcommands
from collector.terminal.client import Client, Failed, add_url
from collector.terminal.commands import add_range, searched

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

EXAMPLES = """\
examples:
  pixsim-collector export 'service:worker level>=warning' --last 7d -o worker.jsonl
  pixsim-collector export --format parquet --start 2025-11-01 --end 2025-12-01 -o november.parquet
  pixsim-collector export job_id:123 | jq -r .msg
"""
FORMATS = ("jsonl", "csv", "spreadsheet", "parquet")
PIECE = 256 * 1024  # bytes
LONGEST_END = 64 * 1024 * 1024  # bytes of the last line that are kept to look at
LAST_CELL = re.compile(rb",(\d+)\r\n\Z")
HEADER_ONLY = re.compile(rb"[^\r\n]*,_complete\r\n\Z")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Make *parser* that of ``export``."""
    subcommands.add_examples(parser, EXAMPLES)
    parser.add_argument("search", nargs="?", help="what to export; without it, everything")
    add_range(parser)
    parser.add_argument("--format", choices=FORMATS, default="jsonl", help="(default: jsonl)")
    parser.add_argument("--limit", type=int, metavar="N", help="the oldest N records")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="written beside as FILE.partial, and named so when it is complete; without it the"
        " standard output",
    )
    add_url(parser)
    parser.set_defaults(command=_export)


def _export(arguments: argparse.Namespace) -> None:
    if arguments.output is None:
        if sys.stdout.isatty() and arguments.format == "parquet":
            raise Failed("a terminal cannot show parquet; name a file with --output")
        _fetch(arguments, sys.stdout.buffer)
        return
    target = Path(arguments.output)
    partial = target.with_name(f"{target.name}.partial")
    with partial.open("wb") as file:
        _fetch(arguments, file)
    partial.replace(target)


def _fetch(arguments: argparse.Namespace, file: IO[bytes]) -> None:
    """Write the export to *file*, with its progress on stderr where that is a terminal."""
    client = Client.of(arguments)
    search = searched(arguments)
    asked = [*search, ("format", arguments.format), ("limit", arguments.limit)]
    end = End()
    with (
        client.stream("export", parameters=asked) as answer,
        _progress(lambda: _expected(client, search, arguments.limit)) as advance,
    ):
        while piece := answer.read(PIECE):
            file.write(piece)
            end.take(piece)
            advance(len(piece), end.lines)
    file.flush()
    if problem := end.problem(arguments.format):
        raise Failed(f"the export is not complete: {problem}")


class End:
    """What a file ends with, of all that was taken; ``lines`` is how many line ends it had."""

    def __init__(self) -> None:
        self.lines = 0
        self._tail = b""

    def take(self, piece: bytes) -> None:
        """Take the next *piece* of the file."""
        self.lines += piece.count(b"\n")
        tail = self._tail + piece
        # From the beginning of the last line on, or of the last one that has ended.
        start = tail.rfind(b"\n", 0, len(tail) - 1) + 1
        self._tail = tail[start:][-LONGEST_END:]

    def problem(self, form: str) -> str | None:
        """Say why a file of *form* is not complete; see `collector.api.formats`."""
        if form == "parquet":
            return None if self._tail.endswith(b"PAR1") else "it has no footer"
        if form == "jsonl":
            return self._json_problem()
        if LAST_CELL.search(self._tail) or HEADER_ONLY.search(self._tail):
            return None
        return "its last record has no _complete"

    def _json_problem(self) -> str | None:
        if not self.lines and not self._tail:
            return None  # nothing was found
        try:
            count = msgspec.json.decode(self._tail)["_complete"]["count"]
        except (msgspec.DecodeError, LookupError, TypeError):
            return "its last record has no _complete"
        return None if count == self.lines else f"it has {self.lines} of {count} records"


def _expected(client: Client, search: list[tuple[str, object]], limit: int | None) -> int:
    """Give about how many records there are."""
    page = client.get("query", parameters=[*search, ("limit", 1), ("total", "estimate")])
    total: int = page["total"]
    return min(total, limit or total)


@contextmanager
def _progress(expected: Callable[[], int]) -> Iterator[Callable[[int, int], None]]:
    """Give what shows how far it is, from the bytes of a piece and the lines so far."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _bytes, _lines: None
        return
    columns = (
        BarColumn(),
        TextColumn("{task.fields[lines]} lines, {task.fields[size]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        number, received = expected(), 0
        bar = progress.add_task("export", total=number, lines="no", size="0 bytes")

        def advance(size: int, lines: int) -> None:
            nonlocal received
            received += size
            told = f"{lines:,} of about {number:,}" if lines <= number else f"{lines:,}"
            progress.update(bar, completed=lines, lines=told, size=filesize.decimal(received))

        yield advance
