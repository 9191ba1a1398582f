"""What was taken in over time, and from whom, as the ledger has it."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  msgspec reads the annotations
from typing import TYPE_CHECKING, Any

import msgspec

from storage.histogram import MOST_BUCKETS, ORIGIN, divided, nice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.reader import Reader

MOST_SENDERS = 100  # told apart
OTHERS = "…"  # the sender that stands for all further ones of a receiver

# Records that were moved to other times have entries too, which count nothing.
STATEMENT = f"""
WITH entries AS (
    SELECT receiver, sender, date_bin($3, received_at, $4) AS bucket, sum(requests) AS requests,
        sum(records) AS records, sum(refused) AS refused, max(received_at) AS last
    FROM ledger WHERE received_at >= $1 AND received_at < $2 AND requests + records > 0
    GROUP BY 1, 2, 3
), totals AS (
    SELECT *, sum(records) OVER (PARTITION BY receiver, sender) AS total FROM entries
), ranked AS (
    SELECT *, dense_rank() OVER (ORDER BY total DESC, receiver, sender) AS place FROM totals
)
SELECT receiver, CASE WHEN place <= {MOST_SENDERS} THEN sender ELSE '{OTHERS}' END, bucket,
    sum(requests)::bigint, sum(records)::bigint, sum(refused)::bigint, max(last)
FROM ranked GROUP BY 1, 2, 3
"""

KEPT_SINCE = "SELECT (max(day) + 1)::timestamp AT TIME ZONE 'UTC' FROM ledger_dropped"


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """What a sender has sent to a receiver."""

    receiver: str
    sender: str
    requests: int
    records: int
    refused: int
    last_received_at: dt.datetime
    counts: list[int]  # of records, by bucket


class Intake(msgspec.Struct, frozen=True, kw_only=True):
    """What was committed from *start* to before *end*, by buckets, who sent most first."""

    start: dt.datetime
    end: dt.datetime
    kept_since: dt.datetime | None  # what the ledger had from before is deleted; None: it has all
    interval: dt.timedelta
    starts: list[dt.datetime]
    senders: list[Sender]


async def intake(reader: Reader, start: dt.datetime, end: dt.datetime, *, buckets: int) -> Intake:
    """Give what was taken in, by at most *buckets* of time."""
    interval = nice(end - start, buckets)
    starts = divided(start, end, interval, MOST_BUCKETS)
    async with reader.reading() as connection:
        rows = await connection.fetch(STATEMENT, start, end, interval, ORIGIN)
        kept_since = await connection.fetchval(KEPT_SINCE)
    parts: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        parts.setdefault((row[0], row[1]), []).append(row[2:])
    senders = [_sender(*key, starts, found) for key, found in parts.items()]
    return Intake(
        start=start,
        end=end,
        kept_since=kept_since,
        interval=interval,
        starts=starts,
        senders=sorted(senders, key=lambda each: (-each.records, each.receiver, each.sender)),
    )


def _sender(
    receiver: str, sender: str, starts: list[dt.datetime], parts: Sequence[Sequence[Any]]
) -> Sender:
    places = {start: place for place, start in enumerate(starts)}
    counts = [0] * len(starts)
    for bucket, _, records, *_ in parts:
        counts[places[bucket]] = records
    _, requests, records, refused, lasts = zip(*parts, strict=True)
    return Sender(
        receiver=receiver,
        sender=sender,
        requests=sum(requests),
        records=sum(records),
        refused=sum(refused),
        last_received_at=max(lasts),
        counts=counts,
    )
