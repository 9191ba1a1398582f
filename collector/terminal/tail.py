"""The command ``tail``: records as they are stored, for as long as the user likes."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console

from collector import subcommands
from collector.terminal.client import Client, Failed, Refused
from collector.terminal.commands import add_output, terminal
from collector.terminal.lines import duration, line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator

EXAMPLES = """\
examples:
  pixsim-collector tail
  pixsim-collector tail 'service:worker level>=warning' --since 10m
  pixsim-collector tail job_id:123 --json | jq -r .msg
"""
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0  # seconds until the next try


class Event(msgspec.Struct, frozen=True):
    """One of the Server-Sent Events; a record has no name, and one that is no record no id."""

    name: str
    id: str
    data: bytes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Make *parser* that of ``tail``."""
    subcommands.add_examples(parser, EXAMPLES)
    parser.add_argument("search", nargs="?", help="what to show; without it, everything")
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--since",
        metavar="TIME",
        help="first what the collector received since then: 10m, 6h, 2025-11-13T08:00Z …",
    )
    start.add_argument(
        "--from",
        dest="position",
        metavar="POSITION",
        help="go on after this position, which an earlier tail has told; or: beginning",
    )
    add_output(parser)
    parser.set_defaults(command=_tail)


def _tail(arguments: argparse.Namespace) -> None:
    if arguments.json:
        show: Callable[[bytes], None] = _show_json
    else:
        console = terminal()

        def show(data: bytes) -> None:
            console.print(line(msgspec.json.decode(data)))

    tail = Tail(Client.of(arguments), arguments.search, arguments.since or arguments.position)
    try:
        for data in tail.records():
            show(data)
    except KeyboardInterrupt:
        if tail.connected:
            tail.say(f"to go on from here: --from {tail.position}")
        raise
    except BrokenPipeError:
        # Who read has had enough; Python would complain again when it closes the output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_json(data: bytes) -> None:
    sys.stdout.buffer.write(data + b"\n")
    sys.stdout.buffer.flush()


class Tail:
    """Follows *search* from *position*, a time or now on, across broken connections."""

    def __init__(self, client: Client, search: str | None, position: str | None) -> None:
        self._client = client
        self._search = search
        self.position = position
        self.connected = False  # once
        self._behind = False
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)

    def records(self) -> Iterator[bytes]:
        """
        Give records as JSON, each once, without end.

        Raises:
            Failed: the collector can't be reached the first time, or doesn't want to answer.
        """
        wait = FIRST_WAIT
        while True:
            problem = "the collector has ended the connection"
            try:
                for event in self._events():
                    if wait > FIRST_WAIT or not self.connected:
                        if self.connected:
                            self.say("connected again")
                        self.connected, wait = True, FIRST_WAIT
                    if not event.name:
                        yield event.data
                    self._note(event)
            except Refused:
                raise
            except Failed as exc:
                if not self.connected:
                    raise
                problem = str(exc)
            self.say(f"{problem}; trying again in {duration(wait)}")
            time.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    def say(self, what: str) -> None:
        """Tell the user *what*, beside the records."""
        self._console.print(what, style="dim")

    def _events(self) -> Iterator[Event]:
        asked = [("q", self._search), ("from", self.position)]
        with self._client.stream("tail", parameters=asked) as answer:
            yield from events(answer)

    def _note(self, event: Event) -> None:
        if event.id:
            self.position = event.id
        if event.name == "behind":
            self._behind = True
            self.say(_behind(msgspec.json.decode(event.data)))
        elif event.name == "gone":
            told = msgspec.json.decode(event.data)
            self.say(f"{told['records']:,} records were deleted before they could be read")
        elif event.name == "caught_up" and self._behind:
            self._behind = False
            self.say("caught up")


def _behind(told: dict[str, Any]) -> str:
    if told["records"] is None:
        return str(told["reason"])
    return f"{told['records']:,} records behind: {told['reason']}"


def events(lines: Iterable[bytes]) -> Iterator[Event]:
    """Read Server-Sent Events; one that was cut off is none."""
    name, number, data = "", "", b""
    for each in lines:
        field, _, value = each.rstrip(b"\r\n").partition(b": ")
        match field:
            case b"event":
                name = value.decode()
            case b"id":
                number = value.decode()
            case b"data":
                data = value
            case b"":
                if data:
                    yield Event(name, number, data)
                name, number, data = "", "", b""
