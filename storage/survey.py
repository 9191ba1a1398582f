"""What a partition has of each class of records that `storage.retention` tells apart."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  msgspec reads the annotations
from typing import TYPE_CHECKING, Any

import msgspec

from storage import partitions, shards
from storage.deletion import Deleted, Sweep
from storage.layout import SIZE, engine
from storage.partitions import EARLIEST
from storage.settlement import settled

if TYPE_CHECKING:
    from storage.retention import Policy

DEFAULT = "log_entries_default"
ANCIENT = f"timestamp < '{EARLIEST} 00:00Z'"  # of the default partition only these are looked at


class Going(msgspec.Struct, frozen=True, kw_only=True):
    """What goes of a partition, or would go."""

    place: str
    whole: bool
    deleted: tuple[Deleted, ...]
    bytes: int  # on disk; of single rows an estimate


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows a partition had of each class, *snapshot* having been a moment before."""

    partition: str
    day: dt.date | None  # None: the default partition
    snapshot: str
    rows: dict[int, int]
    reasons: dict[int, str]  # of the classes that go
    total: bool  # whether that is all classes
    bytes: int

    @property
    def going(self) -> int:
        """How many rows go."""
        return sum(self.rows.get(place, 0) for place in self.reasons)

    @property
    def share(self) -> float:
        """Which share of the rows goes."""
        return self.going / (sum(self.rows.values()) or 1)

    @property
    def whole(self) -> bool:
        """Whether nothing is left to keep."""
        return self.day is not None and (self.share == 1 or (self.total and not self.rows))

    @property
    def planned(self) -> Going:
        """What will go of it, if no more records come."""
        return Going(
            place=self.partition,
            whole=self.whole,
            deleted=tuple(
                Deleted(place=self.partition, reason=reason, records=self.rows[place])
                for place, reason in self.reasons.items()
                if place in self.rows
            ),
            bytes=self.bytes if self.whole else int(self.bytes * self.share),
        )

    def sweep(self, policy: Policy, now: dt.datetime) -> Sweep:
        """Give what deletes the rows that go one by one."""
        number, arguments = policy.numbered(now)
        places = ", ".join(map(str, self.reasons))
        return Sweep(
            partition=self.partition,
            condition=f"({number}) IN ({places}) AND {_within(self.day)}",
            arguments=arguments,
            number=number,
            reasons=self.reasons,
            records=self.going,
        )


async def surveyed(
    connection: Any, policy: Policy, day: dt.date | None, now: dt.datetime
) -> Survey | None:
    """Look a partition through, unless nothing of it can go at the time *now*."""
    reasons = policy.expired(day or EARLIEST - partitions.DAY, now.date())
    if not reasons:
        return None
    partition = named(day)
    number, arguments = policy.numbered(now)
    snapshot = await connection.fetchval("SELECT pg_current_snapshot()::text")
    every = "true"
    if await engine(connection) == "citus":
        snapshot = await settled(connection, snapshot)
        every = shards.AS_WRITTEN
    rows = await connection.fetch(
        f"SELECT number, count(*) FROM (SELECT {number} AS number FROM {partition}"
        f" WHERE {_within(day)}) numbered WHERE {every} GROUP BY 1",
        *arguments,
    )
    return Survey(
        partition=partition,
        day=day,
        snapshot=snapshot,
        rows={row[0]: row[1] for row in rows},
        reasons=reasons,
        total=len(reasons) == len(policy.classes),
        bytes=await size(connection, partition),
    )


async def size(connection: Any, partition: str) -> int:
    """Give the bytes that *partition* takes, with its indexes."""
    number: int = await connection.fetchval(SIZE[await engine(connection)], partition)
    return number


def named(day: dt.date | None) -> str:
    """Give the name of the partition of *day*, or of the default one."""
    return f"log_entries_{day:%Y%m%d}" if day else DEFAULT


def _within(day: dt.date | None) -> str:
    return "true" if day else ANCIENT
