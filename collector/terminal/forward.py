"""The command ``forward``: what is sent on to other systems, and what an operator says to it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec
from rich.text import Text

from collector import subcommands
from collector.terminal.client import Client
from collector.terminal.commands import add_output, terminal
from collector.terminal.lines import line, shown
from collector.terminal.tables import table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

FORWARDERS = "/api/v1/forwarders"
STYLES = {"running": "green", "paused": "yellow", "stopped": "red"}
# By action, the API's names of what is given.
PARAMETERS = {
    "pause": {"reason": "reason"},
    "skip": {"to": "to", "position": "position"},
    "replay": {"start_time": "start", "end_time": "end"},
    "dead-letters": {"limit": "limit"},
}
EXAMPLES = """\
examples:
  pixsim-collector forward status
  pixsim-collector forward pause elasticsearch/main --reason 'they upgrade'
  pixsim-collector forward resume elasticsearch/main
  pixsim-collector forward replay loki --from 2025-11-13T08:00Z --to 2025-11-13T09:00Z
  pixsim-collector forward dead-letters loki
  pixsim-collector forward retry-dead-letters loki 17 18
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Make *parser* that of ``forward``."""
    subcommands.add_examples(parser, EXAMPLES)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        action = subcommands.add(actions, name, text)
        action.set_defaults(command=_forward, action=name)
        if name != "status":
            action.add_argument("name", help="of the forwarder, as in the configuration")
        add_output(action, "the answer of the API as JSON")
        return action

    add("status", "show how far each destination has come, and what waits for it")
    add("pause", "send nothing more, until it is resumed").add_argument(
        "--reason", metavar="TEXT", help="is shown to others"
    )
    add("resume", "send again, after a pause or when what had stopped it is mended")
    skip = add("skip", "go on from now or another time, whatever is before it")
    skip.add_argument("--to", metavar="TIME", help="with what was received then (default: now)")
    skip.add_argument("--position", help="with what comes after it, as status --json has it")
    replay = add("replay", "send once more what was received in a time, beside what is new")
    replay.add_argument("--from", dest="start", metavar="TIME", required=True, help="from then on")
    replay.add_argument("--to", dest="end", metavar="TIME", help="up to then (default: now)")
    add("cancel", "send no more of a replay").add_argument(
        "replay", type=int, metavar="NUMBER", help="as status shows it"
    )
    letters = add("dead-letters", "show records that it did not take, with the reasons")
    letters.add_argument(
        "--limit", type=int, default=100, metavar="N", help="the newest N (default: 100)"
    )
    add("retry-dead-letters", "send them again").add_argument(
        "ids", nargs="*", metavar="ID", help="as dead-letters shows them (default: all)"
    )


def _forward(arguments: argparse.Namespace) -> None:
    method, path, parameters = _asked(arguments)
    found = Client.of(arguments, FORWARDERS).ask(method, *path, parameters=parameters)
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return
    console = terminal()
    for told in _told(arguments, found):
        console.print(told)


def _asked(arguments: argparse.Namespace) -> tuple[str, list[str], list[tuple[str, object]]]:
    """Give the request that *arguments* mean: its method, path and parameters."""
    action = arguments.action
    if action == "status":
        return "GET", [], []
    if action == "retry-dead-letters":
        ids = [("id", each) for each in arguments.ids]
        return "POST", [arguments.name, "dead-letters", "retry"], ids
    if action == "cancel":
        return "DELETE", [arguments.name, "replays", str(arguments.replay)], []
    given = [(name, getattr(arguments, own)) for name, own in PARAMETERS.get(action, {}).items()]
    return "GET" if action == "dead-letters" else "POST", [arguments.name, action], given


def _told(arguments: argparse.Namespace, found: dict[str, Any]) -> Iterator[Text]:
    match arguments.action:
        case "replay":
            yield Text(f"replay {found['replay']} of {shown(arguments.name)} has begun")
        case "dead-letters":
            yield from letters(found["dead_letters"])
        case "retry-dead-letters":
            number = found["dead_letters"]
            yield Text(f"{number:,} dead letters of {shown(arguments.name)} are sent again")
        case "status":
            yield from statuses(found["forwarders"])
        case _:
            yield from statuses([found])


def statuses(found: Sequence[dict[str, Any]]) -> Iterator[Text]:
    """Give the lines of some destinations: a row each, then what is wrong with any."""
    if not found:
        yield Text("nothing is sent on: the configuration has no forwarders")
        return
    names = ("name", "state", "waiting", "age", "rate", "sent", "skipped", "rejected", "dead")
    yield from table(
        names,
        [
            [
                each["name"],
                each["state"],
                "-" if each["waiting"] is None else f"{each['waiting']['records']:,}",
                "-" if each["waiting"] is None else f"{each['waiting']['seconds']:,.0f}s",
                "-" if each["rate"] is None else f"{each['rate']:,.0f}/s",
                f"{each['sent']:,}",
                f"{each['skipped'] + each['gone']:,}",
                f"{each['rejected']:,}",
                f"{each['dead_letters']:,}",
            ]
            for each in found
        ],
    )
    for each in found:
        name = shown(each["name"])
        if each["state"] != "running":
            why = f": {shown(each['reason'])}" if each["reason"] else ""
            yield Text(f"{name} is {each['state']}{why}", style=STYLES[each["state"]])
        elif each["last_error"] and _since(each["last_error_at"], each["last_sent_at"]):
            yield Text(f"{name} fails: {shown(each['last_error'])}", style="yellow")
        for replay in each["replays"]:
            if replay["state"] == "running":
                yield Text(f"{name} replays: {replay['sent']:,} sent, number {replay['id']}")


def _since(time: str | None, other: str | None) -> bool:
    return time is not None and (other is None or time > other)


def letters(found: Sequence[dict[str, Any]]) -> Iterator[Text]:
    """Give the lines of dead letters: number and reason, then the record."""
    if not found:
        yield Text("no dead letters")
    for each in found:
        again = ", is to be sent again" if each["retry"] else ""
        times = f", {each['attempts']} times" if each["attempts"] > 1 else ""
        yield Text.assemble(
            (f"{each['id']} ", "bold"), (f"{shown(each['reason'])}{times}{again}", "red")
        )
        yield (
            Text("  (deleted)")
            if each["entry"] is None
            else Text.assemble("  ", line(each["entry"]))
        )
