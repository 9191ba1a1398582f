"""The command ``serve``: run the collector, as signals say."""

from __future__ import annotations

import asyncio
import resource
import signal
import sys
from typing import TYPE_CHECKING

import msgspec

from collector import own_log, supervisor
from collector.commands import store
from collector.config import MOST_WORKERS
from collector.supervisor import Order

if TYPE_CHECKING:
    import argparse

    from collector.config import Config

MOST_FILES = 65_536  # a shell often gives no more than 1,024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command, and what runs it."""
    parser.add_argument(
        "--workers",
        type=int,
        choices=range(MOST_WORKERS + 1),
        metavar="N",
        help="processes that take records in, in place of service.workers; 0 is half the cores,"
        " from 1 up to 4",
    )
    parser.set_defaults(command=_serve)


def _serve(arguments: argparse.Namespace) -> None:
    config = _served(arguments)
    own_log.to_stderr(config.service.telemetry.logs.level)
    _allow_files()
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
        await supervisor.serve(config, lambda: _served(arguments), orders)

    store.serve(run())


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
