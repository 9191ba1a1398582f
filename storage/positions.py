"""
How far a reader of the table has come: the set of the transactions whose records it has read.

A transaction that commits late is simply not in the set yet, however many with higher numbers
are; so none is ever passed over, and one that takes hours holds nobody up.
"""

from __future__ import annotations

import itertools
import re

import msgspec

from storage.moments import INFINITY, Moment

_LAST_ID = 2**63 - 1
_TEXT = re.compile(
    r"(?P<seen>\d{1,20}(?:\.\d{1,20})*)"
    r"(?:_(?P<xid>\d{1,20})\.(?P<moment>-?\d{1,19})\.(?P<id>-?\d{1,19})\.(?P<read>\d{1,19}))?",
    re.ASCII,
)


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """
    A set of transactions: all with numbers below *xmax* but for those of *running*.

    It is what Postgres calls a pg_snapshot. *running* is in order.
    """

    xmax: int
    running: tuple[int, ...] = ()

    @classmethod
    def of(cls, text: str) -> Snapshot:
        """Read what Postgres writes of a pg_snapshot."""
        _, xmax, running = text.split(":")
        return cls(int(xmax), tuple(map(int, filter(None, running.split(",")))))

    def sees(self, xid: int) -> bool:
        """Tell whether transaction *xid* is one of the set."""
        return xid < self.xmax and xid not in self.running

    def until(self, xid: int) -> Snapshot:
        """Give those of the set whose numbers are no higher than *xid*."""
        if xid >= self.xmax:
            return self
        return Snapshot(xid + 1, tuple(each for each in self.running if each <= xid))

    def plus(self, xid: int) -> Snapshot:
        """Give the set with transaction *xid*, which is of *running* or is *xmax*."""
        if xid == self.xmax:
            return Snapshot(xid + 1, self.running)
        return Snapshot(self.xmax, tuple(each for each in self.running if each != xid))

    def __or__(self, other: Snapshot) -> Snapshot:
        """Give those that either has."""
        running = {*self.running, *other.running}
        unseen = sorted(each for each in running if not (self.sees(each) or other.sees(each)))
        xmax = max(self.xmax, other.xmax)
        return Snapshot(xmax, tuple(each for each in unseen if each < xmax))


class Place(msgspec.Struct, frozen=True, gc=False):
    """
    A record of transaction *xid*, whose records are read in the order of time and id.

    *read* is how many of them have been read, this one included.
    """

    xid: int
    moment: Moment
    id: int
    read: int

    def before(self, last: Moment) -> bool:
        """Tell whether records of times up to *last* may come after this place."""
        return self.moment < last or (self.moment == last and self.id < _LAST_ID)


class Position(msgspec.Struct, frozen=True, gc=False):
    """
    What has been read: all of *seen*, and of one more transaction all up to *within*.

    As text it goes into URLs and headers as it is, and only `parse` knows what it means.
    """

    seen: Snapshot
    within: Place | None = None

    def __str__(self) -> str:
        """Give the text that `parse` reads."""
        seen = ".".join(map(str, (self.seen.xmax, *self.seen.running)))
        if self.within is None:
            return seen
        return f"{seen}_{'.'.join(map(str, msgspec.structs.astuple(self.within)))}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """
        Read what `str` has made of a position.

        Raises:
            ValueError: it is no position.
        """
        if not (found := _TEXT.fullmatch(text)):
            raise ValueError(f"{text[:100]!r} is no position")
        xmax, *running = map(int, found["seen"].split("."))
        numbers = [xmax, *running]
        place = None
        if found["xid"]:
            place = Place(*(int(found[each]) for each in ("xid", "moment", "id", "read")))
            numbers += msgspec.structs.astuple(place)
        if place is not None and place.xid != xmax and place.xid not in running:
            raise ValueError(f"{text[:100]!r} is no position")
        ordered = all(a < b for a, b in itertools.pairwise((*running, xmax)))
        if not ordered or min(numbers) < -INFINITY - 1 or max(numbers) > INFINITY:
            raise ValueError(f"{text[:100]!r} is no position")
        return cls(Snapshot(xmax, tuple(running)), place)

    def includes(self, after: Position) -> bool:
        """Tell whether the record that *after* is the position after has been read."""
        if (record := after.within) is None:
            raise ValueError(f"{after} is not beside a record")
        if self.within is not None and self.within.xid == record.xid:
            here = self.within
            return (record.moment, record.id) <= (here.moment, here.id)
        return self.seen.sees(record.xid)


BEGINNING = Position(Snapshot(0))  # sees not even 0, which rows from another server may have


def through(xid: int, moment: Moment, read: int) -> Place:
    """Give the place behind all records of *xid* that are of *moment*."""
    return Place(xid, moment, _LAST_ID, read)
