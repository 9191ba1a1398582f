"""The command ``alerts``: what fires and what did, and which of it nobody is to be told of."""

from __future__ import annotations

import asyncio
import datetime as dt
import getpass
import os
import sys
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from rich.text import Text

from collector import subcommands
from collector.alerting import notifiers
from collector.commands import store
from collector.control import Failed
from collector.terminal.client import Client
from collector.terminal.commands import add_output, terminal
from collector.terminal.lines import shown
from collector.terminal.tables import table
from storage.notifications import Content, Notification, Told

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from collector.alerting.settings import Alerts, Notifier

ALERTS = "/api/v1/alerts"
STYLES = {"firing": "red", "pending": "yellow", "resolved": "green"}
EXAMPLES = """\
examples:
  pixsim-collector alerts status
  pixsim-collector alerts history --rule 'many errors'
  pixsim-collector alerts silence service=api alertname='many*' --for 2h --comment 'they upgrade'
  pixsim-collector alerts unsilence 3
  pixsim-collector alerts test ops
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Make *parser* that of ``alerts``."""
    subcommands.add_examples(parser, EXAMPLES)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        action = subcommands.add(actions, name, text)
        action.set_defaults(command=_alerts, action=name)
        return action

    def asking(name: str, text: str) -> argparse.ArgumentParser:
        action = add(name, text)
        add_output(action, "the answer of the API as JSON")
        return action

    asking("status", "show the rules, and what is pending or fires")
    history = asking("history", "show when alerts began and ceased to fire")
    history.add_argument("--rule", metavar="NAME", help="of this rule alone")
    history.add_argument(
        "--limit", type=int, default=100, metavar="N", help="the newest N (default: 100)"
    )
    asking("silences", "show the silences that hold")
    silence = asking("silence", "have nobody told of alerts with some labels")
    silence.add_argument(
        "matchers", nargs="+", metavar="LABEL=VALUE", help="* in a value is any run of characters"
    )
    ends = silence.add_mutually_exclusive_group()
    ends.add_argument("--for", dest="duration", metavar="SPAN", help="15m, 2h, 7d (default: 1h)")
    ends.add_argument("--until", metavar="TIME", help="up to this time")
    silence.add_argument("--comment", metavar="TEXT", default="", help="is shown to others")
    asking("unsilence", "end a silence").add_argument("id", help="as silences shows it")
    test = add("test", "send notifiers of the configuration a message, and say what came of it")
    test.add_argument("names", nargs="*", metavar="NAME", help="of notifiers (default: all)")
    subcommands.add_config(test)
    test.set_defaults(command=_test)


def _alerts(arguments: argparse.Namespace) -> None:
    method, path, parameters = _asked(arguments)
    found = Client.of(arguments, ALERTS).ask(method, *path, parameters=parameters)
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return
    console = terminal()
    for told in _told(arguments.action, found):
        console.print(told)


def _asked(arguments: argparse.Namespace) -> tuple[str, list[str], list[tuple[str, object]]]:
    """Give the request that *arguments* mean: its method, path and parameters."""
    match arguments.action:
        case "status":
            return "GET", [], []
        case "history":
            return "GET", ["history"], [("rule", arguments.rule), ("limit", arguments.limit)]
        case "silences":
            return "GET", ["silences"], []
        case "unsilence":
            return "DELETE", ["silences", arguments.id], []
    given = [("duration", arguments.duration), ("until", arguments.until)]
    given += [("comment", arguments.comment), ("author", _author())]
    return "POST", ["silences"], [*(("match", each) for each in arguments.matchers), *given]


def _author() -> str:
    with suppress(OSError, KeyError):
        return getpass.getuser()
    return str(os.getuid())


def _told(action: str, found: dict[str, Any]) -> Iterator[Text]:
    match action:
        case "status":
            yield from statuses(found)
        case "history":
            yield from history(found["history"])
        case "silences":
            yield from silences(found["silences"])
        case "silence":
            yield from silences([found])
        case _:
            yield Text(f"silence {found['id']} has ended")


