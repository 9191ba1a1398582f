"""The command ``doctor``: look at everything the collector needs, and say what to do."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.text import Text

from collector import configfile, examination
from collector.commands import store
from collector.examination import Check
from collector.terminal.commands import terminal
from collector.terminal.lines import shown
from storage.errors import StorageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from collector.config import Config

STYLES = {"ok": "green", "warning": "yellow", "problem": "red"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``doctor``, and what runs it."""
    parser.add_argument("--json", action="store_true", help="one JSON object, with every check")
    parser.set_defaults(command=_doctor)


def _doctor(arguments: argparse.Namespace) -> None:
    checks = []
    console = terminal()
    for check in _checks(arguments.config):
        checks.append(check)
        if not arguments.json:
            for line in _lines(check):
                console.print(line)
    well = all(check.state != "problem" for check in checks)
    if arguments.json:
        found = {"ok": well, "checks": checks}
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    if not well:
        sys.exit(1)


def _checks(path: Path | None) -> Iterator[Check]:
    try:
        loaded = configfile.load(path)
    except configfile.Invalid as exc:
        for line in exc.lines:
            yield Check(name="configuration", state="problem", told=line, advice="mend the file")
        return
    for line in loaded.warnings:
        yield Check(name="configuration", state="warning", told=line, advice="mend the file")
    if not loaded.warnings:
        yield Check(name="configuration", state="ok", told="valid")
    yield from examination.here(loaded.config)
    yield from _database(loaded.config)


def _database(config: Config) -> Iterator[Check]:
    data = Path(config.store.data_folder)
    if config.store.embedded and not (data / "PG_VERSION").exists():
        told = f"there is none in {data} yet"
        yield Check(name="database", state="ok", told=f"{told}; the first start makes it")
        return
    try:
        with store.database(config) as dsn:
            yield from asyncio.run(_there(config, dsn))
    except StorageError as exc:
        advice = "see its log in the data folder" if config.store.embedded else "see the DSN"
        yield Check(name="database", state="problem", told=str(exc), advice=advice)


async def _there(config: Config, dsn: str) -> list[Check]:
    return [check async for check in examination.there(config, dsn)]


def _lines(check: Check) -> Iterator[Text]:
    state = Text(check.state.ljust(8), style=STYLES[check.state])
    yield Text.assemble(state, f"{shown(check.name)}: {shown(check.told)}")
    if check.advice:
        yield Text(f"        -> {check.advice}")
