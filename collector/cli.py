"""The command ``pixsim-collector``; what a user can mend is a line on stderr and exit code 2."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from collector import configfile, demo
from collector.configfile import Invalid
from collector.terminal import client
from collector.terminal import commands as questions
from storage import embedded, migrate
from storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from collector.config import Config

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  it has no public name

PROGRAM = "pixsim-collector"
# Without the values of variables: those are senders' data, and the database's password.
_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)
USER_ERROR = 2  # what argparse exits with too
INTERRUPTED = 130
EXAMPLES = """\
examples:
  pixsim-collector serve                      all defaults: an embedded Postgres in data/postgres
  DATABASE_URL=postgresql://user@host/logs pixsim-collector serve
  pixsim-collector serve --config config.yaml
  pixsim-collector demo                       send it something, and learn where to look
  pixsim-collector trace job 123              what happened to it
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
    configured.add_argument(
        "-c",
        "--config",
        type=Path,
        metavar="FILE",
        help="the configuration (default: config.yaml in the working directory if there is one,"
        " otherwise all defaults)",
    )

    def add(name: str, command: Callable[[argparse.Namespace], None], text: str) -> None:
        found = commands.add_parser(
            name,
            parents=[configured],
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            allow_abbrev=False,
        )
        found.set_defaults(command=command)
        if name == "migrate":
            found.add_argument(
                "action",
                choices=("upgrade", "current", "sql"),
                help="upgrade: run what is missing; current: show the newest migration the"
                " database has; sql: show the SQL that makes the schema, and touch nothing",
            )

    add("serve", _serve, "run the collector until SIGTERM or Ctrl-C")
    add("migrate", _migrate, "bring the database to the schema of this version")
    add("check-config", _check, "show every problem the configuration has")
    add("print-config", _print, "show the configuration in effect, without its secrets")
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
    questions.add_query(
        commands.add_parser(
            "query",
            help="show records that a search finds",
            description="Show the newest records that a search finds, the newest last.",
            epilog=questions.QUERY_EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
    )
    questions.add_trace(
        commands.add_parser(
            "trace",
            help="tell the story of a job, a request or a trace",
            description="Show all records of a job, a request or a trace, of all services, with"
            " the time between them.",
            epilog=questions.TRACE_EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
    )


def _serve(arguments: argparse.Namespace) -> None:
    config = _loaded(arguments)
    _log_to_stderr(config.service.telemetry.logs.level)
    from collector import service  # noqa: PLC0415  no other command needs the server

    async def serve() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await service.serve(config, stop)

    _run(serve())


def _migrate(arguments: argparse.Namespace) -> None:
    if arguments.action == "sql":
        sys.stdout.write(migrate.upgrade_sql())
        return
    with _database(_loaded(arguments)) as dsn:
        if arguments.action == "upgrade":
            migrate.upgrade(dsn)
        print(migrate.current(dsn) or "no migration")  # noqa: T201


def _check(arguments: argparse.Namespace) -> None:
    _loaded(arguments)
    print("the configuration is valid")  # noqa: T201


def _print(arguments: argparse.Namespace) -> None:
    sys.stdout.write(configfile.dump(_loaded(arguments)))


def _loaded(arguments: argparse.Namespace) -> Config:
    loaded = configfile.load(arguments.config)
    for warning in loaded.warnings:
        print(f"{PROGRAM}: warning: {warning}", file=sys.stderr)  # noqa: T201
    return loaded.config


@contextlib.contextmanager
def _database(config: Config) -> Iterator[str]:
    """Give the DSN of the store; an embedded server runs inside the block."""
    if not config.store.embedded:
        yield config.store.dsn
        return
    with embedded.running(Path(config.store.data_folder)) as dsn:
        yield dsn


def _run(program: Coroutine[None, None, None]) -> None:
    """Run *program* on uvloop where that is installed; it has no wheels for some platforms."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        asyncio.run(program)
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(program)


def _log_to_stderr(level: str) -> None:
    """Write our own log for people on a terminal, and else a JSON object a line."""
    render: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if sys.stderr.isatty()
        else [_TRACEBACKS, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _told(exc: BaseException) -> list[str]:
    """Give the lines that tell the user of *exc*, or none where it is a bug."""
    match exc:
        case Invalid():
            return exc.lines
        case BaseExceptionGroup():
            each = [_told(inner) for inner in exc.exceptions]
            return [line for lines in each for line in lines] if all(each) else []
        case StorageError() | demo.Failed() | client.Failed():
            return [str(exc)]
        case OSError():
            return [": ".join(filter(None, (exc.filename, exc.strerror or str(exc))))]
        case _:
            return []
