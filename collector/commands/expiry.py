"""The commands ``retention`` and ``cleanup``: delete by rule or by age, now."""

from __future__ import annotations

import argparse
import collections
import datetime as dt
from typing import TYPE_CHECKING

import msgspec

from collector import deletions, own_log
from collector.commands import store
from storage import database
from storage.expiry import Expiry
from storage.retention import Policy
from storage.retention_clock import Clock  # noqa: TC001  msgspec reads the annotations

if TYPE_CHECKING:
    from storage.survey import Going

KIB = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``retention``, and what runs it."""
    _add(parser)
    parser.set_defaults(command=_retention)


def add_cleanup_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``cleanup``, and what runs it."""
    _add(parser)
    parser.add_argument(
        "--days",
        type=_days,
        required=True,
        metavar="N",
        help="keep today and N days before it, and nothing that is older, whatever the rules say",
    )
    parser.set_defaults(command=_cleanup)


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be deleted, and delete nothing"
    )
    parser.add_argument(
        "--trust-clock",
        action="store_true",
        help="count from what the clock shows, though it has jumped ahead since the last time",
    )


def _days(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of days from 1")


def _retention(arguments: argparse.Namespace) -> None:
    _apply(arguments, None, "retention")


def _cleanup(arguments: argparse.Namespace) -> None:
    _apply(arguments, Policy(days=arguments.days), f"cleanup --days {arguments.days}")


def _apply(arguments: argparse.Namespace, policy: Policy | None, command: str) -> None:
    """Apply *policy*, or that of the configuration, and report."""
    config = store.loaded(arguments)
    own_log.to_stderr(config.service.telemetry.logs.level)
    expiry = Expiry(policy or config.store.retention.policy, deletions.actor(command))
    report = Report(dry_run=arguments.dry_run)

    async def apply(dsn: str) -> None:
        async with database.connected(dsn, size=1) as pool:
            now = dt.datetime.now(dt.UTC)
            if not arguments.dry_run:
                await deletions.note(pool, command)
            report.clock = await expiry.apply(
                pool,
                now,
                report.add,
                dry_run=arguments.dry_run,
                trusted=arguments.trust_clock,
            )

    try:
        with store.database(config) as dsn:
            store.run(apply(dsn))
    finally:  # what is deleted is told, whatever happened then
        report.end()


class Report(msgspec.Struct, kw_only=True):
    """Says what goes of each partition at once, and in the end how much that is in all."""

    dry_run: bool
    clock: Clock | None = None
    partitions: int = 0
    bytes: int = 0
    records: collections.Counter[str] = msgspec.field(default_factory=collections.Counter)

    def add(self, going: Going) -> None:
        """Say what goes of a partition."""
        self.partitions += 1
        self.bytes += going.bytes
        for each in going.deleted:
            self.records[each.reason] += each.records
        records = sum(each.records for each in going.deleted)
        verb = "drop it with" if going.whole else "delete"
        _say(f"{going.place}: {verb} {records:,} records, {size(going.bytes)}")

    def end(self) -> None:
        """Say how much goes in all."""
        for reason, records in self.records.items():
            _say(f"  {records:,} records: {reason}")
        verb = "would be deleted" if self.dry_run else "deleted"
        _say(
            f"{verb}: {self.records.total():,} records of {self.partitions} partitions,"
            f" {size(self.bytes)} on disk"
        )
        if self.clock and self.clock.until:
            _say(jumped(self.clock))


def jumped(clock: Clock) -> str:
    """Say that a clock has jumped ahead, and what that means."""
    return (
        f"the clock has jumped ahead to {clock.seen:%Y-%m-%d %H:%M}: days count from"
        f" {clock.counted:%Y-%m-%d} until it has stood for a day; --trust-clock counts from now"
    )


def size(number: float) -> str:
    """Give a number of bytes as people read it."""
    for unit in ("bytes", "KiB", "MiB"):
        if number < KIB:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= KIB
    return f"{number:.1f} GiB"


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  a command speaks
