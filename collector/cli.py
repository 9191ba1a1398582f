"""The command ``pixsim-collector``; what a user can mend is a line on stderr and exit code 2."""

from __future__ import annotations

import argparse
import asyncio
import resource
import signal
import sys
from importlib import metadata
from typing import TYPE_CHECKING

import msgspec

from collector import configfile, demo, engine, own_log, subcommands
from collector.commands import delete, doctor, expiry, keys, store
from collector.commands.store import PROGRAM
from collector.config import MOST_WORKERS
from collector.configfile import Invalid
from collector.control import Failed
from collector.terminal import alerts, client, export, forward, stats, tail
from collector.terminal import commands as questions
from storage import migrate
from storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collector.config import Config

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  it has no public name

USER_ERROR = 2  # what argparse exits with too
INTERRUPTED = 130
MOST_FILES = 65_536  # a shell often gives no more than 1,024
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
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    configured = argparse.ArgumentParser(add_help=False)
    store.add_option(configured)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return subcommands.add(commands, name, text, parents=[configured])

    _add_serve(add("serve", "run the collector until SIGTERM or Ctrl-C"))
    _add_migrate(add("migrate", "bring the database to the schema of this version"))
    add("check-config", "show every problem the configuration has").set_defaults(command=_check)
    add("print-config", "show the configuration in effect, without its secrets").set_defaults(
        command=_print
    )
    doctor.add_arguments(add("doctor", "look at all that the collector needs, and say what to do"))
    expiry.add_arguments(add("retention", "delete now what the configuration no longer keeps"))
    expiry.add_cleanup_arguments(add("cleanup", "delete all records that are older than some days"))
    delete.add_arguments(add("delete", "delete all records of one user, job or request"))
    keys.add_arguments(
        commands.add_parser(
            "keys",
            help="make, show, replace and revoke the keys by which others send and ask",
            description="Make, show, replace and revoke keys, in the database that the"
            " configuration names; a collector that runs knows within seconds.",
            epilog=keys.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
    )
    keys.add_audit_arguments(add("audit", "show what admins have done, the newest first"))
    demo.add_arguments(
        commands.add_parser(
            "demo",
            help="send a stream of a made-up pixsim's records to a collector that runs",
            description="Send records of several services through both receivers, with jobs that"
            " are retried and fail, and say where to look at them.",
            allow_abbrev=False,
        )
    )
    _add_questions(commands)
    return parser


def _add_questions(commands: Commands) -> None:
    """Add the commands that ask a running collector."""

    def add(name: str, text: str, description: str, examples: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=text,
            description=description,
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    questions.add_query(
        add(
            "query",
            "show records that a search finds",
            "Show the newest records that a search finds, the newest last.",
            questions.QUERY_EXAMPLES,
        )
    )
    questions.add_trace(
        add(
            "trace",
            "tell the story of a job, a request or a trace",
            "Show all records of a job, a request or a trace, of all services, with the time"
            " between them.",
            questions.TRACE_EXAMPLES,
        )
    )
    tail.add_arguments(
        add(
            "tail",
            "show records as they are stored",
            "Show what a search finds from now on, until Ctrl-C. A connection that is lost is made"
            " anew, and goes on where the last one ended.",
            tail.EXAMPLES,
        )
    )
    stats.add_arguments(
        add(
            "stats",
            "count records, and show how their numbers are spread",
            "Count the records that a search finds, of the last day where no time is given, and"
            " show how their numbers are spread, by other fields and by time.",
            stats.EXAMPLES,
        )
    )
    export.add_arguments(
        add(
            "export",
            "write all records that a search finds to a file",
            "Write all records that a search finds, oldest first, and make sure that none is"
            " missing.",
            export.EXAMPLES,
        )
    )
    forward.add_arguments(
        add(
            "forward",
            "show what is sent on to other systems, and pause, resume, replay or skip it",
            "Show how far each destination has come that records are sent on to, and say what is"
            " to be done there. Whichever collector is asked, the one that sends does it within"
            " a second.",
            forward.EXAMPLES,
        )
    )
    alerts.add_arguments(
        add(
            "alerts",
            "show what fires and what did, silence it, and test who is told",
            "Show the rules of alerts and what became of them, have nobody told of some alerts for"
            " a while, and send those who are told a test.",
            alerts.EXAMPLES,
        )
    )


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers",
        type=int,
        choices=range(MOST_WORKERS + 1),
        metavar="N",
        help="processes that take records in, in place of service.workers; 0 is half the cores,"
        " from 1 up to 4",
    )
    parser.set_defaults(command=_serve)


def _add_migrate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=("upgrade", "current", "sql"),
        help="upgrade: run what is missing; current: show the newest migration the"
        " database has; sql: show the SQL that makes the schema, and touch nothing",
    )
    parser.set_defaults(command=_migrate)


def _serve(arguments: argparse.Namespace) -> None:
    config = _served(arguments)
    own_log.to_stderr(config.service.telemetry.logs.level)
    _allow_files()
    from collector.supervisor import Order, serve  # noqa: PLC0415  no other command needs it

    terminal = sys.stderr.isatty()

    def hang_up() -> Order:
        """Give what SIGHUP means: to read the configuration again, or that the terminal is gone."""
        return Order.STOP if terminal and not sys.stderr.isatty() else Order.RELOAD

    async def run() -> None:
        orders: asyncio.Queue[Order] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, orders.put_nowait, Order.STOP)
        loop.add_signal_handler(signal.SIGHUP, lambda: orders.put_nowait(hang_up()))
        await serve(config, lambda: _served(arguments), orders)

    store.run(run())


def _allow_files() -> None:
    """Let this and the processes it starts have more open files: every connection is one."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now < MOST_FILES:
        wanted = MOST_FILES if most == resource.RLIM_INFINITY else min(most, MOST_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _served(arguments: argparse.Namespace) -> Config:
    """Give the configuration, with what the command line says in its place."""
    config = store.loaded(arguments)
    if arguments.workers is None:
        return config
    replace = msgspec.structs.replace
    return replace(config, service=replace(config.service, workers=arguments.workers))


def _migrate(arguments: argparse.Namespace) -> None:
    if arguments.action == "sql":
        sys.stdout.write(migrate.upgrade_sql())
        return
    config = store.loaded(arguments)
    with store.database(config) as dsn:
        if arguments.action == "upgrade":
            store.run(engine.upgrade(config.store, dsn, print))
        print(migrate.current(dsn) or "no migration")  # noqa: T201


def _check(arguments: argparse.Namespace) -> None:
    store.loaded(arguments)
    print("the configuration is valid")  # noqa: T201


def _print(arguments: argparse.Namespace) -> None:
    sys.stdout.write(configfile.dump(store.loaded(arguments)))


def _told(exc: BaseException) -> list[str]:
    """Give the lines that tell the user of *exc*, or none where it is a bug."""
    match exc:
        case Invalid():
            return exc.lines
        case BaseExceptionGroup():
            each = [_told(inner) for inner in exc.exceptions]
            return [line for lines in each for line in lines] if all(each) else []
        case StorageError() | Failed() | demo.Failed() | client.Failed():
            return [str(exc)]
        case OSError():
            return [": ".join(filter(None, (exc.filename, exc.strerror or str(exc))))]
        case _:
            return []
