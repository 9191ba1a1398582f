"""The command ``migrate``: bring the database to this version's schema, or show it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from collector import engine
from collector.commands import store
from storage import migrate

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command, and what runs it."""
    parser.add_argument(
        "action",
        choices=("upgrade", "current", "sql"),
        help="upgrade: run what is missing; current: show the newest migration the"
        " database has; sql: show the SQL that makes the schema, and touch nothing",
    )
    parser.set_defaults(command=_migrate)


def _migrate(arguments: argparse.Namespace) -> None:
    if arguments.action == "sql":
        sys.stdout.write(migrate.upgrade_sql())
        return
    config = store.loaded(arguments)
    with store.database(config) as dsn:
        if arguments.action == "upgrade":
            store.run(engine.upgrade(config.store, dsn, print))
        print(migrate.current(dsn) or "no migration")  # noqa: T201  a command speaks
