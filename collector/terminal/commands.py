"""The commands ``query`` and ``trace``; others are modules of their own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec
from rich.console import Console

from collector import subcommands
from collector.terminal.client import Client, add_url
from collector.terminal.lines import line
from collector.terminal.timeline import timeline

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

PAGE = 1_000  # records the collector gives at most in one answer
KINDS = ("job", "request", "trace")

QUERY_EXAMPLES = """\
examples:
  pixsim-collector query 'service:worker level>=warning' --last 1h
  pixsim-collector query 'job_id:123 -stage:provider:* "connection reset"'
  pixsim-collector query 'duration_ms>=500' --limit 5000 --json | jq .msg
"""
TRACE_EXAMPLES = """\
examples:
  pixsim-collector trace job 123
  pixsim-collector trace request 0f3a9c --expand
"""


def add_query(parser: argparse.ArgumentParser) -> None:
    """Make *parser* that of ``query``."""
    subcommands.add_examples(parser, QUERY_EXAMPLES)
    parser.add_argument("search", nargs="?", help="what to look for; without it, anything")
    add_range(parser)
    parser.add_argument(
        "--limit", type=int, default=100, metavar="N", help="the newest N records (default: 100)"
    )
    add_output(parser)
    parser.set_defaults(command=_query)


def add_trace(parser: argparse.ArgumentParser) -> None:
    """Make *parser* that of ``trace``."""
    subcommands.add_examples(parser, TRACE_EXAMPLES)
    parser.add_argument("kind", choices=KINDS, help="what to tell the story of")
    parser.add_argument("id", help="its id")
    parser.add_argument(
        "--expand",
        action="store_true",
        help="add the records of every trace that touched this job or request",
    )
    add_output(parser)
    parser.set_defaults(command=_trace)


def add_range(parser: argparse.ArgumentParser) -> None:
    """Let the user choose a range of time."""
    parser.add_argument("--last", metavar="SPAN", help="of the last 15m, 6h, 7d …")
    parser.add_argument(
        "--start", metavar="TIME", help="from this time on, such as 2025-11-13T08:00Z"
    )
    parser.add_argument("--end", metavar="TIME", help="up to this time")


def add_output(
    parser: argparse.ArgumentParser, json: str = "a JSON object a line, with every field"
) -> None:
    """Let the user have JSON, which *json* describes, and say which collector is asked."""
    parser.add_argument("--json", action="store_true", help=json)
    add_url(parser)


def searched(arguments: argparse.Namespace) -> list[tuple[str, object]]:
    """Give the parameters of the search and range in *arguments*."""
    return [
        ("q", arguments.search),
        ("last", arguments.last),
        ("start_time", arguments.start),
        ("end_time", arguments.end),
    ]


def _query(arguments: argparse.Namespace) -> None:
    entries = list(_newest(Client.of(arguments), searched(arguments), arguments.limit))
    entries.reverse()
    if arguments.json:
        _print_json(entries)
        return
    console = terminal()
    for entry in entries:
        console.print(line(entry))


def _newest(
    client: Client, parameters: list[tuple[str, object]], limit: int
) -> Iterator[dict[str, Any]]:
    """Give up to *limit* records, newest first, page by page."""
    cursor = None
    while limit > 0:
        size = min(limit, PAGE)
        page = client.get(
            "query",
            parameters=[*parameters, ("limit", size), ("total", "none"), ("cursor", cursor)],
        )
        yield from page["logs"]
        limit -= size
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _trace(arguments: argparse.Namespace) -> None:
    expand = "trace" if arguments.expand and arguments.kind != "trace" else None
    client = Client.of(arguments)
    found = client.get("trace", arguments.kind, arguments.id, parameters=[("expand", expand)])
    if arguments.json:
        _print_json(found)
        return
    what = f"{arguments.kind} {arguments.id}"
    if not found:
        terminal().print(f"{what} has no records")
        return
    console = terminal()
    for told in timeline(what, found):
        console.print(told)
    address = {"view": arguments.kind, "id": arguments.id} | ({"expand": expand} if expand else {})
    console.print(f"in the browser: {client.url}/?{urlencode(address)}", style="dim")


def terminal() -> Console:
    """Give the standard output: coloured at a terminal, plain text in a pipe or file."""
    return Console(highlight=False, soft_wrap=True, markup=False)


def _print_json(entries: Sequence[dict[str, Any]]) -> None:
    for entry in entries:
        sys.stdout.write(msgspec.json.encode(entry).decode() + "\n")
