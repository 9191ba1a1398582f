"""How every command and action of the program is added to those above it."""

from __future__ import annotations

import argparse
import pkgutil
from pathlib import Path
from typing import Any

Commands = argparse._SubParsersAction  # noqa: SLF001  it has no other name
PROGRAM = "pixsim-collector"


class Command(argparse.ArgumentParser):
    """
    The parser of a command, whose options *declare* (``module:function``) adds once it is chosen.

    Who asks a collector for records need not wait until all of a server is imported.
    """

    def __init__(self, *args: Any, declare: str = "", **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._declare = declare

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Do as any parser, with all options."""
        if self._declare:
            pkgutil.resolve_name(self._declare)(self)
            self._declare = ""
        return super().parse_known_args(args, namespace)


def add(
    commands: Commands[Any], name: str, text: str, description: str = "", **settings: Any
) -> argparse.ArgumentParser:
    """Add *name*, which *text* tells of; names of options are not to be cut short."""
    added: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=description or f"{text[0].upper()}{text[1:]}.",
        allow_abbrev=False,
        **settings,
    )
    return added


def add_examples(parser: argparse.ArgumentParser, examples: str) -> None:
    """Show *examples* below the help, line by line."""
    parser.epilog = examples
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def add_config(parser: argparse.ArgumentParser) -> None:
    """Let the user name the configuration."""
    parser.add_argument(
        "-c",
        "--config",
        type=Path,
        metavar="FILE",
        help="the configuration (default: config.yaml in the working directory if there is one,"
        " otherwise all defaults)",
    )
