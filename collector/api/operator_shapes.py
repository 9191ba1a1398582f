"""What an operator asks of the collector as a whole, and what is answered."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  msgspec reads the annotations
from typing import Annotated, Literal

import msgspec

from collector.api.parameters import Time  # noqa: TC001  the same
from collector.search.times import PATTERN
from storage.intake import Sender  # noqa: TC001  the same


class IntakeAsked(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of ``/intake``: times at which records were received."""

    start_time: Time = None
    end_time: Time = None
    last: Annotated[
        str | None,
        msgspec.Meta(
            description="only the last so long: 90s, 15m, 1h, 7d, 2w; 6h where nothing is given",
            extra_json_schema={"pattern": PATTERN},
        ),
    ] = None
    buckets: Annotated[int, msgspec.Meta(ge=1, le=1000, description="of time, at most")] = 60


class Intake(msgspec.Struct, frozen=True, kw_only=True):
    """What was committed, by time and sender, as the ledger has it."""

    start: dt.datetime
    end: Annotated[dt.datetime, msgspec.Meta(description="exclusive")]
    complete: Annotated[bool, msgspec.Meta(description="whether the ledger has all of this time")]
    kept_since: Annotated[
        dt.datetime | None,
        msgspec.Meta(description="from when on it has all; null where nothing was deleted"),
    ]
    interval_seconds: float
    starts: Annotated[
        list[dt.datetime], msgspec.Meta(description="of the buckets; the first may be before start")
    ]
    requests: int
    records: int
    refused: Annotated[
        int, msgspec.Meta(description="records that Postgres refused, beside those it took")
    ]
    counts: Annotated[list[int], msgspec.Meta(description="of records, by bucket")]
    senders: Annotated[
        list[Sender], msgspec.Meta(description="by records; … stands for those beyond a hundred")
    ]


class RefusedRecords(msgspec.Struct, frozen=True, kw_only=True):
    """Records that a receiver did not store, or changed, for one reason."""

    receiver: str
    reason: str
    records: int


class RefusedRequests(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that were refused whole for one reason."""

    route: str
    reason: str
    requests: int


class Refusals(msgspec.Struct, frozen=True, kw_only=True):
    """What was refused since the collector started, by all its processes; most first."""

    since: dt.datetime
    requests: list[RefusedRequests]
    records: list[RefusedRecords]
    changed: Annotated[
        list[RefusedRecords], msgspec.Meta(description="stored, but with a value changed")
    ]


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """The disk that the embedded Postgres is on."""

    bytes: int
    free_bytes: int


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """A table that holds the records of a day, or of all times that have none of their own."""

    name: str
    day: Annotated[dt.date | None, msgspec.Meta(description="null: of all other times")]
    records: Annotated[
        int | None, msgspec.Meta(description="exact; null where they are not counted yet")
    ]
    bytes: Annotated[int, msgspec.Meta(description="on disk, with indexes")]
    index_bytes: int
    text_index: Annotated[
        Literal["whole", "parts", "none"], msgspec.Meta(description="what searches of text go by")
    ]


class Partitions(msgspec.Struct, frozen=True, kw_only=True):
    """What there is on disk, the newest day first."""

    records: int | None
    bytes: Annotated[int, msgspec.Meta(description="of all partitions")]
    database_bytes: Annotated[int, msgspec.Meta(description="of everything in the database")]
    disk: Annotated[Disk | None, msgspec.Meta(description="null where Postgres is not our own")]
    partitions: list[Partition]
