"""The command ``delete``: take all records of one user, job or request away."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import msgspec

from collector import deletions, own_log
from collector.commands import store
from collector.correlation import Correlation
from collector.search.values import identifier
from storage import database, deletion
from storage.search import Equals, Search, either

if TYPE_CHECKING:
    import argparse

    from collector.config import Config
    from storage.database import Pool

COLUMNS = {"user": "user_id", "job": "job_id", "request": "request_id"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command, and what runs it."""
    ids = parser.add_mutually_exclusive_group(required=True)
    ids.add_argument("--user", metavar="ID", help="delete what the records of this user say")
    ids.add_argument("--job", metavar="ID", help="of this job")
    ids.add_argument("--request", metavar="ID", help="of this request")
    consent = parser.add_mutually_exclusive_group(required=True)
    consent.add_argument(
        "--dry-run", action="store_true", help="show what would be deleted, and delete nothing"
    )
    consent.add_argument("--yes", action="store_true", help="delete it; nothing brings it back")
    parser.set_defaults(command=run)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be deleted: the records with an id, under any of its names."""

    kind: str
    id: str
    names: tuple[str, ...]  # of attributes

    @property
    def search(self) -> Search:
        """The records, with the id in its column or anywhere beside it."""
        column = COLUMNS[self.kind]
        number = self.id if self.kind == "request" else identifier(self.id)
        values = dict.fromkeys((number, self.id))
        beside = (Equals(f"extra.{name}", (self.id,)) for name in self.names)
        return either(Equals(column, tuple(values)), *beside)

    def __str__(self) -> str:
        """Give the words of the audit."""
        return f"{self.kind} {self.id}"


def run(arguments: argparse.Namespace) -> None:
    """Delete, or show what would be deleted."""
    config = store.loaded(arguments)
    own_log.to_stderr(config.service.telemetry.logs.level)
    wanted = _wanted(arguments, config)
    work = _show if arguments.dry_run else _delete

    async def connected(dsn: str) -> None:
        async with database.connected(dsn, size=1) as pool:
            await work(pool, wanted)

    with store.database(config) as dsn:
        store.run(connected(dsn))


def _wanted(arguments: argparse.Namespace, config: Config) -> Wanted:
    kind, value = next((k, v) for k in COLUMNS if (v := getattr(arguments, k)) is not None)
    column = COLUMNS[kind]
    names = [
        name
        for processor in config.processors.values()
        if isinstance(processor, Correlation)
        for name in processor.attributes.get(column, ())
    ]
    return Wanted(kind=kind, id=value, names=tuple(dict.fromkeys((column, *names))))


async def _show(pool: Pool, wanted: Wanted) -> None:
    found = await deletion.find(pool, wanted.search, now=dt.datetime.now(dt.UTC))
    for partition, records in found.items():
        _say(f"{partition}: delete {records:,} records")
    for table, number in (await deletion.mentions(pool, wanted.names, wanted.id)).items():
        _say(f"{table}: forget the id in {number:,}")
    _say(f"would be deleted of {wanted}: {sum(found.values()):,} records")


async def _delete(pool: Pool, wanted: Wanted) -> None:
    actor = deletions.actor(f"delete --{wanted.kind} {wanted.id}")
    now = dt.datetime.now(dt.UTC)
    await deletions.note(pool, actor.command)
    done = await deletion.delete(pool, wanted.search, actor, now=now, reason=str(wanted))
    for each in done:
        _say(f"{each.place}: delete {each.records:,} records")
    forgotten = await deletion.forget(pool, wanted.names, wanted.id, actor, reason=str(wanted))
    for each in forgotten:
        _say(f"{each.place}: forget the id in {each.records:,}")
    _say(f"deleted of {wanted}: {sum(each.records for each in done):,} records")


def _say(line: str) -> None:
    print(line)  # noqa: T201  a command speaks
