"""The command ``stats``: how many records there are, and how their numbers are spread."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec
from rich.text import Text

from collector import subcommands
from collector.terminal.client import Client
from collector.terminal.commands import add_output, add_range, searched, terminal
from collector.terminal.lines import shown
from collector.terminal.tables import table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

EXAMPLES = """\
examples:
  pixsim-collector stats --by provider_id,stage --last 24h
  pixsim-collector stats 'level>=error' --by error_type --interval 1h --last 1d
  pixsim-collector stats service:worker --of duration_ms,extra.queue_ms --by stage --json
"""
NUMBERS = ("count", "min", "avg", "p50", "p90", "p95", "p99", "max")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Make *parser* that of ``stats``."""
    subcommands.add_examples(parser, EXAMPLES)
    parser.add_argument("search", nargs="?", help="of which records; without it, of all")
    add_range(parser)
    parser.add_argument(
        "--of", metavar="FIELDS", help="whose numbers, with commas between (default: duration_ms)"
    )
    parser.add_argument("--by", metavar="FIELDS", help="group by up to three fields")
    parser.add_argument("--interval", metavar="SPAN", help="and by time: 1m, 1h, 1d …")
    parser.add_argument(
        "--limit", type=int, default=20, metavar="N", help="the largest N groups (default: 20)"
    )
    add_output(parser, "the answer of the API as JSON")
    parser.set_defaults(command=_stats)


def _stats(arguments: argparse.Namespace) -> None:
    found = Client.of(arguments).get(
        "stats",
        parameters=[
            *searched(arguments),
            ("of", arguments.of),
            ("by", arguments.by),
            ("interval", arguments.interval),
            ("limit", arguments.limit),
        ],
    )
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return
    console = terminal()
    for line in spread(found):
        console.print(line)


def spread(found: dict[str, Any]) -> Iterator[Text]:
    """Give the lines of an answer of ``/stats``: what it is of, and a row a group and field."""
    since, end = found["since"], found["end"]
    of = list(found["groups"][0]["of"]) if found["groups"] else []
    told = f"{found['records']:,} records · {_time(since)} to {_time(end)} UTC"
    yield Text(" · ".join((told, *of)), style="bold")
    if not found["complete"]:
        yield Text(f"not all since {_time(found['start'])}: {found['reason']}", style="yellow")
    groups = found["groups"]
    if not groups:
        return
    timed = groups[0]["start"] is not None
    by = list(groups[0]["by"])
    head = [*(["start"] if timed else []), *by, "records", *(["of"] if of[1:] else [])]
    rows = [
        [
            *([_time(group["start"])] if timed else []),
            *(_value(group["by"][name]) for name in by),
            f"{group['records']:,}",
            *([field] if of[1:] else []),
            *(_number(numbers[name]) for name in NUMBERS),
        ]
        for group in groups
        for field, numbers in group["of"].items()
    ]
    yield from table([*head, *NUMBERS], rows)
    if found["more_groups"]:
        yield Text("there are smaller groups too; --limit shows more", style="yellow")


def _time(text: str) -> str:
    return shown(text).replace("T", " ").removesuffix("Z").removesuffix(":00")


def _value(value: str | float | None) -> str:
    return value if isinstance(value, str) else _number(value)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.3f}".rstrip("0").rstrip(".")
