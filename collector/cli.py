"""
The command ``pixsim-collector``; what a user can mend is a line on stderr and exit code 2.

Each command's own module is imported only when it is called.
"""

from __future__ import annotations

import argparse
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any

from collector import subcommands
from collector.subcommands import PROGRAM
from collector.terminal import client

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

USER_ERROR = 2  # what argparse exits with too
INTERRUPTED = 130
EXAMPLES = """\
examples:
  pixsim-collector serve                      all defaults: an embedded Postgres in data/postgres
  DATABASE_URL=postgresql://user@host/logs pixsim-collector serve
  pixsim-collector serve --config config.yaml
  pixsim-collector demo                       send it something, and learn where to look
  pixsim-collector trace job 123              what happened to it
  pixsim-collector retention --dry-run        what is too old to be kept
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that *argv* says; give its exit code."""
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], None] = arguments.command
    try:
        command(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as exc:
        if not (lines := _told(exc)):
            raise
        for line in lines:
            print(f"{PROGRAM}: {line}", file=sys.stderr)  # noqa: T201  a command speaks
        return USER_ERROR
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        PROGRAM,
        description="Take log records in as pixsim's JSON and as OTLP, keep them in Postgres, and"
        " answer questions about them at once.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action="version", version=f"{PROGRAM} {metadata.version(PROGRAM)}"
    )
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=subcommands.Command
    )
    configured = argparse.ArgumentParser(add_help=False)
    subcommands.add_config(configured)

    def add(name: str, text: str, declare: str) -> None:
        where = f"collector.commands.{declare}"
        subcommands.add(commands, name, text, declare=where, parents=[configured])

    add("serve", "run the collector until SIGTERM or Ctrl-C", "serve:add_arguments")
    add("migrate", "bring the database to the schema of this version", "schema:add_arguments")
    add("check-config", "show every problem the configuration has", "configuration:add_check")
    add(
        "print-config",
        "show the configuration in effect, without its secrets",
        "configuration:add_print",
    )
    add(
        "doctor",
        "look at all that the collector needs, and say what to do",
        "doctor:add_arguments",
    )
    add("retention", "delete now what the configuration no longer keeps", "expiry:add_arguments")
    add(
        "cleanup",
        "delete all records that are older than some days",
        "expiry:add_cleanup_arguments",
    )
    add("delete", "delete all records of one user, job or request", "delete:add_arguments")
    subcommands.add(
        commands,
        "keys",
        "make, show, replace and revoke the keys by which others send and ask",
        "Make, show, replace and revoke keys, in the database that the configuration names; a"
        " collector that runs knows within seconds.",
        declare="collector.commands.keys:add_arguments",
    )
    add("audit", "show what admins have done, the newest first", "keys:add_audit_arguments")
    subcommands.add(
        commands,
        "demo",
        "send a stream of a made-up pixsim's records to a collector that runs",
        "Send records of several services through both receivers, with jobs that are retried and"
        " fail, and say where to look at them. What a collector doesn't take now it is sent again.",
        declare="collector.demo:add_arguments",
    )
    _add_questions(commands)
    return parser


def _add_questions(commands: subcommands.Commands[Any]) -> None:
    """Add the commands that ask a running collector."""

    def add(name: str, text: str, description: str, declare: str) -> None:
        where = f"collector.terminal.{declare}"
        subcommands.add(commands, name, text, description, declare=where)

    add(
        "query",
        "show records that a search finds",
        "Show the newest records that a search finds, the newest last.",
        "commands:add_query",
    )
    add(
        "trace",
        "tell the story of a job, a request or a trace",
        "Show all records of a job, a request or a trace, of all services, with the time"
        " between them.",
        "commands:add_trace",
    )
    add(
        "tail",
        "show records as they are stored",
        "Show what a search finds from now on, until Ctrl-C. A connection that is lost is made"
        " anew, and goes on where the last one ended.",
        "tail:add_arguments",
    )
    add(
        "stats",
        "count records, and show how their numbers are spread",
        "Count the records that a search finds, of the last day where no time is given, and"
        " show how their numbers are spread, by other fields and by time.",
        "stats:add_arguments",
    )
    add(
        "export",
        "write all records that a search finds to a file",
        "Write all records that a search finds, oldest first, and make sure that none is missing.",
        "export:add_arguments",
    )
    add(
        "forward",
        "show what is sent on to other systems, and pause, resume, replay or skip it",
        "Show how far each destination has come that records are sent on to, and say what is"
        " to be done there. Whichever collector is asked, the one that sends does it within"
        " a second.",
        "forward:add_arguments",
    )
    add(
        "alerts",
        "show what fires and what did, silence it, and test who is told",
        "Show the rules of alerts and what became of them, have nobody told of some alerts for"
        " a while, and send those who are told a test.",
        "alerts:add_arguments",
    )


def _told(exc: BaseException) -> list[str]:
    """Give the lines that tell the user of *exc*, or none where it is a bug."""
    if isinstance(exc, client.Failed):
        return [str(exc)]
    # What fails in these ways has imported all of this before.
    from collector import configfile, control, demo_delivery  # noqa: PLC0415
    from storage.errors import StorageError  # noqa: PLC0415

    match exc:
        case configfile.Invalid():
            return exc.lines
        case BaseExceptionGroup():
            each = [_told(inner) for inner in exc.exceptions]
            return [line for lines in each for line in lines] if all(each) else []
        case StorageError() | control.Failed() | demo_delivery.Failed():
            return [str(exc)]
        case OSError():
            return [": ".join(filter(None, (exc.filename, exc.strerror or str(exc))))]
        case _:
            return []