def statuses(found: dict[str, Any]) -> Iterator[Text]:
    """Give the lines of the rules: a row each, then their alerts, then what is wrong."""
    if not found["rules"]:
        yield Text("nothing is watched: the configuration has no rules of alerts")
        return
    yield from table(
        ("rule", "firing", "pending", "evaluated"),
        [
            [
                rule["name"],
                *(str(_number(rule["alerts"], state)) for state in ("firing", "pending")),
                _time(rule["evaluated_at"]),
            ]
            for rule in found["rules"]
        ],
    )
    for rule in found["rules"]:
        for alert in rule["alerts"]:
            value = f" {shown(alert['value'])}" if alert["value"] else ""
            since = _time(alert["fired_at"] or alert["active_at"])
            silenced = ", silenced" if alert["silenced"] else ""
            line = f"{shown(rule['name'])}{value} is {alert['state']} since {since}{silenced}: "
            yield Text(f"{line}{shown(alert['description'])}", style=STYLES[alert["state"]])
        if rule["error"]:
            line = f"{shown(rule['name'])} is not evaluated: {shown(rule['error'])}"
            yield Text(line, style="red")
        if rule["left_out"]:
            yield Text(
                f"{shown(rule['name'])} leaves {rule['left_out']:,} groups out, by its limit"
            )
        if not rule["configured"]:
            yield Text(f"{shown(rule['name'])} is not in the collector's configuration")
    for waiting in found["waiting"]:
        line = f"{waiting['notifications']:,} notifications wait for {shown(waiting['notifier'])}"
        why = f": {shown(waiting['error'])}" if waiting["error"] else ""
        yield Text(f"{line} since {_time(waiting['since'])}{why}", style="yellow")


def history(found: Sequence[dict[str, Any]]) -> Iterator[Text]:
    """Give the lines of what began and ceased to fire, the newest last."""
    if not found:
        yield Text("nothing has fired")
    for each in reversed(found):
        value = f" {shown(each['value'])}" if each["value"] else ""
        silenced = ", silenced" if each["silenced"] else ""
        yield Text.assemble(
            f"{_time(each['at'])} ",
            (each["state"].ljust(8), STYLES[each["state"]]),
            f" {shown(each['rule'])}{value}{silenced}: {shown(each['description'])}",
        )


def silences(found: Sequence[dict[str, Any]]) -> Iterator[Text]:
    """Give the lines of silences."""
    if not found:
        yield Text("nothing is silenced")
        return
    yield from table(
        ("id", "until", "alerts with", "author", "comment"),
        [
            [
                str(each["id"]),
                _time(each["until"]),
                " ".join(f"{name}={value}" for name, value in each["matchers"].items()),
                each["author"] or "-",
                each["comment"] or "-",
            ]
            for each in found
        ],
    )


def _number(alerts: Sequence[dict[str, Any]], state: str) -> int:
    return sum(alert["state"] == state for alert in alerts)


def _time(text: str | None) -> str:
    return "-" if text is None else f"{text[:19]}Z"


def _test(arguments: argparse.Namespace) -> None:
    config = store.loaded(arguments).alerts
    named = config.notifiers.named
    if unknown := [name for name in arguments.names if name not in named]:
        known = ", ".join(named) or "none"
        raise Failed(f"no notifier is named {', '.join(unknown)}; there are: {known}")
    if not named:
        raise Failed("the configuration has no notifiers under alerts.notifiers")
    wanted = {name: named[name] for name in arguments.names or named}
    failed = asyncio.run(_sent(config, wanted))
    if failed:
        raise Failed(f"not taken by {', '.join(failed)}")


async def _sent(config: Alerts, wanted: dict[str, Notifier]) -> list[str]:
    """Send each of *wanted* a message; give the names of those that didn't take it."""
    failed = []
    for name, notifier in wanted.items():
        try:
            await notifiers.tell(notifier, _example(name), config.external_url)
        except notifiers.Failed as exc:
            failed.append(name)
            terminal().print(Text(f"{name}: {exc}", style="red"))
        else:
            terminal().print(Text(f"{name}: taken", style="green"))
    return failed


def _example(name: str) -> Notification:
    now = dt.datetime.now(dt.UTC)
    told = Told(
        id=str(uuid.uuid4()),
        state="firing",
        value="",
        labels={"alertname": "test", "severity": "none"},
        records=0,
        before=None,
        description="a test, sent by hand",
        started_at=now,
        ended_at=None,
    )
    content = Content(
        rule="test", annotations={}, query="", by=None, start=now, end=now, alerts=[told]
    )
    return Notification(
        number=0,
        id=str(uuid.uuid4()),
        notifier=name,
        rule="test",
        content=content,
        attempts=1,
        created_at=now,
    )
