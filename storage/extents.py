"""What to read next: transactions of the ledger, and the times at which their records lie."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import msgspec

from storage.moments import Moment, sent
from storage.positions import Place, Position, Snapshot, through

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from storage.ledger_days import Days

FEWEST_ROWS, MOST_ROWS = 50, 500  # of the ledger, at once
NEAR: Moment = 1_000_000  # extents with less between them are one
# Of the times that one query looks through, if they are of more than one extent: records of
# other transactions are there too.
BREADTH: Moment = 3_600_000_000
KNOWN_AT_MOST = 16

# Without records, a row tells of some that were moved to other times.
# Two conditions, each with its way into the index: however old the oldest running transaction
# is, those that were read since aren't looked at. Of the partitions only those matter that the
# position has not seen to their end.
LEDGER = """
SELECT xid, records, timestamptz_send(min_timestamp), timestamptz_send(max_timestamp) FROM (
    (SELECT * FROM ledger WHERE xid >= $1::xid8 AND xid < $3::xid8 AND xid <> ALL ($4::xid8[])
        AND received_at >= $5 AND records > 0 AND min_timestamp <= max_timestamp
        ORDER BY xid LIMIT $6::bigint)
    UNION ALL
    (SELECT * FROM ledger WHERE xid = ANY ($2::xid8[]) AND xid < $3::xid8
        AND xid <> ALL ($4::xid8[])
        AND received_at >= $5 AND records > 0 AND min_timestamp <= max_timestamp
        ORDER BY xid LIMIT $6::bigint)
) l ORDER BY xid LIMIT $6::bigint
"""
# Of one transaction, those of which others begin before they end, or within the same minute,
# being one already.
WHOLE = """
SELECT sum(records)::bigint, timestamptz_send(min(first)), timestamptz_send(max(last)) FROM (
    SELECT first, last, records, count(*) FILTER (WHERE apart) OVER (ORDER BY first, last) AS place
    FROM (
        SELECT min_timestamp AS first, max_timestamp AS last, records,
            min_timestamp > max(max_timestamp) OVER before AND date_trunc('minute', min_timestamp)
                <> date_trunc('minute', max(max_timestamp) OVER before) AS apart
        FROM ledger WHERE xid = $1::xid8 AND records > 0 AND min_timestamp <= max_timestamp
        WINDOW before AS (ORDER BY min_timestamp, max_timestamp
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ) entries
) extents GROUP BY place ORDER BY min(first)
"""


class Extent(msgspec.Struct, frozen=True):
    """The times from *first* to *last*, both inclusive, at which there are *records*."""

    records: int
    first: Moment
    last: Moment


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """
    What one query reads: the records of *xids* at the times of *extents*, after *after*.

    Where *along*, that may be too many: it is one extent of one transaction. *end* is the
    position when all of it has been read.
    """

    xids: list[int]
    extents: list[Extent]
    after: Place | None
    along: bool
    end: Position
    before: dict[int, Snapshot]  # what has been read when a transaction begins
    expected: int | None  # records that the ledger knows of, if all end here
    more: bool  # whether there was more in the ledger


class Ledger:
    """Finds what to read next; remembers the extents of large transactions."""

    def __init__(self, days: Days) -> None:
        self._days = days
        self._known: dict[int, list[Extent]] = {}
        self._rows = MOST_ROWS  # at once, for as many as are needed change little

    async def reach(
        self, connection: Any, position: Position, upto: Snapshot, records: int
    ) -> Reach | None:
        """Give what follows *position* in the ledger, up to *records* or along an extent."""
        if position.within is not None:
            xid = position.within.xid
            return await self._single(connection, position, xid, records, position.seen.plus(xid))
        seen = position.seen
        start = self._days.start(seen)
        rows = await connection.fetch(
            LEDGER, seen.xmax, seen.running, upto.xmax, upto.running, start, limit := self._rows
        )
        found = [
            (xid, [Extent(row[1], sent(row[2]), sent(row[3])) for row in group])
            for xid, group in itertools.groupby(rows, key=lambda row: row[0])
        ]
        if not found:
            return None
        cut = len(rows) == limit  # the last one may have more
        self._rows = MOST_ROWS
        if (cut and len(found) == 1) or sum(each.records for each in found[0][1]) > records:
            xid = found[0][0]
            begun = Position(seen | upto.until(xid - 1))
            return await self._single(connection, begun, xid, records, seen | upto.until(xid))
        if cut:
            found.pop()
        taken = 0
        sums = itertools.accumulate(sum(each.records for each in extents) for _, extents in found)
        for number, total in enumerate(sums, 1):
            if total > records:
                break
            taken = number
        while _breadth(extents := _together(found[:taken])) > BREADTH and taken > 1:
            taken //= 2
        chosen = found[:taken]
        used = sum(len(each) for _, each in chosen)
        self._rows = min(max(2 * used, FEWEST_ROWS), MOST_ROWS)
        return Reach(
            xids=[xid for xid, _ in chosen],
            extents=extents,
            after=None,
            along=False,
            end=Position(seen | upto.until(chosen[-1][0])),
            before={xid: seen | upto.until(xid - 1) for xid, _ in chosen},
            expected=sum(each.records for each in extents),
            more=cut or taken < len(found),
        )

    async def _single(
        self, connection: Any, position: Position, xid: int, records: int, seen: Snapshot
    ) -> Reach:
        """Give what follows *position* in transaction *xid*, after which *seen* is read."""
        if (extents := self._known.get(xid)) is None:
            extents = [
                Extent(row[0], sent(row[1]), sent(row[2]))
                for row in await connection.fetch(WHOLE, xid)
            ]
            while len(self._known) >= KNOWN_AT_MOST:
                del self._known[next(iter(self._known))]
            self._known[xid] = extents
        after = position.within
        left = [each for each in extents if after is None or after.before(each.last)]
        taken, total = 0, 0
        while taken < len(left) and (total := total + left[taken].records) <= records:
            taken += 1
        while _breadth(left[:taken]) > BREADTH and taken > 1:
            taken //= 2
        along = taken == 0 and bool(left)
        chosen = left[: max(taken, 1)]
        ends = len(chosen) == len(left)
        read = 0 if after is None else after.read
        if ends:
            end = Position(seen)
            self._known.pop(xid, None)
        else:
            end = Position(position.seen, through(xid, chosen[-1].last, read))
        return Reach(
            xids=[xid],
            extents=chosen,
            after=after,
            along=along,
            end=end,
            before={xid: position.seen},
            expected=sum(each.records for each in extents) - read if ends else None,
            more=True,
        )


def _breadth(extents: Sequence[Extent]) -> Moment:
    return sum(each.last - each.first for each in extents)


def _together(transactions: Iterable[tuple[int, list[Extent]]]) -> list[Extent]:
    """Give the extents of all *transactions* in order, those that are near each other as one."""
    merged: list[Extent] = []
    extents = [each for _, extents in transactions for each in extents]
    for each in sorted(extents, key=lambda extent: extent.first):
        if merged and each.first <= merged[-1].last + NEAR:
            former = merged[-1]
            merged[-1] = Extent(
                former.records + each.records, former.first, max(former.last, each.last)
            )
        else:
            merged.append(each)
    return merged
