"""The commands ``check-config`` and ``print-config``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from collector import configfile
from collector.commands import store

if TYPE_CHECKING:
    import argparse


def add_check(parser: argparse.ArgumentParser) -> None:
    """Make *parser* that of ``check-config``."""
    parser.set_defaults(command=_check)


def add_print(parser: argparse.ArgumentParser) -> None:
    """Make *parser* that of ``print-config``."""
    parser.set_defaults(command=_print)


def _check(arguments: argparse.Namespace) -> None:
    store.loaded(arguments)
    print("the configuration is valid")  # noqa: T201  a command speaks


def _print(arguments: argparse.Namespace) -> None:
    sys.stdout.write(configfile.dump(store.loaded(arguments)))
