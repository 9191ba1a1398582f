"""The configuration that a command runs with, and the database that it names."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from collector import configfile
from collector.subcommands import PROGRAM
from storage import embedded

if TYPE_CHECKING:
    import argparse
    from collections.abc import Coroutine, Iterator

    from collector.config import Config

# Objects until Python looks for garbage. The requests and rows that are at hand are none; to look
# at them over and over took an eighth of the time, and made the slowest requests twice as slow.
YOUNG = 20_000


def loaded(arguments: argparse.Namespace) -> Config:
    """Give the configuration; what is odd in it goes to stderr."""
    found = configfile.load(arguments.config)
    for warning in found.warnings:
        print(f"{PROGRAM}: warning: {warning}", file=sys.stderr)  # noqa: T201  a command speaks
    return found.config


@contextlib.contextmanager
def database(config: Config) -> Iterator[str]:
    """Give the DSN of the store; an embedded server runs inside the block."""
    if not config.store.embedded:
        yield config.store.server
        return
    with embedded.running(Path(config.store.data_folder)) as dsn:
        yield dsn


def serve(program: Coroutine[None, None, None]) -> None:
    """Run *program*, which is all that this process is for, and takes requests."""
    gc.freeze()  # what is there until now stays
    gc.set_threshold(YOUNG)
    run(program)


def run(program: Coroutine[None, None, None]) -> None:
    """Run *program* on uvloop where that is installed; it has no wheels for some platforms."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        asyncio.run(program)
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(program)
